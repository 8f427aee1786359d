package redisx

import "github.com/skald-go/skald/broker"

// Kill ends the signs of life of a worker.
func Kill(w broker.Worker) {
	w.(*worker).silent.Store(true)
}

// Forsake is Kill for a worker that does not notice: only the server can fence it.
func Forsake(w broker.Worker) {
	Kill(w)
	for _, s := range w.(*worker).seats {
		s.mu.Lock()
		s.expiry.Stop()
		s.mu.Unlock()
	}
}

// Deafen lets b hear nothing that other brokers or the server publish.
func Deafen(b *Broker) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.listening = true
}
