package inmem

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/skald-go/skald/broker"
)

var errLease = errors.New("the lease must be positive")

// worker is a membership.
type worker struct {
	b      *Broker
	member broker.Member
	fate   atomic.Int32
	lease  *time.Timer // of a killed worker; the queue guards it
	lanes  []*lane     // the queue guards it
	news   []*saga     // that have mail; the queue guards it
}

// The fates of a worker.
const (
	alive int32 = iota
	left
	killed
)

// Join implements broker.Broker.
func (b *Broker) Join(ctx context.Context, m broker.Member) (broker.Worker, error) {
	if err := b.usable(ctx); err != nil {
		return nil, fmt.Errorf("inmem: join %q: %w", m.Name, err)
	}
	if m.Lease <= 0 {
		return nil, fmt.Errorf("inmem: join %q: %w", m.Name, errLease)
	}
	m.Flows = slices.Clone(m.Flows)
	w := &worker{b: b, member: m}
	b.queue.join(w)
	return w, nil
}

// status says why w can do nothing any longer.
func (w *worker) status() error {
	if w.fate.Load() != alive {
		return broker.ErrFenced
	}
	return nil
}

func (w *worker) usable(ctx context.Context) error {
	if err := w.b.usable(ctx); err != nil {
		return err
	}
	return w.status()
}

func (w *worker) takes(l *lane) bool {
	return slices.Contains(w.member.Flows, l.Served) && !slices.Contains(l.rejected, w.member.Build)
}

// share is how many sagas w may take at once, so that each worker that takes from its lanes gets some.
func (w *worker) share() int {
	share := 0
	for _, l := range w.lanes {
		share += (l.sagas + l.takers - 1) / l.takers
	}
	return share
}

func (w *worker) waits(wait *waiter) bool { return wait.worker == w }

// Leave implements broker.Worker.
func (w *worker) Leave(ctx context.Context) error {
	if err := w.b.usable(ctx); err != nil {
		return fmt.Errorf("inmem: leave %q: %w", w.member.Name, err)
	}
	if w.fate.CompareAndSwap(alive, left) {
		w.b.queue.leave(w)
		w.b.release(w, 0)
		return nil
	}
	if w.fate.Load() == killed {
		return fmt.Errorf("inmem: leave %q: %w", w.member.Name, broker.ErrFenced)
	}
	return nil
}

// Kill simulates that the process of w, which is a worker of b, dies without a word: every call of w fails
// with broker.ErrFenced from now on, also those that are blocked. When its lease has passed, its sagas are
// taken over. Killing a worker that has left or been killed does nothing.
func (b *Broker) Kill(w broker.Worker) {
	own, err := b.member(w)
	if err != nil || own == nil {
		panic("inmem: Kill needs a worker of this broker")
	}
	if own.fate.CompareAndSwap(alive, killed) {
		b.queue.bury(own, func() {
			b.queue.leave(own)
			b.release(own, 1)
		})
	}
}

// release makes ready what w owned.
func (b *Broker) release(w *worker, takeovers int) {
	var sagas []*saga
	for i := range b.shards {
		sagas = append(sagas, b.shards[i].release(w, takeovers)...)
	}
	slices.SortFunc(sagas, func(x, y *saga) int { return cmp.Compare(x.id, y.id) })
	for _, s := range sagas {
		b.requeue(s)
	}
}

// release takes what is in the shard from w. Until they are queued again nobody can get these sagas.
func (sh *shard) release(w *worker, takeovers int) []*saga {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	var sagas []*saga
	for _, s := range sh.sagas {
		if s.owner == w {
			s.enter(broker.Ready)
			s.live.takeovers += takeovers
			sagas = append(sagas, s)
		}
	}
	return sagas
}

func (b *Broker) requeue(s *saga) {
	s.home.mu.Lock()
	defer s.home.mu.Unlock()
	b.ready(s)
}
