package sagatest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/step"
)

// Call is an attempt of a step or an undo.
type Call struct {
	Saga, Flow, Path string
	Undo             bool
	Attempt          int
	Key              string    // the idempotency key
	Began, Ended     time.Time // Ended is zero while it runs
	Ran              []error   // what the user's function answered, each time that it ran: once, unless a fault was injected
	Err              error     // what the engine got
	Fault            Fault     // that was injected, or empty
}

// Name is the path, with "undo " before it if it is an undo.
func (c Call) Name() string {
	if c.Undo {
		return "undo " + c.Path
	}
	return c.Path
}

// Done says that the attempt succeeded, as far as the engine knows.
func (c Call) Done() bool { return c.Err == nil && !c.Ended.IsZero() }

// String is one line for people.
func (c Call) String() string {
	text := c.Name()
	if c.Attempt > 1 {
		text += fmt.Sprintf(" (attempt %d)", c.Attempt)
	}
	if c.Fault != "" {
		text += " [" + string(c.Fault) + "]"
	}
	switch {
	case c.Ended.IsZero():
		text += ": runs"
	case c.Err != nil:
		text += ": " + c.Err.Error()
	}
	return text
}

// Recorder keeps what was executed, in the order in which it began. Its Intercept is a flow.Interceptor: it works with any engine and
// broker, and with many engines at once. The zero Recorder is ready.
type Recorder struct {
	mu    sync.Mutex
	calls []*Call
	pulse *pulse // nil outside of the matrix
}

// Intercept records an attempt. Put it into flow.Options.Interceptors.
func (r *Recorder) Intercept(ctx context.Context, next func(context.Context) error) error {
	c := r.begin(ctx)
	return r.answer(c, func() error { return r.run(c, ctx, next) })
}

func (r *Recorder) begin(ctx context.Context) *Call {
	info := step.InfoFrom(ctx)
	c := &Call{
		Saga: info.Saga, Flow: info.Flow, Path: info.Path, Undo: info.Undo, Attempt: info.Attempt, Key: info.Key(), Began: time.Now(),
	}
	r.pulse.beat()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, c)
	return c
}

// run calls the user's function and notes what it answered, also if it panics.
func (r *Recorder) run(c *Call, ctx context.Context, next func(context.Context) error) error {
	return r.watched(func() error { return next(ctx) }, func(err error) { c.Ran = append(c.Ran, err) })
}

// answer notes what the engine gets.
func (r *Recorder) answer(c *Call, attempt func() error) error {
	return r.watched(attempt, func(err error) { c.Err, c.Ended = err, time.Now() })
}

// watched calls f and notes how it ended: with its error, with a *step.PanicError, or by the end of its goroutine. A panic goes on.
func (r *Recorder) watched(f func() error, note func(error)) (err error) {
	returned := false
	defer func() {
		v := recover()
		if !returned {
			err = endOf(v)
		}
		r.pulse.beat()
		r.mu.Lock()
		note(err)
		r.mu.Unlock()
		if !returned && v != nil {
			panic(v)
		}
	}()
	err = f()
	returned = true
	return err
}

// Calls gives what was executed so far.
func (r *Recorder) Calls() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := make([]Call, len(r.calls))
	for k, c := range r.calls {
		calls[k] = *c
		calls[k].Ran = append([]error(nil), c.Ran...)
	}
	return calls
}

// Ran lists the paths of the steps that were done, in order, each as often as it was.
func (r *Recorder) Ran() []string { return pathsOf(r.Calls(), false) }

// Undid lists the paths of the steps that were undone, in order of the undos.
func (r *Recorder) Undid() []string { return pathsOf(r.Calls(), true) }

func pathsOf(calls []Call, undo bool) []string {
	list := []string{}
	for _, c := range calls {
		if c.Undo == undo && c.Done() {
			list = append(list, c.Path)
		}
	}
	return list
}

// placed gives calls with their paths in the saga with the ID root: those of children are before their own.
func placed(calls []Call, root string) []Call {
	calls = slices.Clone(calls)
	for k, c := range calls {
		calls[k].Path = under(inside(c.Saga, root), c.Path)
	}
	return calls
}

// String lists the calls, one a line.
func (r *Recorder) String() string {
	var b strings.Builder
	for _, c := range r.Calls() {
		fmt.Fprintln(&b, c)
	}
	return b.String()
}

// classOf is what an answer means by its mark; an unmarked error is plan.Failed.
func classOf(err error) plan.Class {
	if m := plan.MarkOf(err); m != nil {
		return m.Class
	}
	return plan.Failed
}
