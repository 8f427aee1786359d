package sagatest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/plan"
)

// Run is a saga that runs in virtual time. Its methods are called by the goroutine of the test.
type Run[O any] struct {
	t     testing.TB
	stage *stage
	end   *ending // nil while the saga goes on
}

// patience is the virtual time after which a saga is said not to end.
const patience = 60 * 24 * time.Hour

// mostAttempts is how often a step or an undo may run before it is said that it is never done.
const mostAttempts = 5000

// advance lets the saga go on until it has ended or, unless that is not enough, waits.
func (r *Run[O]) advance(toTheEnd bool) {
	r.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for r.end == nil {
		synctest.Wait()
		r.look()
		if r.end != nil || !toTheEnd && len(r.open()) > 0 {
			return
		}
		select {
		case end := <-r.stage.settled:
			r.end = &end
		case d := <-r.stage.dead:
			r.end = &ending{err: d.Err}
		case err := <-r.stage.tired:
			r.t.Fatalf("%v\n  executed:\n%s", err, listOf(r.placed()))
		case <-r.stage.broker.parked:
		case <-limit.C:
			r.t.Fatalf("sagatest: the saga has not ended after %v: %s", patience, r.stage.standing())
		}
	}
}

// look sees whether the saga has ended, without waiting.
func (r *Run[O]) look() {
	select {
	case end := <-r.stage.settled:
		r.end = &end
	default:
	}
}

// open lists the paths of what the saga and its children wait for.
func (r *Run[O]) open() (paths []string) {
	for snap, err := range r.stage.caller.List(r.stage.ctx, flow.Filter{}) {
		if err != nil {
			r.t.Fatal(err)
		}
		for _, path := range r.stage.waits(snap.SagaID) {
			paths = append(paths, under(inside(snap.SagaID, r.stage.id), path))
		}
	}
	return paths
}

// After lets time pass.
func (r *Run[O]) After(d time.Duration) *Run[O] {
	time.Sleep(d)
	synctest.Wait()
	r.look()
	return r
}

// Signal gives the saga a signal, and lets it go on until it has ended or waits.
func (r *Run[O]) Signal[S any](signal flow.Signal[S], value S) *Run[O] {
	r.t.Helper()
	err := signal.Send(r.stage.ctx, r.stage.caller, r.stage.id, value)
	if err == nil {
		err = r.stage.outline.awaits("", signal)
	}
	if err != nil {
		r.t.Errorf("sagatest: Run.Signal: %v", err)
	}
	r.advance(false)
	return r
}

// Cancel asks the saga to go back, and lets it go on until it has ended or waits. Only flow.ErrPastPivot, ErrCompensating and ErrSettled,
// which are answers, are no failures of the test; Run.Calls tells what came of it.
func (r *Run[O]) Cancel(reason string) *Run[O] {
	r.t.Helper()
	err := r.stage.play.attach(r.stage.caller, r.stage.id).cancel(r.stage.ctx, reason)
	if err != nil && !isOneOf(err, []error{flow.ErrPastPivot, flow.ErrCompensating, flow.ErrSettled}) {
		r.t.Error(err)
	}
	r.advance(false)
	return r
}

// Waits expects that the saga waits at these paths now, and at no others: Waits, Delays, and those of children.
func (r *Run[O]) Waits(paths ...string) *Run[O] {
	r.t.Helper()
	r.expect("the saga waits", paths, r.open())
	return r
}

// Ran expects that just these steps were done so far, in that order, each as often as it is named. A step whose reply was lost was
// not done, as far as anybody knows. The path of a child stands before those in it.
func (r *Run[O]) Ran(paths ...string) *Run[O] {
	r.t.Helper()
	r.expect("steps that were done", paths, pathsOf(r.placed(), false))
	return r
}

// Undid expects that just these steps were undone so far, in that order.
func (r *Run[O]) Undid(paths ...string) *Run[O] {
	r.t.Helper()
	r.expect("steps that were undone", paths, pathsOf(r.placed(), true))
	return r
}

func (r *Run[O]) expect(what string, want, got []string) {
	r.t.Helper()
	if !slices.Equal(want, got) {
		r.t.Errorf("sagatest: %s:%s\n  %s\n  executed:\n%v", what, sideways(want, got), r.standing(), listOf(r.placed()))
	}
}

// standing says where the saga is, and why.
func (r *Run[O]) standing() string {
	switch {
	case r.end == nil:
		return "the saga has not ended: " + r.stage.standing()
	case r.end.err != nil:
		return "the saga has ended: " + r.end.err.Error()
	default:
		return "the saga is done"
	}
}

// Gives waits for the end, and expects that the saga is done with that output.
func (r *Run[O]) Gives(want O) *Run[O] {
	r.t.Helper()
	got, err := r.Result()
	switch {
	case err != nil:
		r.t.Errorf("sagatest: the saga is not done: %v\n  executed:\n%v", err, listOf(r.placed()))
	default:
		if other := unexpected(want, got); len(other) > 0 {
			r.t.Errorf("sagatest: the saga gives something else: %s", join(other))
		}
	}
	return r
}

// Undone waits for the end, and expects that the saga is undone because of an error that is cause under errors.Is.
func (r *Run[O]) Undone(cause error) *Run[O] {
	r.t.Helper()
	r.ended(flow.StateUndone, cause)
	return r
}

// RefusedWith is Undone, and expects that the cause was a refusal: the step that failed first was not undone.
func (r *Run[O]) RefusedWith(cause error) *Run[O] {
	r.t.Helper()
	err := r.ended(flow.StateUndone, cause)
	if e, ok := errors.AsType[*flow.Error](err); ok && slices.ContainsFunc(e.Undone, func(u flow.Undo) bool { return u.Step == e.Step }) {
		r.t.Errorf("sagatest: step %s did not refuse: its outcome was unknown, and it was undone", e.Step)
	}
	return r
}

// DeadLetter waits for the end, and expects that the saga is a dead letter because of an error that is cause under errors.Is: that of the step that failed
// first, or that of an undo that failed for good.
func (r *Run[O]) DeadLetter(cause error) *Run[O] {
	r.t.Helper()
	r.ended(flow.StateDeadLetter, cause)
	return r
}

func (r *Run[O]) ended(want flow.State, cause error) error {
	r.t.Helper()
	_, err := r.Result()
	if got := stateOf(err); got != want {
		r.t.Errorf("sagatest: the saga is %v, expected: %v: %v\n  executed:\n%v", got, want, err, listOf(r.placed()))
	} else if !errors.Is(err, cause) && !(want == flow.StateDeadLetter && undoFailed(err, cause)) {
		r.t.Errorf("sagatest: the saga is %v for another reason, expected: %v: %v%s", got, cause, err, r.unregistered(cause))
	}
	return err
}

// undoFailed says that an undo of the saga that ended with err failed because of cause.
func undoFailed(err, cause error) bool {
	e, ok := errors.AsType[*flow.Error](err)
	return ok && slices.ContainsFunc(e.Undone, func(u flow.Undo) bool { return errors.Is(u.Err, cause) })
}

// unregistered hints at an error that cannot be found because it does not travel as what it is.
func (r *Run[O]) unregistered(cause error) string {
	codec := r.stage.opts.Errors
	if cause == nil || errors.Is(codec.Decode(codec.Encode(cause)), cause) {
		return ""
	}
	return fmt.Sprintf("\n  %q is not registered, so callers get its text only: give Options.Errors an errcodec.Sentinel or errcodec.Type for it", cause)
}

// Result waits for the end, and gives what a caller gets.
func (r *Run[O]) Result() (O, error) {
	r.t.Helper()
	r.advance(true)
	return plan.Cast[O](r.end.out), r.end.err
}

// Calls gives what was executed so far.
func (r *Run[O]) Calls() []Call { return r.stage.recorder.Calls() }

// placed is Calls with the paths of children before those in them.
func (r *Run[O]) placed() []Call { return placed(r.Calls(), r.stage.id) }
