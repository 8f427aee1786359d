package redisx

import (
	"context"

	"github.com/skald-go/skald/broker"
)

// Kill ends the signs of life of a worker.
func Kill(w broker.Worker) {
	own := w.(*worker)
	own.mu.Lock()
	defer own.mu.Unlock()
	own.silent = true
}

// Deafen lets b hear nothing that other brokers or the server publish.
func Deafen(b *Broker) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.listening = true
}

// ScriptsOf gives the source of every script.
func ScriptsOf() map[string]string {
	return map[string]string{"apply": applySource, "receive": receiveSource}
}

// Sweep runs the chores once.
func Sweep(ctx context.Context, b *Broker) error {
	_, _, err := b.part.sweep(ctx, "")
	return err
}
