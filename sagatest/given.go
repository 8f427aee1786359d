package sagatest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/skald-go/skald/flow"
)

// Case is one saga that is to be tested, with what goes wrong in it. Make one with Given.
type Case[I, O any] struct {
	t       testing.TB
	saga    flow.Flow[I, O]
	opts    flow.Options
	script  script
	started bool
}

// Given begins a test of a single run of a saga, inside a bubble of package testing/synctest:
//
//	synctest.Test(t, func(t *testing.T) {
//		sagatest.Given(t, shop.Order(), flow.Options{Errors: Errors}).
//			Refuse("charge", ErrDeclined).
//			Start(request).
//			Ran("reserve").Undid("reserve").RefusedWith(ErrDeclined)
//	})
//
// It runs on a broker in memory. Methods that expect something fail the test with what they found, and let it go on.
func Given[I, O any](t testing.TB, saga flow.Flow[I, O], opts flow.Options) *Case[I, O] {
	t.Helper()
	needBubble(t, "Given")
	c := &Case[I, O]{t: t, saga: saga, opts: opts}
	t.Cleanup(func() {
		if !c.started && !t.Failed() {
			t.Errorf("sagatest: Given of %q was never started, and has tested nothing: call Start", saga.Name())
		}
	})
	return c
}

// Inject lets a fault happen to the step with that path, or to its undo. Each of them can have one fault.
func (c *Case[I, O]) Inject(path string, f Fault) *Case[I, O] {
	c.t.Helper()
	return c.inject(path, f, nil)
}

// Refuse lets a step refuse with err, without being called.
func (c *Case[I, O]) Refuse(path string, err error) *Case[I, O] {
	c.t.Helper()
	c.needError(err, "Refuse", path, Refused)
	return c.inject(path, Refused, err)
}

// Fail lets every attempt of a step fail with err before it is called, as often as its Retry grants attempts.
func (c *Case[I, O]) Fail(path string, err error) *Case[I, O] {
	c.t.Helper()
	c.needError(err, "Fail", path, FailsBefore)
	return c.inject(path, FailsBefore, err)
}

// LoseReply lets every attempt of a step have its effect and fail.
func (c *Case[I, O]) LoseReply(path string) *Case[I, O] {
	c.t.Helper()
	return c.inject(path, LostReply, nil)
}

// Crash lets the worker die after the effect of a step, before that is stored. Another takes the saga over.
func (c *Case[I, O]) Crash(path string) *Case[I, O] {
	c.t.Helper()
	return c.inject(path, DiesBefore, nil)
}

// FailUndo lets the undo of a step fail for good with err.
func (c *Case[I, O]) FailUndo(path string, err error) *Case[I, O] {
	c.t.Helper()
	c.needError(err, "FailUndo", path, UndoFails)
	return c.inject(path, UndoFails, err)
}

func (c *Case[I, O]) needError(err error, call, path string, f Fault) {
	c.t.Helper()
	if err == nil {
		c.t.Fatalf("sagatest: %s(%q, nil) needs an error; Inject(%q, %q) makes one", call, path, path, f)
	}
}

func (c *Case[I, O]) inject(path string, f Fault, err error) *Case[I, O] {
	c.t.Helper()
	n := node{path, slices.Contains(undoFaults, f)}
	o := outlineOf(playOf(c.saga, nil).def)
	_, taken := c.script.at(n)
	switch at, spec := o.at(path), o.step(path); {
	case f == OthersAct, f == ParticipantFails, f == RunsTwiceUndone, f == DeadlinePasses, f == NoSignal, f == NoFault:
		c.t.Fatalf("sagatest: the fault %q is one of the matrix only", f)
	case !n.undo && !slices.Contains(stepFaults, f):
		c.t.Fatalf("sagatest: there is no fault %q; see sagatest.Fault for those that there are", f)
	case at == nil:
		c.t.Fatalf("sagatest: no step has the path %q; these are the steps: %s", path, strings.Join(o.steps(), ", "))
	case spec == nil:
		c.t.Fatalf("sagatest: %s is a %v, and faults happen to steps; these are the steps: %s", path, at.Kind, strings.Join(o.steps(), ", "))
	case strings.Contains(path, "[]"), strings.Contains(path, "#/"):
		c.t.Fatalf("sagatest: there are many of %s: say which, such as %s", path, strings.NewReplacer("[]", "[0]", "#/", "#1/").Replace(path))
	case taken:
		c.t.Fatalf("sagatest: %s has a fault already", n)
	case n.undo && spec.Undo == nil:
		c.t.Fatalf("sagatest: %s has no compensation to which %q could happen", path, f)
	}
	c.script = append(c.script, injection{node: n, fault: f, err: err})
	return c
}

// Start starts the saga, and lets it go on until it has ended or waits for a signal or a Delay.
func (c *Case[I, O]) Start(in I) *Run[O] {
	c.t.Helper()
	c.started = true
	s := newStage(playOf(c.saga, func() I { return in }), c.script, c.opts, mostAttempts)
	r := &Run[O]{t: c.t, stage: s}
	c.t.Cleanup(r.close)
	synctest.Wait()
	if err := s.start(); err != nil {
		c.t.Fatal(err)
	}
	r.advance(false)
	return r
}

func (r *Run[O]) close() {
	if err := r.stage.close(); err != nil {
		r.t.Error(err)
	}
	for k, i := range r.stage.script {
		if !r.stage.happened[k] {
			r.t.Errorf("sagatest: %s did not happen to %s", i.fault, i.node)
		}
	}
}

// sideways puts two lists beside one another.
func sideways(want, got []string) string {
	width := len("expected")
	for _, w := range want {
		width = max(width, len(w))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n      %-*s  %s", width, "expected", "got")
	for k := range max(len(want), len(got)) {
		w, g, mark := "–", "–", " "
		if k < len(want) {
			w = want[k]
		}
		if k < len(got) {
			g = got[k]
		}
		if w != g {
			mark = "✗"
		}
		fmt.Fprintf(&b, "\n    %s %-*s  %s", mark, width, w, g)
	}
	return b.String()
}
