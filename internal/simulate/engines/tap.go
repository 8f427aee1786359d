package engines

import (
	"context"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/inmem"
)

// tap is the broker in memory, with somebody who writes down what it applied.
type tap struct {
	*inmem.Broker
	books *books
}

var _ broker.Broker = (*tap)(nil)

// tapped is a worker of a tap.
type tapped struct {
	broker.Worker
	tap *tap
}

// Start implements broker.Broker.
func (t *tap) Start(ctx context.Context, s broker.Start) (broker.Started, error) {
	b := t.books.of(s.ID)
	b.mu.Lock()
	defer b.mu.Unlock()
	inner := s
	if by, ok := s.By.(*tapped); ok {
		inner.By = by.Worker
	}
	started, err := t.Broker.Start(ctx, inner)
	if err == nil && !started.Existed {
		t.books.born(b, s)
	}
	return started, err
}

// Join implements broker.Broker.
func (t *tap) Join(ctx context.Context, m broker.Member) (broker.Worker, error) {
	w, err := t.Broker.Join(ctx, m)
	if err != nil {
		return nil, err
	}
	return &tapped{w, t}, nil
}

// Kill implements brokerfault.Killer.
func (t *tap) Kill(w broker.Worker) { t.Broker.Kill(w.(*tapped).Worker) }

// Commit implements broker.Worker.
func (w *tapped) Commit(ctx context.Context, t broker.Transition) (broker.Ack, error) {
	b := w.tap.books.of(t.ID)
	b.mu.Lock()
	defer b.mu.Unlock()
	ack, err := w.Worker.Commit(ctx, t)
	if err != nil {
		return ack, err
	}
	b.committed(t)
	for _, msg := range t.Send {
		if msg.Start != nil {
			w.tap.books.born(w.tap.books.of(msg.To), *msg.Start)
		}
	}
	return ack, nil
}
