package redisx

import "github.com/skald-go/skald/broker"

// Kill ends the signs of life of a worker.
func Kill(w broker.Worker) {
	own := w.(*worker)
	own.mu.Lock()
	defer own.mu.Unlock()
	own.silent = true
}

// Forsake is Kill for a worker that does not notice: only the server can fence it.
func Forsake(w broker.Worker) {
	Kill(w)
	w.(*worker).expiry.Stop()
}

// Deafen lets b hear nothing that other brokers or the server publish.
func Deafen(b *Broker) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.listening = true
}
