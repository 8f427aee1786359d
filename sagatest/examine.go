package sagatest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/step"
)

// examine says what is wrong with how a saga ended: first what always holds, then what the user asks for.
func (s *stage) examine(r *result) (broken []problem) {
	for _, look := range []func(*result) []problem{
		s.examineAnswers, s.examineUndos, s.examineOrder, s.examineEnd, s.examineCause, s.examineCancel, s.examineErrors, s.examineWorld,
	} {
		broken = append(broken, look(r)...)
	}
	return broken
}

// examineAnswers looks at what single attempts answered.
func (s *stage) examineAnswers(r *result) (broken []problem) {
	for _, c := range r.final.Calls {
		if c.Fault == TimesOut && len(c.Ran) > 0 && classOf(c.Ran[0]) == plan.Refused && isOneOf(c.Ran[0], ended) {
			broken = append(broken, problem{kind: falseNo, path: s.pathOf(c), text: fmt.Sprintf("step %s marks the end of its context as a refusal: %v", c.Path, c.Ran[0])})
		}
	}
	for _, path := range r.swallow {
		broken = append(broken, problem{kind: swallowed, path: path, text: fmt.Sprintf("step %s is done, although its participant failed", path)})
	}
	for _, text := range r.refusals {
		path, changes, _ := strings.Cut(text, ": ")
		broken = append(broken, problem{kind: falseNo, path: path, text: fmt.Sprintf("step %s refused after it had changed something: %s", path, changes)})
	}
	for _, path := range r.abandon {
		broken = append(broken, problem{kind: ignoresCtx, path: path, text: fmt.Sprintf("an attempt of %s did not return after its context had ended", path)})
	}
	return broken
}

var ended = []error{context.Canceled, context.DeadlineExceeded}

func (s *stage) pathOf(c Call) string { return under(inside(c.Saga, s.id), c.Path) }

// history is what was executed of one step.
type history struct {
	path         string
	done         bool // an attempt succeeded
	unknown      bool // an attempt may have had an effect
	undone       bool // an undo succeeded
	undos        int
	first, last  int // index of its first attempt, and of the last that ended
	undoFrom     int // index of its first undo
	undoneAt     int // index of the undo that succeeded
	proceeded    bool
	onlyNotYet   bool
	neverStarted bool
}

func (s *stage) histories(calls []Call) (list []*history) {
	byPath := map[string]*history{}
	for k, c := range calls {
		path := s.pathOf(c)
		h := byPath[path]
		if h == nil {
			h = &history{path: path, first: k, undoFrom: -1, neverStarted: true}
			byPath[path] = h
			list = append(list, h)
		}
		if c.Undo {
			h.addUndo(k, c)
			continue
		}
		h.neverStarted = false
		h.last = k
		class := classOf(c.Err)
		spec := s.outline.step(path)
		switch {
		case c.Done():
			h.done = true
		case c.Err != nil && class == plan.NotYet:
			h.onlyNotYet = !h.unknown
		case class != plan.Refused && (spec == nil || !isOneOf(c.Err, spec.Refuses)):
			h.unknown = true
		}
	}
	return list
}

func (h *history) addUndo(k int, c Call) {
	if h.undoFrom < 0 {
		h.undoFrom = k
	}
	h.undos++
	if c.Done() && !h.undone {
		h.undone, h.undoneAt = true, k
	}
	if c.Err != nil && classOf(c.Err) == plan.Proceed {
		h.proceeded = true
	}
}

// examineUndos looks whether just that is undone which is to be undone.
func (s *stage) examineUndos(r *result) (broken []problem) {
	tell := func(path, format string, args ...any) {
		broken = append(broken, problem{kind: notUndone, path: path, text: fmt.Sprintf(format, args...)})
	}
	for _, h := range s.histories(r.final.Calls) {
		spec := s.outline.step(h.path)
		switch {
		case spec == nil || s.outline.raced(h.path):
		case h.neverStarted:
			tell(h.path, "%s is undone, although it never ran", h.path)
		case h.undos > 0 && !h.done && !h.unknown && !h.onlyNotYet && !s.script.kills():
			tell(h.path, "%s is undone, although it refused", h.path)
		case r.final.State == flow.StateDone && h.undone && !h.proceeded:
			tell(h.path, "%s is undone, although the saga is done", h.path)
		case r.final.State == flow.StateUndone && spec.Undo != nil && (h.done || h.unknown) && !h.undone:
			tell(h.path, "the saga is undone, and %s is not", h.path)
		}
	}
	return broken
}

// examineOrder looks whether what ran one after the other is undone the other way round.
func (s *stage) examineOrder(r *result) (broken []problem) {
	if r.final.Relayed { // the others were undone while the dead letter waited
		return nil
	}
	list := slices.DeleteFunc(s.histories(r.final.Calls), func(h *history) bool { return s.outline.raced(h.path) })
	for _, a := range list {
		for _, b := range list {
			inOrder := a.last < b.first && !s.outline.sideBySide(a.path, b.path) && a.undos > 0 && b.undone
			if inOrder && a.undoFrom < b.undoneAt {
				broken = append(broken, problem{kind: outOfOrder, path: a.path, text: fmt.Sprintf("%s was undone before %s, which ran after it", a.path, b.path)})
			}
		}
	}
	return broken
}

// examineEnd looks at the outcome itself, and at what comes after it.
func (s *stage) examineEnd(r *result) (broken []problem) {
	for _, c := range r.late {
		broken = append(broken, problem{kind: afterEnd, path: s.pathOf(c), text: fmt.Sprintf("%s ran after the saga had ended", c.Name())})
	}
	for _, i := range r.missed {
		broken = append(broken, problem{kind: missed, path: i.node.path, text: fmt.Sprintf("%s at %s: the saga did not come there, although it did without faults: does it depend on chance or on time?", i.fault, i.node)})
	}
	switch {
	case r.final.State == flow.StateDeadLetter && r.final.Relayed:
		broken = append(broken, problem{kind: wrongState, path: "", text: "it is a dead letter, although the fault was over when it was relayed: " + r.final.Err.Error()})
	case r.final.State == flow.StateDeadLetter:
		broken = append(broken, problem{kind: wrongState, path: "", text: "it is a dead letter, and no undo was made to fail for good: " + r.final.Err.Error()})
	case r.final.State == flow.StateUnknown:
		broken = append(broken, problem{kind: wrongState, path: "", text: fmt.Sprintf("the caller got %v", r.final.Err)})
	case r.final.Relayed && !s.script.has(UndoFails):
		i := s.script[len(s.script)-1]
		broken = append(broken, problem{kind: pastPivot, path: i.node.path, text: fmt.Sprintf("%s was refused after the pivot: the saga was a dead letter", i.node.path)})
	}
	return broken
}

// examineCause looks whether the caller hears what really happened.
func (s *stage) examineCause(r *result) []problem {
	if len(s.script) != 1 || r.final.State != flow.StateUndone || !s.script[0].fault.fails() {
		return nil
	}
	i := s.script[0]
	var last error
	for _, c := range r.final.Calls {
		if !c.Undo && c.Fault == i.fault {
			last = c.Err
		}
	}
	want := "the error of the step"
	switch {
	case i.fault == Panics:
		if _, ok := errors.AsType[*step.PanicError](r.final.Err); ok {
			return nil
		}
		want = "a *step.PanicError"
	case i.fault == TimesOut:
		if !errors.Is(last, context.DeadlineExceeded) || errors.Is(r.final.Err, context.DeadlineExceeded) || errors.Is(r.final.Err, flow.ErrDeadline) {
			return nil
		}
		want = "context.DeadlineExceeded"
	case i.fault == Refused:
		if spec := s.outline.step(i.node.path); spec != nil && len(spec.Refuses) > 0 {
			if errors.Is(r.final.Err, spec.Refuses[0]) {
				return nil
			}
			want = fmt.Sprintf("%q under errors.Is", spec.Refuses[0])
			break
		}
		fallthrough
	default:
		if !errors.Is(last, ErrInjected) || errors.Is(r.final.Err, ErrInjected) {
			return nil
		}
	}
	return []problem{{kind: lostCause, path: i.node.path, text: fmt.Sprintf("the caller does not get %s, but %v", want, r.final.Err)}}
}

// examineCancel looks whether what a cancel or a deadline led to is what it was answered with.
func (s *stage) examineCancel(r *result) (broken []problem) {
	if len(s.script) != 1 || len(r.missed) > 0 || slices.ContainsFunc(r.final.Calls, func(c Call) bool { return !c.Undo && c.Err != nil }) {
		return nil // it did not happen, or something else has failed as well
	}
	tell := func(format string, args ...any) {
		broken = append(broken, problem{kind: lostCause, path: s.script[0].node.path, text: fmt.Sprintf(format, args...)})
	}
	undone, err := r.final.State == flow.StateUndone, r.final.Err
	switch f := s.script[0].fault; {
	case f == DeadlinePasses && undone && !errors.Is(err, flow.ErrDeadline):
		tell("the deadline passed, and the caller gets %v", err)
	case f == Cancelled && undone && !errors.Is(err, flow.ErrCancelled):
		tell("the saga was cancelled, and the caller gets %v", err)
	case f == Cancelled && undone != (r.answer == nil):
		tell("the saga is %v, and the cancel was answered with: %v", r.final.State, r.answer)
	case f == Cancelled && !undone && !isOneOf(r.answer, []error{flow.ErrPastPivot, flow.ErrSettled}):
		tell("the cancel was answered with: %v", r.answer)
	}
	return broken
}

// examineErrors looks whether refusals arrive at callers as what they are.
func (s *stage) examineErrors(r *result) (broken []problem) {
	look := func(path string, err error, named bool) {
		arrives := s.opts.Errors.Decode(s.opts.Errors.Encode(err))
		_, unknown := errors.AsType[*errcodec.Opaque](arrives)
		if unknown || named && !errors.Is(arrives, err) {
			broken = append(broken, problem{kind: opaque, path: path, text: fmt.Sprintf("the refusal %q of step %s is not registered in Options.Errors, and callers get its text only", err, path)})
		}
	}
	for _, c := range r.final.Calls {
		spec := s.outline.step(s.pathOf(c))
		if c.Undo || spec == nil {
			continue
		}
		if c.Fault == Refused {
			for _, err := range spec.Refuses {
				look(s.pathOf(c), err, true)
			}
		}
		for _, err := range c.Ran {
			if m := plan.MarkOf(err); m != nil && m.Class == plan.Refused && !isOneOf(err, ended) {
				look(s.pathOf(c), m.Err, false)
			}
		}
	}
	return broken
}

// examineWorld asks the user's invariants, and compares the world of a saga that is undone with the fresh one.
func (s *stage) examineWorld(r *result) (broken []problem) {
	if r.final.State != flow.StateDone && r.final.State != flow.StateUndone {
		return nil
	}
	for _, c := range s.play.checks {
		if err := c.check(r.final); err != nil {
			text := fmt.Sprintf("%s: %v", c.name, err)
			broken = append(broken, problem{kind: invariant, text: text, what: text})
		}
	}
	if r.final.State == flow.StateDone {
		return broken
	}
	if s.play.snapshot != nil {
		if changes := differences(s.play.expected, s.play.snapshot()); len(changes) > 0 {
			broken = append(broken, problem{kind: notAsWas, text: "the saga is undone, and the world differs: " + join(changes), what: join(changes)})
		}
	}
	if e, ok := errors.AsType[*flow.Error](r.final.Err); ok {
		for _, path := range e.Kept {
			if !keeps(s.play.keeps, path) {
				broken = append(broken, problem{kind: kept, path: path, text: fmt.Sprintf("step %s has no compensation, and its effect stays", path)})
			}
		}
	}
	return broken
}
