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
	t      testing.TB
	saga   flow.Flow[I, O]
	opts   flow.Options
	script script
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
	defer func() {
		if recover() != nil {
			t.Fatal("sagatest: Given works in virtual time: call it inside synctest.Test(t, func(t *testing.T) { … })")
		}
	}()
	synctest.Wait()
	return &Case[I, O]{t: t, saga: saga, opts: opts}
}

// Inject lets a fault happen to the step with that path, or to its undo. Each of them can have one fault.
func (c *Case[I, O]) Inject(path string, f Fault) *Case[I, O] {
	c.t.Helper()
	return c.inject(path, f, nil)
}

// Refuse lets a step refuse with err, without being called.
func (c *Case[I, O]) Refuse(path string, err error) *Case[I, O] {
	c.t.Helper()
	return c.inject(path, Refused, err)
}

// Fail lets every attempt of a step fail with err before it is called, as often as its Retry grants attempts.
func (c *Case[I, O]) Fail(path string, err error) *Case[I, O] {
	c.t.Helper()
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
	return c.inject(path, UndoFails, err)
}

func (c *Case[I, O]) inject(path string, f Fault, err error) *Case[I, O] {
	c.t.Helper()
	n := node{path, slices.Contains(undoFaults, f)}
	o := outlineOf(playOf(c.saga, nil).def)
	switch _, taken := c.script.at(n); {
	case taken:
		c.t.Fatalf("sagatest: %s has a fault already", n)
	case o.step(path) == nil:
		c.t.Fatalf("sagatest: no step has the path %q; these are the paths: %s", path, strings.Join(c.saga.Steps(), ", "))
	case !n.undo && !slices.Contains(stepFaults, f), f == OthersAct, f == ParticipantFails, f == RunsTwiceUndone, f == DeadlinePasses:
		c.t.Fatalf("sagatest: the fault %q is one of the matrix only", f)
	}
	c.script = append(c.script, injection{node: n, fault: f, err: err})
	return c
}

// Start starts the saga, and lets it go on until it has ended or waits for a signal or a Delay.
func (c *Case[I, O]) Start(in I) *Run[O] {
	c.t.Helper()
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
