package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
)

// handle is what a Future holds of a saga, without its type. It is part of the run if this engine runs the
// saga; otherwise, and from the moment when the run is over without a result, the broker tells how the saga
// ends, as long as somebody wants to know.
type handle struct {
	e   *Engine
	id  string
	def *plan.Def

	mu      sync.Mutex
	local   bool   // a run of this process will resolve it
	known   bool   // it is certain that the saga is one of def
	callers int    // that wait
	asked   bool   // somebody has a channel, and may look at it at any time
	watch   *watch // by the broker, or nil
	res     *result
	ending  result // memory of res
	waits   *waits
	seq     int             // entries of the journal that are committed
	subs    []*subscription // woken when res is set
}

// result is how a saga ended.
type result struct {
	state State
	out   any
	err   error
	rev   uint64 // at which a dead letter was buried
}

// waits are the channels that somebody asked for.
type waits struct {
	settled, done, failed chan struct{}
	changed               chan struct{} // closed and made anew whenever something was committed here
}

// watch is a broker's promise to tell.
type watch struct {
	stop func() // nil until the broker has given it
}

// resolve notes the result. The first one stays.
func (h *handle) resolve(res result) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.res != nil {
		return
	}
	if h.ending.state == StateUnknown {
		h.ending = res
		h.res = &h.ending
	} else { // somebody may still read how it was a dead letter
		later := res
		h.res = &later
	}
	for _, s := range h.subs {
		s.wake()
	}
	if h.waits != nil {
		h.waits.open(res.state)
	}
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

// forget takes back the result of a dead letter that somebody relayed.
func (h *handle) forget(res *result) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.res == res {
		h.res, h.waits = nil, nil
	}
}

// detach says that no run of this process will resolve the handle any more. Whoever waits for its result looks out by himself from now on.
func (h *handle) detach() {
	h.mu.Lock()
	h.local = false
	if h.waits != nil && h.res == nil {
		shut(h.waits.settled)
		h.waits.settled = nil
	}
	h.mu.Unlock()
	h.listen()
}

// subscribe has s woken when the result is known.
func (h *handle) subscribe(s *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subs = append(h.subs, s)
}

func (h *handle) unsubscribe(s *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if k := slices.Index(h.subs, s); k >= 0 {
		h.subs = slices.Concat(h.subs[:k], h.subs[k+1:])
	}
}

// Which channel of a handle is meant.
func settledChannel(w *waits) *chan struct{} { return &w.settled }
func doneChannel(w *waits) *chan struct{}    { return &w.done }
func failedChannel(w *waits) *chan struct{}  { return &w.failed }
func changedChannel(w *waits) *chan struct{} { return &w.changed }

// channel gives one of the channels of h, made when it is first asked for.
func (h *handle) channel(which func(*waits) *chan struct{}) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
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
	return *c
}

// forEver is channel for somebody who may look at any time.
func (h *handle) forEver(which func(*waits) *chan struct{}) <-chan struct{} {
	h.mu.Lock()
	h.asked = true
	h.mu.Unlock()
	c := h.channel(which)
	h.listen()
	return c
}

// enter and exit stand around the wait of a caller. Without callers the broker need not tell anything.
func (h *handle) enter() {
	h.mu.Lock()
	h.callers++
	h.mu.Unlock()
	h.listen()
}

func (h *handle) exit() {
	h.mu.Lock()
	h.callers--
	var stop func()
	if w := h.watch; w != nil && h.callers == 0 && !h.asked {
		h.watch, stop = nil, w.stop
	}
	h.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// listen has the broker tell how the saga ends, if nobody else does and somebody wants to know.
func (h *handle) listen() {
	h.mu.Lock()
	if h.local || h.watch != nil || h.res != nil || h.callers == 0 && !h.asked {
		h.mu.Unlock()
		return
	}
	w := &watch{}
	h.watch = w
	h.mu.Unlock()
	stop := h.e.broker.Watch(h.id, func(s broker.Snapshot) { h.told(w, s) })
	h.mu.Lock()
	wanted := h.watch == w
	w.stop = stop
	h.mu.Unlock()
	if !wanted {
		stop()
	}
}

// told takes what the broker says.
func (h *handle) told(w *watch, s broker.Snapshot) {
	h.mu.Lock()
	wanted := h.watch == w
	if wanted {
		h.watch = nil
	}
	h.mu.Unlock()
	if wanted {
		h.resolve(h.e.resultIn(h, s))
	}
}

func (h *handle) isLocal() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.local
}

func (h *handle) result() *result {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.res
}

// settled waits until the saga is settled. When it stops waiting it tells how the saga stands.
func (h *handle) settled(ctx context.Context) (*result, error) {
	h.enter()
	defer h.exit()
	if err := h.verify(ctx); err != nil {
		return nil, err
	}
	var lost lookout
	defer lost.stop()
	for {
		if res := h.standing(ctx); res != nil {
			return res, nil
		}
		settled := h.channel(settledChannel)
		if !h.isLocal() {
			lost.start()
		}
		select {
		case <-settled:
		case <-lost.rings:
			if lost.sees(ctx, h) {
				return nil, fmt.Errorf("flow: saga %q of %q: %w: its result was kept too short to be heard of (Options.Retention), or the broker lost it",
					h.id, h.def.Name, ErrUnknown)
			}
		case <-ctx.Done():
			return h.gaveUp(ctx.Err())
		case <-h.e.closed:
			return h.gaveUp(broker.ErrClosed)
		}
	}
}

// standing gives the result if there is one. A dead letter that somebody relayed has none any more, and another one if it is buried again.
func (h *handle) standing(ctx context.Context) *result {
	res := h.result()
	if res == nil || res.state != StateDeadLetter {
		return res
	}
	s, err := h.e.broker.Lookup(ctx, h.id, false)
	if err != nil || s.State == broker.Buried && s.Rev == res.rev {
		return res
	}
	h.forget(res)
	h.listen()
	return h.result()
}

// verify looks once whether the saga of that ID, if there is one, is one of this flow.
func (h *handle) verify(ctx context.Context) error {
	h.mu.Lock()
	known := h.known || h.local || h.res != nil
	h.mu.Unlock()
	if known {
		return nil
	}
	s, err := h.e.broker.Lookup(ctx, h.id, false)
	if err != nil {
		return nil // whoever waits finds out
	}
	if err := h.check(s); err != nil {
		return err
	}
	h.mu.Lock()
	h.known = true
	h.mu.Unlock()
	return nil
}

// check says that s is a saga of another flow.
func (h *handle) check(s broker.Snapshot) error {
	if s.Flow == h.def.Name {
		return nil
	}
	return fmt.Errorf("flow: saga %q is one of %q, not of %q: %w", h.id, s.Flow, h.def.Name, ErrConflict)
}

// gaveUp tells a caller that stops waiting how the saga stands: its result, if it has one; the cause, if it goes back
// already; or that it still runs.
func (h *handle) gaveUp(cause error) (*result, error) {
	if res := h.result(); res != nil {
		return res, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	m, s, err := h.inspect(ctx)
	switch {
	case errors.Is(err, broker.ErrUnknown):
		return nil, fmt.Errorf("flow: saga %q of %q: %w: %w", h.id, h.def.Name, ErrUnknown, cause)
	case errors.Is(err, ErrConflict):
		return nil, err
	case err != nil:
		return nil, &RunningError{SagaID: h.id, Flow: h.def.Name, Err: fmt.Errorf("%w (and its state cannot be read: %w)", cause, err)}
	case m == nil:
		res := h.e.resultIn(h, s)
		return &res, nil
	}
	defer m.Release()
	if m.Failing() {
		return nil, failure(m.Failure(saga.Compensating))
	}
	return nil, &RunningError{SagaID: h.id, Flow: h.def.Name, Err: cause}
}

// inspect loads the saga as the store has it. The machine is nil if the saga has an outcome.
func (h *handle) inspect(ctx context.Context) (*saga.Machine, broker.Snapshot, error) {
	s, err := h.e.broker.Lookup(ctx, h.id, true)
	if err == nil {
		err = h.check(s)
	}
	if err != nil {
		return nil, s, err
	}
	if hasEnded(s) {
		return nil, s, nil
	}
	def := h.def
	if served := h.e.servedFor(&s.Record); served != nil {
		def = served.def
	}
	m, err := saga.Load(&h.e.env, h.e.program(def), &s.Record, time.Now())
	return m, s, err
}

// hasEnded says that the saga has an outcome.
func hasEnded(s broker.Snapshot) bool {
	return s.State == broker.Held || s.State == broker.Buried || s.State == broker.Finished
}

// lookupTimeout bounds a read of the store for a caller whose own context has ended.
const lookupTimeout = time.Second
