// Package brokerfault wraps a broker so that it fails on purpose: it loses replies after their effect, fails
// before it, repeats, delays and reorders calls, and kills workers, at places that rules name or at random
// places that follow from a seed. Nothing that the contract of package broker forbids comes from the wrapper,
// so what breaks on it would break in production.
//
//	b := brokerfault.Wrap(inmem.New(), brokerfault.Options{
//		Odds: brokerfault.Odds{brokerfault.Lose: 0.05, brokerfault.KillAfter: 0.01},
//		Logf: t.Logf,
//	})
//
// A lost reply may have handed out sagas. The wrapper keeps them and hands them out at the next Receive, as
// the contract asks of a broker; mail that was lost is told again likewise.
package brokerfault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/skald-go/skald/broker"
)

var (
	_ broker.Broker   = (*Broker)(nil)
	_ broker.Restorer = (*Broker)(nil)
	_ broker.Linked   = (*Broker)(nil)
)

// Killer is a broker that can simulate the sudden death of a worker's process, like inmem.Broker.
type Killer interface {
	Kill(broker.Worker)
}

// Broker is a broker that fails on purpose. Make one with Wrap.
type Broker struct {
	broker.Broker // the wrapped one: Watch and Close go straight to it
	dice          *dice
	maxDelay      time.Duration
	mu            sync.Mutex
	workers       map[string]*worker // by name, the last to join
	seizing       sync.RWMutex       // keeps commits out
}

// Wrap makes b fail as the options say. KillBefore and KillAfter need b to be a Killer; without that they
// panic when they happen.
func Wrap(b broker.Broker, o Options) *Broker {
	return &Broker{
		Broker:   b,
		dice:     newDice(o),
		maxDelay: cmp.Or(o.MaxDelay, 10*time.Millisecond),
		workers:  make(map[string]*worker),
	}
}

// Service implements broker.Linked: it is that of the wrapped broker, or nothing.
func (b *Broker) Service() string {
	if l, ok := b.Broker.(broker.Linked); ok {
		return l.Service()
	}
	return ""
}

// Seed gives the seed of the odds: with it in Options, the same faults happen to the same calls.
func (b *Broker) Seed() uint64 { return b.dice.options.Seed }

// Kill kills a worker of b or of the wrapped broker, which must be a Killer.
func (b *Broker) Kill(w broker.Worker) {
	b.Broker.(Killer).Kill(Unwrap(w))
}

// Unwrap gives the wrapped worker, or w itself if it is not wrapped.
func Unwrap(w broker.Worker) broker.Worker {
	if wrapped, ok := w.(*worker); ok {
		return wrapped.Worker
	}
	return w
}

// Start implements broker.Broker.
func (b *Broker) Start(ctx context.Context, s broker.Start) (broker.Started, error) {
	by, _ := s.By.(*worker)
	inner := s
	if by != nil {
		inner.By = by.Worker
	}
	return call(ctx, b, operation[broker.Started]{
		method: Start, id: s.ID, worker: by,
		do: func() (broker.Started, error) { return b.Broker.Start(ctx, inner) },
		lost: func(reply broker.Started) {
			if reply.Owned {
				by.hold(broker.Delivery{ID: s.ID, Saga: &broker.Record{Rev: 1}})
			}
		},
	})
}

// Deliver implements broker.Broker.
func (b *Broker) Deliver(ctx context.Context, id string, ev broker.Event) error {
	_, err := call(ctx, b, operation[none]{
		method: Deliver, id: id,
		do: func() (none, error) { return none{}, b.Broker.Deliver(ctx, id, ev) },
	})
	return err
}

// Lookup implements broker.Broker.
func (b *Broker) Lookup(ctx context.Context, id string, journal bool) (broker.Snapshot, error) {
	return call(ctx, b, operation[broker.Snapshot]{
		method: Lookup, id: id,
		do: func() (broker.Snapshot, error) { return b.Broker.Lookup(ctx, id, journal) },
	})
}

// Resolve implements broker.Broker.
func (b *Broker) Resolve(ctx context.Context, id string, rev uint64, decision broker.Event) error {
	_, err := call(ctx, b, operation[none]{
		method: Resolve, id: id,
		do: func() (none, error) { return none{}, b.Broker.Resolve(ctx, id, rev, decision) },
	})
	return err
}

// Restore implements broker.Restorer, if the wrapped broker does; otherwise it fails with errors.ErrUnsupported.
func (b *Broker) Restore(ctx context.Context, s broker.Snapshot, callID string) error {
	inner, ok := b.Broker.(broker.Restorer)
	if !ok {
		return fmt.Errorf("brokerfault: restore %q on a %T: %w", s.ID, b.Broker, errors.ErrUnsupported)
	}
	_, err := call(ctx, b, operation[none]{
		method: Restore, id: s.ID,
		do: func() (none, error) { return none{}, inner.Restore(ctx, s, callID) },
	})
	return err
}

// Stats implements broker.Broker.
func (b *Broker) Stats(ctx context.Context) (broker.Stats, error) {
	return call(ctx, b, operation[broker.Stats]{
		method: Stats,
		do:     func() (broker.Stats, error) { return b.Broker.Stats(ctx) },
	})
}

// List implements broker.Broker. A list that fails gives nothing, one that is lost only its first saga.
func (b *Broker) List(ctx context.Context, f broker.Filter) iter.Seq2[broker.Snapshot, error] {
	return func(yield func(broker.Snapshot, error) bool) {
		c, fault := b.dice.roll(List, "")
		given := 0
		for shot, err := range b.Broker.List(ctx, f) {
			if fault == Fail || fault == Lose && given == 1 {
				yield(broker.Snapshot{}, b.dice.fail(c))
				return
			}
			if !yield(shot, err) {
				return
			}
			given++
		}
	}
}

// Join implements broker.Broker. A worker whose reply is lost leaves.
func (b *Broker) Join(ctx context.Context, m broker.Member) (broker.Worker, error) {
	w, err := call(ctx, b, operation[*worker]{
		method: Join, id: m.Name,
		do: func() (*worker, error) {
			inner, err := b.Broker.Join(ctx, m)
			return &worker{Worker: inner, b: b, name: m.Name}, err
		},
		lost: func(reply *worker) { reply.Worker.Leave(context.WithoutCancel(ctx)) },
	})
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.workers[m.Name] = w
	return w, nil
}
