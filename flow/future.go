package flow

import (
	"context"
	"fmt"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
)

// Future is a caller's handle of a saga that ends with a T. It is a small value that may be copied and
// used by many goroutines at once. It holds no goroutine, and the saga does not depend on it.
type Future[T any] struct{ h *handle }

// ID is the saga's ID, with which Flow.Attach gives another Future of it. The zero Future has none.
func (f Future[T]) ID() string {
	if f.h == nil {
		return ""
	}
	return f.h.id
}

// Await blocks until the saga is settled, and gives its output or an *Error. A saga is settled when it is done,
// undone, or a dead letter; Await of a dead letter that was relayed waits again. Everybody who waits in one process may get the
// same value: what an output points to is not to be changed.
//
// When ctx ends first, the error tells how the saga stands: the *Error with its cause and StateCompensating if the saga
// goes back already, otherwise a *RunningError. Either way the saga goes on. For an ID that nobody has started it is ErrUnknown,
// and for a saga of another flow, at once, ErrConflict. A saga that was there, and that the broker has forgotten or lost before its end was
// heard of, is ErrUnknown within seconds, or within minutes of a long wait.
func (f Future[T]) Await(ctx context.Context) (T, error) {
	if f.h == nil {
		return zero[T](), zeroFuture("Await")
	}
	res, err := f.h.settled(ctx)
	if err != nil {
		return zero[T](), err
	}
	return typedResult[T](res)
}

// Decided blocks until the outcome is known, and gives it: the output of a saga that is done, or the *Error of one that
// fails, with StateCompensating while its undos still run. When ctx ends first it answers as Await does.
func (f Future[T]) Decided(ctx context.Context) (T, error) {
	if f.h == nil {
		return zero[T](), zeroFuture("Decided")
	}
	res, err := f.h.decided(ctx)
	if err != nil {
		return zero[T](), err
	}
	return typedResult[T](res)
}

// Done is closed when the saga is done: all its steps succeeded.
func (f Future[T]) Done() <-chan struct{} {
	if f.h == nil {
		return nil
	}
	return f.h.forEver(doneChannel)
}

// Failed is closed when the saga is undone or a dead letter. That of the zero Future is closed.
func (f Future[T]) Failed() <-chan struct{} {
	if f.h == nil {
		c := make(chan struct{})
		close(c)
		return c
	}
	return f.h.forEver(failedChannel)
}

// Result gives what Await would, without blocking. It says false as long as this process has not heard how the saga ended;
// asking makes it listen. That a dead letter was relayed is heard by Await only.
func (f Future[T]) Result() (T, error, bool) {
	if f.h == nil {
		return zero[T](), zeroFuture("Result"), true
	}
	f.h.forEver(settledChannel)
	res := f.h.result()
	if res == nil {
		return zero[T](), nil, false
	}
	out, err := typedResult[T](res)
	return out, err, true
}

// Cancel asks the saga to go back, and blocks until the answer is known: nil if it goes back because of this call,
// ErrSettled if it ended first, ErrCompensating if it goes back for another reason, ErrPastPivot if it only goes forward.
// When ctx ends first the error says that the answer is open: the request stands.
func (f Future[T]) Cancel(ctx context.Context, reason string) error {
	if f.h == nil {
		return zeroFuture("Cancel")
	}
	return f.h.cancel(ctx, reason)
}

func typedResult[T any](res *result) (T, error) {
	if res.err != nil {
		return zero[T](), res.err
	}
	return plan.Cast[T](res.out), nil
}

func zero[T any]() (z T) { return z }

func zeroFuture(call string) error {
	return fmt.Errorf("%s of a Future that no Start or Attach gave: %w", call, ErrZero)
}

// All waits for all futures, and gives their outputs in order, or the error of the first in that order that failed. It
// does not cancel the others.
func All[T any](ctx context.Context, futures ...Future[T]) ([]T, error) {
	outs := make([]T, len(futures))
	var first error
	for k, f := range futures {
		out, err := f.Await(ctx)
		if err != nil && first == nil {
			first = err
		}
		outs[k] = out
	}
	if first != nil {
		return nil, first
	}
	return outs, nil
}

// First waits for the first future that is done, and gives its output; if all fail, the error of the one that failed
// last. It does not cancel the others.
func First[T any](ctx context.Context, futures ...Future[T]) (T, error) {
	if len(futures) == 0 {
		return zero[T](), fmt.Errorf("flow: First of no futures: %w", ErrZero)
	}
	handles := make([]*handle, 0, len(futures))
	for _, f := range futures {
		if f.h == nil {
			return zero[T](), zeroFuture("First")
		}
		handles = append(handles, f.h)
	}
	res, err := firstOf(ctx, handles)
	if err != nil {
		return zero[T](), err
	}
	return typedResult[T](res)
}

// firstOf waits for all handles at once, on the caller's goroutine.
func firstOf(ctx context.Context, open []*handle) (res *result, err error) {
	s := newSubscription()
	for _, h := range open {
		h.subscribe(s)
		defer h.unsubscribe(s)
		h.enter()
		defer h.exit()
		if err := h.verify(ctx); err != nil {
			return nil, err
		}
	}
	for {
		var running []*handle
		for _, h := range open {
			now := h.standing(ctx)
			switch {
			case now == nil:
				running = append(running, h)
				continue
			case now.err == nil:
				return now, nil
			}
			res = now
		}
		if open = running; len(open) == 0 {
			return res, nil
		}
		select {
		case <-s.signal:
		case <-ctx.Done():
			return open[0].gaveUp(ctx.Err())
		case <-open[0].e.closed:
			return open[0].gaveUp(broker.ErrClosed)
		}
	}
}
