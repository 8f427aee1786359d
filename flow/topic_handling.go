package flow

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
	"github.com/skald-go/skald/step"
)

// Delivery tells a running handler what it handles.
type Delivery struct {
	Topic, Group string
	EventID      string
	Attempt      int       // 1 is the first
	Published    time.Time // by the clock of who published it
	Headers      Headers   // of the event; not to be changed
	Saga         string    // the ID of the open saga that the event is of, or ""
	namespace    string
}

// Key is the idempotency key: the same for every attempt of this group to handle this event. step.InfoFrom(ctx).Key() is the same, so that
// package barrier works in handlers.
func (d Delivery) Key() string { return d.info().Key() }

// SagaID makes an ID for a saga that the handler starts: the same for every attempt of this group to handle this event, so that it starts once.
func (d Delivery) SagaID() string { return sagaIDOf(d.Topic, d.Group, d.EventID) }

func (d Delivery) info() step.Info {
	return step.Info{
		Namespace: d.namespace, Flow: d.Topic, Saga: d.EventID, Path: "~on/" + d.Topic + "/" + d.Group, Attempt: d.Attempt, Headers: d.Headers,
	}
}

type deliveryKey struct{}

// DeliveryFrom gives the delivery that a handler's ctx belongs to, or the zero Delivery.
func DeliveryFrom(ctx context.Context) Delivery {
	d, _ := ctx.Value(deliveryKey{}).(Delivery)
	return d
}

// handling is one call of a handler.
type handling struct {
	r     *reader
	l     *listener
	event broker.Arrival

	sent     envelope
	base     context.Context // what the propagators extracted
	answered atomic.Bool     // it has an outcome, by its return or because it was abandoned
}

var errHandlerExit = errors.New("flow: the handler ended its goroutine with runtime.Goexit")

// run handles the event, and settles it. The goroutine is one of the pool.
func (h *handling) run() {
	defer h.r.left()
	var err error
	h.base = context.Background()
	if h.sent, err = openEnvelope(h.event.Data); err != nil {
		h.answer(step.Permanent(err))
		return
	}
	h.base = h.r.e.extract(h.sent.Headers)
	if h.event.Attempt > h.l.policy().Attempts {
		h.answer(step.Permanent(fmt.Errorf("%w: it was handed out %d times", ErrTakeovers, h.event.Attempt-1)))
		return
	}
	if h.r.alive.Err() != nil {
		return // others have it, or get it with Leave
	}
	h.call()
}

// call calls the handler, and watches over its time.
func (h *handling) call() {
	d := h.delivery()
	ctx := step.WithInfo(context.WithValue(h.base, deliveryKey{}, d), d.info())
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, engineKey{}, h.r.e), h.l.timeout)
	defer cancel()
	defer context.AfterFunc(h.r.alive, cancel)()
	watch := time.AfterFunc(h.l.timeout+h.r.e.opts.AbandonAfter, h.abandon)
	defer watch.Stop()
	err := errHandlerExit
	defer func() {
		if p := recover(); p != nil {
			err = step.NewPanic(p, debug.Stack())
			h.r.e.log.ErrorContext(ctx, "handler panicked", h.attrs("error", err, "stack", stackOf(err))...)
		}
		h.answer(err)
	}()
	err = h.l.handle(ctx, h.sent.Payload)
}

// safely makes an error of a panic.
func safely(call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = step.NewPanic(p, debug.Stack())
		}
	}()
	return call()
}

func (h *handling) delivery() Delivery {
	return Delivery{
		Topic: h.event.Topic, Group: h.event.Group, EventID: h.event.ID, Attempt: h.event.Attempt,
		Published: time.Unix(0, h.sent.At), Headers: h.sent.Headers, namespace: h.r.e.opts.Namespace,
	}
}

// abandon settles an event whose handler does not return after its context has ended. What it returns later counts no more.
func (h *handling) abandon() {
	if h.answered.Load() {
		return
	}
	h.r.e.log.WarnContext(h.base, "a handler did not return after its context had ended: nobody waits for it any more", h.attrs()...)
	err := fmt.Errorf("%w: it did not return within %v after its context had ended", ErrInterrupted, h.r.e.opts.AbandonAfter)
	h.r.e.submit(task{listen: func() { h.answer(err) }})
}

// answer settles the event, unless that was done.
func (h *handling) answer(err error) {
	if !h.answered.CompareAndSwap(false, true) {
		return
	}
	s, cause := h.verdict(err)
	if s.Fate == broker.Dead && h.l.burying != nil {
		if failed := h.l.burying(h.base, h.sent.Payload, cause); failed != nil {
			s = broker.Settlement{Fate: broker.Later, After: h.pause()}
			h.r.e.log.WarnContext(h.base, "cannot give an event up yet", h.attrs("error", failed)...)
		}
	}
	s.Topic, s.Group, s.Ref = h.event.Topic, h.event.Group, h.event.Ref
	if err := h.r.settle(s); err != nil {
		h.r.e.log.WarnContext(h.base, "what became of an event was not stored: it comes again", h.attrs("error", err)...)
		return
	}
	h.tell(s, cause)
}

// verdict says what is to become of the event, and why.
func (h *handling) verdict(err error) (s broker.Settlement, cause error) {
	if err == nil {
		return broker.Settlement{Fate: broker.Done}, nil
	}
	mark, cut := plan.MarkOf(err), h.r.alive.Err() != nil
	switch {
	case mark != nil && mark.Class == plan.NotYet && time.Since(time.Unix(0, h.sent.At)) < h.r.e.opts.NotYetLimit:
		return broker.Settlement{Fate: broker.Later, After: max(mark.After, step.MinNotYet)}, nil
	case mark == nil && cut:
		return broker.Settlement{Fate: broker.Return}, nil
	case mark != nil && mark.Class != plan.NotYet, h.event.Attempt >= h.l.policy().Attempts:
		return broker.Settlement{Fate: broker.Dead, Reason: h.r.e.errors.Append(nil, err)}, err
	}
	return broker.Settlement{Fate: broker.Again, After: h.pause()}, err
}

func (h *handling) pause() time.Duration {
	return saga.Backoff(h.l.policy(), h.event.Attempt, rand.Float64)
}

// tell says what became of an event that was not handled.
func (h *handling) tell(s broker.Settlement, cause error) {
	switch s.Fate {
	case broker.Again:
		h.r.e.log.InfoContext(h.base, "an event was not handled, it comes again", h.attrs("after", s.After, "error", cause)...)
	case broker.Dead:
		h.r.e.deadEvent(h.base, h.event, h.sent, cause)
	}
}

func (h *handling) attrs(more ...any) []any {
	return append([]any{"topic", h.event.Topic, "group", h.event.Group, "event", h.event.ID, "attempt", h.event.Attempt}, more...)
}

// settle settles, trying until the broker has answered or the engine ends.
func (r *reader) settle(s broker.Settlement) error {
	err := insist(r.e.alive, func() error { return r.sub.Settle(r.e.alive, s) })
	if errors.Is(err, broker.ErrFenced) && r.fenced != nil {
		r.fenced()
		r.cut()
	}
	return err
}
