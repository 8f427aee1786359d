package flow

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
	"github.com/skald-go/skald/step"
)

// errGoexit is the error of a step that ended its goroutine, as testing.T.FailNow does.
var errGoexit = errors.New("flow: the step ended its goroutine with runtime.Goexit")

// errAbandoned is the error of an attempt that did not return when its context ended.
var errAbandoned = errors.New("flow: the attempt did not return after its context had ended, and was abandoned")

// attempt is one call of a user's function, and the context that it gets.
//
// It is a context.Context of its own rather than one made by context.WithTimeout, because it is made
// for every step of every saga: its channel is made when somebody asks for it, and its timer is the
// one of the goroutine that it runs on.
type attempt struct {
	run  *run
	what saga.Attempt
	info step.Info
	due  time.Time // of the context

	clock *clock
	mu    sync.Mutex
	done  chan struct{}
	err   error
	after *afterFunc // a list

	out      any
	failed   error
	finished bool // out and failed are set
	reported bool // run.mu: its outcome is known, by its return or because it was abandoned
}

// afterFunc is what is to be called when the context ends.
type afterFunc struct {
	f    func()
	next *afterFunc
}

var _ context.Context = (*attempt)(nil)

// Deadline is when the attempt's time ends.
func (a *attempt) Deadline() (time.Time, bool) { return a.due, true }

// Done is closed when the attempt's time ends, it is cut off, or it has returned.
func (a *attempt) Done() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.done == nil {
		a.done = make(chan struct{})
		if a.err != nil {
			close(a.done)
		}
	}
	return a.done
}

// Err says why the context has ended.
func (a *attempt) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// Value finds the step's info, and what the propagators extracted.
func (a *attempt) Value(key any) any {
	if _, ok := key.(plan.InfoKey); ok {
		return &a.info
	}
	return a.run.base.Value(key)
}

// AfterFunc lets package context derive contexts from this one without a goroutine.
func (a *attempt) AfterFunc(f func()) func() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		go f()
		return func() bool { return false }
	}
	entry := &afterFunc{f, a.after}
	a.after = entry
	return func() bool { return a.forget(entry) }
}

func (a *attempt) forget(entry *afterFunc) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for at := &a.after; *at != nil; at = &(*at).next {
		if *at == entry {
			*at = entry.next
			return true
		}
	}
	return false
}

// end ends the context. The first reason stays.
func (a *attempt) end(err error) {
	a.mu.Lock()
	if a.err != nil {
		a.mu.Unlock()
		return
	}
	a.err = err
	if a.done != nil {
		close(a.done)
	}
	after := a.after
	a.after = nil
	a.mu.Unlock()
	for ; after != nil; after = after.next {
		go after.f()
	}
}

// cutOff ends the context of a running attempt, which then has AbandonAfter to return.
func (a *attempt) cutOff(err error) {
	a.end(err)
	a.clock.hurry(a, time.Now().Add(a.run.e.opts.AbandonAfter))
}

// runOn calls the user's function on h's goroutine.
func (a *attempt) runOn(h *hand) {
	if a.finished {
		return
	}
	h.clock.begin(a)
	defer h.clock.finish()
	a.call()
	a.end(context.Canceled)
}

// call is the one place that calls a step or an undo. A panic becomes an error; a goroutine that is
// ended by the function hands its attempt on.
func (a *attempt) call() {
	returned := false
	defer func() {
		a.finished = true
		if p := recover(); p != nil {
			a.failed = step.NewPanic(p, debug.Stack())
			a.run.logPanic(a)
			return
		}
		if !returned {
			a.failed = errGoexit
			a.end(context.Canceled)
			a.run.e.submit(task{run: a.run, attempt: a})
		}
	}()
	if a.what.Undo {
		a.failed = a.what.Spec.Undo(a, *a.what.Effect)
	} else {
		a.out, a.failed = a.what.Spec.Do(a, a.what.In)
	}
	returned = true
}
