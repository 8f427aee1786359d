package flow

import (
	"context"
	"sync"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
)

// handle is what a Future holds of a saga, without its type. It is part of the run if this engine runs the
// saga; otherwise, and from the moment when the run is over without a result, the broker tells how the saga ends.
type handle struct {
	e   *Engine
	id  string
	def *plan.Def

	mu       sync.Mutex
	local    bool // a run of this process will resolve it
	watching bool // the broker will
	res      *result
	ending   result // memory of res
	waits    *waits
	seq      int // entries of the journal that are committed
	subs     []*subscription
}

// result is how a saga ended.
type result struct {
	state State
	out   any
	err   error
}

// waits are the channels that somebody asked for.
type waits struct {
	settled, done, failed chan struct{}
	changed               chan struct{} // closed and made anew whenever something was committed here
}

// resolve notes the result. The first one stays, but a dead letter may still end otherwise.
func (h *handle) resolve(res result) {
	h.mu.Lock()
	if h.res != nil && h.res.state != StateDeadLetter {
		h.mu.Unlock()
		return
	}
	again := h.res != nil
	if again {
		latest := res
		h.res = &latest
	} else {
		h.ending = res
		h.res = &h.ending
	}
	w, subs := h.waits, h.subs
	h.mu.Unlock()
	for _, s := range subs {
		s.wake()
	}
	if w == nil || again {
		return
	}
	w.open(res.state)
}

func (w *waits) open(state State) {
	shut(w.settled)
	shut(w.changed)
	if state == StateDone {
		shut(w.done)
	} else {
		shut(w.failed)
	}
}

func shut(c chan struct{}) {
	if c == nil {
		return
	}
	select {
	case <-c:
	default:
		close(c)
	}
}

// detach says that no run of this process will resolve the handle any more.
func (h *handle) detach() {
	h.mu.Lock()
	h.local = false
	waiting := h.waits != nil && h.res == nil
	h.mu.Unlock()
	if waiting {
		h.watch()
	}
}

// channel gives one of the channels of h, made when it is first asked for.
func (h *handle) channel(which func(*waits) *chan struct{}) <-chan struct{} {
	h.mu.Lock()
	if h.waits == nil {
		h.waits = &waits{}
	}
	c := which(h.waits)
	if *c == nil {
		*c = make(chan struct{})
		if h.res != nil {
			h.waits.open(h.res.state)
		}
	}
	waits, remote := *c, !h.local && h.res == nil
	h.mu.Unlock()
	if remote {
		h.watch()
	}
	return waits
}

// watch has the broker tell how the saga ends.
func (h *handle) watch() {
	h.mu.Lock()
	if h.watching {
		h.mu.Unlock()
		return
	}
	h.watching = true
	h.mu.Unlock()
	h.e.broker.Watch(h.id, func(s broker.Snapshot) {
		h.mu.Lock()
		h.watching = false
		h.mu.Unlock()
		h.resolve(h.e.resultOf(h.def, s.Outcome))
	})
}

// settled waits until the saga is settled.
func (h *handle) settled(ctx context.Context) (*result, error) {
	h.mu.Lock()
	res := h.res
	h.mu.Unlock()
	if res == nil {
		select {
		case <-h.channel(func(w *waits) *chan struct{} { return &w.settled }):
		case <-ctx.Done():
			return nil, h.gaveUp(ctx.Err())
		}
		h.mu.Lock()
		res = h.res
		h.mu.Unlock()
	}
	if res.state == StateDeadLetter {
		return h.revived(ctx, res)
	}
	return res, nil
}

// revived looks whether a dead letter is one still, and waits again if somebody relayed it.
func (h *handle) revived(ctx context.Context, res *result) (*result, error) {
	s, err := h.e.broker.Lookup(ctx, h.id, false)
	if err != nil || s.State == broker.Buried {
		return res, nil
	}
	again := &handle{e: h.e, id: h.id, def: h.def}
	return again.settled(ctx)
}

// gaveUp gives the error of a caller that stops waiting: the cause, if the saga goes back already.
func (h *handle) gaveUp(cause error) error {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	m, s, err := h.e.inspect(ctx, h.id, h.def)
	if err != nil {
		return &RunningError{SagaID: h.id, Flow: h.def.Name, Err: cause}
	}
	if m == nil {
		if s.Outcome != nil {
			return h.e.resultOf(h.def, s.Outcome).err
		}
		return &RunningError{SagaID: h.id, Flow: h.def.Name, Err: cause}
	}
	defer m.Release()
	if m.Compensating() {
		return failure(m.Failure(saga.Compensating))
	}
	return &RunningError{SagaID: h.id, Flow: h.def.Name, Err: cause}
}

// lookupTimeout bounds a read of the store for a caller whose own context has ended.
const lookupTimeout = time.Second
