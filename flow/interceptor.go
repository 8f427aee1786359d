package flow

import (
	"context"
	"errors"
	"sync"
)

// Interceptor runs around attempts: around every call of a step's function and of its compensation, on the engine that has it
// in Options.Interceptors, inside the place that catches panics. step.InfoFrom(ctx) tells which saga, step and attempt it is, and
// whether it is the undo. It is for logging, metrics, limits, and for the faults of tests.
//
// next makes the attempt, and gives its error. An Interceptor calls it once, not at all, or again and again, one call after the
// other, with ctx or a context made from it. What the Interceptor returns is the answer of the attempt, and means what it means if
// the user's function returns it: an error where next gave nil is an effect whose reply is lost. With nil, the output of the
// attempt is that of the last next that gave nil; if there was none, the attempt fails, and its outcome is unknown.
//
// Like a step it is called by many goroutines at once, its time is part of the attempt's, and it returns soon after ctx has ended. It does
// not return while next runs: nobody waits for that then.
type Interceptor func(ctx context.Context, next func(ctx context.Context) error) error

var (
	errNoAttempt = errors.New("flow: an interceptor answered nil, although no next did: let it return the error of next, or its own")
	errOver      = errors.New("flow: an interceptor called next after it had returned")
)

// perform calls the user's function, through the interceptors from the k-th on.
func (a *attempt) perform(ctx context.Context, k int) (out any, err error) {
	switch {
	case k < len(a.run.e.opts.Interceptors):
		return a.intercepted(ctx, k)
	case a.what.Undo:
		return nil, a.what.Spec.Undo(ctx, *a.what.Effect)
	default:
		return a.what.Spec.Do(ctx, a.what.In)
	}
}

func (a *attempt) intercepted(ctx context.Context, k int) (any, error) {
	var got reply
	defer got.end()
	err := a.run.e.opts.Interceptors[k](ctx, func(ctx context.Context) error {
		if got.over() {
			return errOver
		}
		out, err := a.perform(ctx, k+1)
		if err == nil {
			got.set(out)
		}
		return err
	})
	out, ok := got.end()
	if err == nil && !ok {
		err = errNoAttempt
	}
	return out, err
}

// reply is what an interceptor's calls of next gave. It changes no more once the interceptor has returned.
type reply struct {
	mu        sync.Mutex
	out       any
	ok, ended bool
}

func (r *reply) set(out any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.out, r.ok = out, true
	}
}

func (r *reply) over() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

func (r *reply) end() (out any, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	return r.out, r.ok
}
