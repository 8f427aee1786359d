package flow

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
	"github.com/skald-go/skald/step"
)

// errGoexit is the error of a step that ended its goroutine, as testing.T.FailNow does.
var errGoexit = errors.New("flow: the step ended its goroutine with runtime.Goexit")

// attempt is one call of a user's function, and the context that it gets.
//
// It is a context.Context of its own rather than one made by context.WithTimeout, because it is made for
// every step of every saga, and most of them never ask for more than its values: its time is watched by
// the clock of the goroutine that it runs on. One of package context is made behind it when somebody asks
// for Done; what is derived from that costs no goroutine.
type attempt struct {
	run  *run
	what saga.Attempt
	due  time.Time // of the context

	mu       sync.Mutex
	clock    *clock
	stage    stage
	err      error
	standard context.Context // behind Done, or nil
	cancel   context.CancelFunc

	out      any
	failed   error
	finished bool // out and failed are set
	late     bool // it stands for one that was abandoned
	reported bool // run.mu: its outcome is known, by its return or because it was abandoned
}

// stage is how far an attempt has come.
type stage uint8

const (
	waiting   stage = iota // for a goroutine
	begun                  // the user's function was called
	withdrawn              // it never is
)

var _ context.Context = (*attempt)(nil)

// Deadline is when the attempt's time ends.
func (a *attempt) Deadline() (time.Time, bool) { return a.due, true }

// Done is closed when the attempt's time ends, it is cut off, or it has returned.
func (a *attempt) Done() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.standard == nil {
		a.standard, a.cancel = context.WithDeadline(a.run.base, a.due)
		if a.err != nil {
			a.cancel()
		}
	}
	return a.standard.Done()
}

// Err says why the context has ended.
func (a *attempt) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil && a.standard != nil {
		return a.standard.Err()
	}
	return a.err
}

// Value finds the step's info, and what the propagators extracted. Package context finds its own context
// through it, once it has asked for Done.
func (a *attempt) Value(key any) any {
	if _, ok := key.(plan.InfoKey); ok {
		info := a.info()
		return &info
	}
	if _, ok := key.(engineKey); ok {
		return a.run.e
	}
	a.mu.Lock()
	ctx := a.standard
	a.mu.Unlock()
	if ctx == nil {
		ctx = a.run.base
	}
	return ctx.Value(key)
}

// end ends the context. The first reason stays.
func (a *attempt) end(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return
	}
	a.err = err
	if a.standard == nil {
		return
	}
	if already := a.standard.Err(); already != nil {
		a.err = already
	}
	if !errors.Is(err, context.DeadlineExceeded) { // that one comes by itself, with the right error
		a.cancel()
	}
}

// cutOff ends the context of an attempt. One that runs has AbandonAfter to return; one that has not begun is
// not made.
func (a *attempt) cutOff(err error) {
	a.end(err)
	a.mu.Lock()
	c := a.clock
	a.mu.Unlock()
	if c != nil {
		c.hurry(a, time.Now().Add(a.run.e.opts.AbandonAfter))
	}
}

// withdraw keeps an attempt from being made. It says false if it has begun.
func (a *attempt) withdraw() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stage != waiting {
		return false
	}
	a.stage = withdrawn
	return true
}

func (a *attempt) isWithdrawn() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stage == withdrawn
}

// runOn makes the attempt on h's goroutine. The caller has a place for it in the pool, and h gives that back.
func (a *attempt) runOn(h *hand) {
	if !a.finished && a.begin(h) {
		h.now = a
		a.call(h)
		h.now = nil
	}
	h.pool.leave()
}

// begin says whether the user's function is to be called: not if the attempt was withdrawn or cut off before.
func (a *attempt) begin(h *hand) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stage != waiting || a.err != nil {
		a.stage = withdrawn
		return false
	}
	a.stage, a.clock = begun, &h.clock
	return true
}

// call is the one place that calls a step or an undo. A panic becomes an error, and so does the end of the
// goroutine, which h's deferred function reports.
func (a *attempt) call(h *hand) {
	h.clock.begin(a)
	a.failed = errGoexit
	defer func() {
		if p := recover(); p != nil {
			a.failed = step.NewPanic(p, debug.Stack())
			a.run.logPanic(a)
		}
		h.clock.finish()
		a.end(context.Canceled)
		a.finished = true
	}()
	a.out, a.failed = a.perform(a, 0)
}

// abandoned is what is reported of an attempt that does not return.
func (a *attempt) abandoned() *attempt {
	return &attempt{
		run: a.run, what: a.what, stage: withdrawn, finished: true, late: true,
		failed: fmt.Errorf("%w: it did not return within %v after its context had ended: %w",
			saga.ErrInterrupted, a.run.e.opts.AbandonAfter, a.Err()),
	}
}

// info is made when somebody asks for it: most steps do not.
func (a *attempt) info() step.Info {
	r := a.run
	return step.Info{
		Namespace: r.e.opts.Namespace, Flow: r.def.Name, Saga: r.id, Path: a.what.Path, Attempt: a.what.Number,
		Undo: a.what.Undo, Again: a.what.Again, Deadline: r.deadline, Headers: r.headers,
	}
}

// attrs say in a log which attempt it is.
func (a *attempt) attrs() []any {
	return []any{"saga", a.run.id, "flow", a.run.def.Name, "step", a.what.Path, "attempt", a.what.Number, "undo", a.what.Undo}
}
