package sagatest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/internal/saga"
)

// mortal is a broker in memory whose workers die on request, and which tells when a saga parks.
type mortal struct {
	*inmem.Broker
	parked chan struct{} // has a token when a saga has parked
	pulse  *pulse        // nil outside of the matrix

	letters atomic.Int64 // signals that came

	mu      sync.Mutex
	workers map[string]broker.Worker // by the name of their engine, the last to join
	doomed  []doom
}

// doom is the death of a worker when it has committed something at a path of a saga.
type doom struct {
	worker, saga, path string
	die                func()
}

func newMortal() *mortal {
	return &mortal{Broker: inmem.New(), parked: make(chan struct{}, 1), workers: map[string]broker.Worker{}}
}

// Join implements broker.Broker.
func (b *mortal) Join(ctx context.Context, m broker.Member) (broker.Worker, error) {
	w, err := b.Broker.Join(ctx, m)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.workers[m.Name] = w
	return &worker{w, b, m.Name}, nil
}

// Start implements broker.Broker.
func (b *mortal) Start(ctx context.Context, s broker.Start) (broker.Started, error) {
	if w, ok := s.By.(*worker); ok {
		s.By = w.Worker
	}
	return b.Broker.Start(ctx, s)
}

// Deliver implements broker.Broker.
func (b *mortal) Deliver(ctx context.Context, id string, ev broker.Event) error {
	if ev.Kind == saga.EventSignal {
		b.letters.Add(1)
	}
	return b.Broker.Deliver(ctx, id, ev)
}

// kill lets the process of an engine die, as far as the broker can see.
func (b *mortal) kill(engine string) {
	b.mu.Lock()
	w := b.workers[engine]
	b.mu.Unlock()
	b.Broker.Kill(w)
}

func (b *mortal) doom(d doom) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.doomed = append(b.doomed, d)
}

// fate gives what kills a worker that has committed t, or nil.
func (b *mortal) fate(worker string, t broker.Transition) (die func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, d := range b.doomed {
		committed := func(e broker.Entry) bool { return e.Path == d.path }
		if d.worker == worker && d.saga == t.ID && slices.ContainsFunc(t.Append, committed) {
			b.doomed = slices.Delete(b.doomed, k, k+1)
			return d.die
		}
	}
	return nil
}

// worker is a worker of a mortal broker.
type worker struct {
	broker.Worker
	b    *mortal
	name string
}

// Commit implements broker.Worker.
func (w *worker) Commit(ctx context.Context, t broker.Transition) (broker.Ack, error) {
	w.b.pulse.beat()
	ack, err := w.Worker.Commit(ctx, t)
	if err != nil {
		return ack, err
	}
	if t.Next == broker.Park {
		select {
		case w.b.parked <- struct{}{}:
		default:
		}
	}
	if die := w.b.fate(w.name, t); die != nil {
		die()
		return broker.Ack{}, fmt.Errorf("sagatest: the worker died after it had committed %q: %w", t.ID, broker.ErrFenced)
	}
	return ack, nil
}
