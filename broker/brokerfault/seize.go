package brokerfault

import (
	"context"
	"errors"
	"fmt"

	"github.com/skald-go/skald/broker"
)

// Seize takes a saga from the worker that owns it, as a broker does that has forgotten a write: the worker gets a
// Delivery that says Lost, and the saga is ready for any worker, some revisions later. It does nothing if nobody owns
// the saga. The names of workers must differ.
func (b *Broker) Seize(ctx context.Context, id string) error {
	b.seizing.Lock()
	defer b.seizing.Unlock()
	shot, err := b.Broker.Lookup(ctx, id, false)
	if err != nil || shot.State != broker.Owned {
		return err
	}
	w := b.named(shot.Owner)
	if w == nil {
		return fmt.Errorf("brokerfault: seize %q: %q is no worker of this wrapper", id, shot.Owner)
	}
	w.hold(broker.Delivery{ID: id, Lost: true})
	// Two revisions, because after one a commit of w would pass for its repeat.
	_, err = w.Worker.Commit(ctx, broker.Transition{ID: id, Rev: shot.Rev})
	if err == nil {
		_, err = w.Worker.Commit(ctx, broker.Transition{ID: id, Rev: shot.Rev + 1, Next: broker.GiveBack})
	}
	if errors.Is(err, broker.ErrStale) || errors.Is(err, broker.ErrFenced) {
		return nil // lost to somebody else
	}
	return err
}

func (b *Broker) named(worker string) *worker {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.workers[worker]
}
