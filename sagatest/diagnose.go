package sagatest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/step"
)

// diagnose says what mistake is probably behind what is wrong in a cell. It compares the cell with others of the same saga.
func (x *explorer) diagnose(c *cell) Mistake {
	for _, look := range []func(*cell) (Mistake, bool){x.noEnd, x.panics, x.plainMistake, x.deadLetter, x.wrongWorld, x.refusedRepeat} {
		if m, ok := look(c); ok {
			return m
		}
	}
	p := c.result.broken[0]
	return Mistake{p.path, firstLine(p.text)}
}

// advice is what to do about problems that say by themselves where the mistake is.
var advice = map[kindOfProblem]string{
	swallowed:  "it swallows an error: return it, so that the saga knows that nothing happened",
	falseNo:    "a refusal means that nothing happened, and its undo does not run: return the plain error where something may have happened",
	ignoresCtx: "it ignores its context: pass it on, and stop when it ends",
	opaque:     "register it with errcodec.Sentinel or errcodec.Type",
	kept:       "a forgotten compensation: add Compensate, say ReadOnly if it changes nothing, or name it in World.Keeps",
	pastPivot:  "nothing is undone after the pivot: put it before the pivot, or let it never refuse",
	leak:       "end every goroutine that a step starts before the step returns",
	hangs: "it waits for a network, a file, a process or a lock outside of its bubble: give it a fake in memory that waits on channels and timers " +
		"only (net.Pipe is one), or raise World.Patience if it computes for that long",
	endless: "what comes after the pivot is tried until it is done: let the fake answer in the end, or raise World.Attempts if it asks that often",
}

// noEnd looks at what kept the saga from its end.
func (x *explorer) noEnd(c *cell) (Mistake, bool) { return mistakeOf(c, upset, hangs, endless) }

func (x *explorer) plainMistake(c *cell) (Mistake, bool) {
	return mistakeOf(c, swallowed, falseNo, ignoresCtx, opaque, kept, pastPivot, leak)
}

// mistakeOf gives the first problem of one of these kinds, with what to do about it.
func mistakeOf(c *cell, kinds ...kindOfProblem) (Mistake, bool) {
	for _, kind := range kinds {
		for _, p := range c.result.broken {
			if p.kind == kind {
				text := strings.TrimSuffix(firstLine(p.text), ":")
				if do := advice[kind]; do != "" {
					text += ": " + do
				}
				return Mistake{p.path, text}, true
			}
		}
	}
	return Mistake{}, false
}

// panics looks for a step, or a pure function of the saga, that panicked by itself.
func (x *explorer) panics(c *cell) (Mistake, bool) {
	for _, call := range c.result.final.Calls {
		for _, err := range call.Ran {
			_, panicked := errors.AsType[*step.PanicError](err)
			if !call.Undo && (panicked || errors.Is(err, errGoexit)) {
				path := under(inside(call.Saga, sagaID), call.Path)
				return Mistake{path, fmt.Sprintf("step %s %s", path, mishap(err))}, true
			}
		}
	}
	e, failed := errors.AsType[*flow.Error](c.result.final.Err)
	p, panicked := errors.AsType[*step.PanicError](c.result.final.Err)
	if !failed || !panicked || c.script.has(Panics) || slices.ContainsFunc(c.result.final.Calls, func(call Call) bool { return call.panicked() }) {
		return Mistake{}, false
	}
	return Mistake{e.Step, fmt.Sprintf("a function of the saga at %s or right before it (a Map, join, condition, items or Delay) panicked: %s", e.Step, p.Value)}, true
}

func (c Call) panicked() bool {
	_, ok := errors.AsType[*step.PanicError](c.Err)
	return ok
}

// deadLetter looks why a saga is a dead letter that should not be one.
func (x *explorer) deadLetter(c *cell) (Mistake, bool) {
	if c.result.final.State != flow.StateDeadLetter {
		return Mistake{}, false
	}
	calls := c.result.final.Calls
	for _, call := range slices.Backward(calls) {
		path := under(inside(call.Saga, sagaID), call.Path)
		switch {
		case call.Undo && call.Err != nil && call.Fault == "":
			return Mistake{path, fmt.Sprintf("the undo of %s fails %s: %v", path, x.whenUndone(c, path), call.Err)}, true
		case call.Undo && call.Err != nil && len(call.Ran) > 0:
			return Mistake{path, fmt.Sprintf("the undo of %s is not idempotent: its repeat answers %v", path, call.Ran[len(call.Ran)-1])}, true
		case !call.Undo && call.Err != nil && classOf(call.Err) == plan.Refused && x.outline.isAfterPivot(path):
			return Mistake{path, fmt.Sprintf("step %s was refused after the pivot (%v): %s", path, call.Err, advice[pastPivot])}, true
		}
	}
	return Mistake{}, false
}

// whenUndone says in which situation an undo ran.
func (x *explorer) whenUndone(c *cell, path string) string {
	known := x.undoWhenKnown(path)
	switch {
	case known == failsWhenKnown:
		return "always, also when its step is done and Out is known"
	case c.node.undo && c.node.path == path:
		return "when it runs again: it is not idempotent"
	case c.node.path != path:
		return "although its step is done"
	case known == neverKnown:
		return "when Known is false, as it always is there, since no later step sends the saga back: it needs Out, or never works"
	}
	switch c.fault {
	case LostReply:
		return "when the reply was lost: it needs Out, which is zero when Known is false"
	case RunsTwice, DiesBefore:
		return "after its step ran twice"
	}
	if x.breaksWorld(path, LostReply) {
		return "when Known is false: it needs Out, which is zero then"
	}
	return "when nothing happened: it assumes the effect, although Known is false"
}

// knownUndo is what becomes of an undo whose step is done.
type knownUndo int

const (
	neverKnown knownUndo = iota // no later step refuses
	worksWhenKnown
	failsWhenKnown
)

// undoWhenKnown looks at the cells in which a later step refuses.
func (x *explorer) undoWhenKnown(path string) knownUndo {
	for _, n := range x.steps {
		refused := x.byName[n.path+"/"+string(Refused)]
		if refused == nil || refused.none != "" || n.path == path {
			continue
		}
		var ran, worked bool
		for _, call := range x.run(x.t, refused).final.Calls {
			if call.Undo && under(inside(call.Saga, sagaID), call.Path) == path {
				ran, worked = true, worked || call.Done()
			}
		}
		switch {
		case worked:
			return worksWhenKnown
		case ran:
			return failsWhenKnown
		}
	}
	return neverKnown
}

// breaksWorld says that the world, or the saga itself, is not as it should be in a cell.
func (x *explorer) breaksWorld(path string, f Fault) bool {
	c := x.byName[path+"/"+string(f)]
	return c != nil && c.none == "" && x.hasWrongWorld(c)
}

func (x *explorer) hasWrongWorld(c *cell) bool {
	r := x.run(x.t, c)
	return r.final.State == flow.StateDeadLetter || slices.ContainsFunc(r.broken, isOfWorld)
}

func isOfWorld(p problem) bool { return p.kind == invariant || p.kind == notAsWas }

// wrongWorld looks which step is behind a world that is not as it should be.
func (x *explorer) wrongWorld(c *cell) (Mistake, bool) {
	k := slices.IndexFunc(c.result.broken, isOfWorld)
	if k < 0 {
		return Mistake{}, false
	}
	what := c.result.broken[k].what
	path := c.node.path
	if culprit, ok := x.culprit(c); ok {
		return x.badUndo(culprit, what), true
	}
	mistake := func(format string) (Mistake, bool) { return Mistake{path, fmt.Sprintf(format, path, what)}, true }
	switch c.fault {
	case NoFault:
		return Mistake{"", "even without a fault: " + what}, true
	case UndoLosesReply, UndoRunsTwice, UndoDiesBefore:
		return mistake("the undo of %s is not idempotent: after its second run: %s")
	case RunsTwice, DiesBefore:
		return mistake("step %s is not idempotent: it had its effect twice: %s")
	case RunsTwiceUndone:
		if x.breaksWorld(path, RunsTwice) {
			return mistake("step %s is not idempotent: it had its effect twice: %s")
		}
		return mistake("the undo of %s restores what its step remembered outside of In and Out, and a second run overwrote it: %s")
	case OthersAct:
		path = x.firstOverwriting(path)
		return mistake("the undo of %s restores what it remembers of the world, rather than taking back its own effect; what others did meanwhile is lost: %s")
	case LostReply:
		return x.lostReply(path, what), true
	case FailsBefore, Panics, TimesOut, ParticipantFails:
		return x.assumedEffect(c, what), true
	}
	return Mistake{}, false
}

// firstOverwriting is the first step up to path in whose undo what others did is lost.
func (x *explorer) firstOverwriting(path string) string {
	for _, n := range x.steps {
		if n.path == path || x.breaksWorld(n.path, OthersAct) {
			return n.path
		}
	}
	return path
}

// lostReply tells what is wrong with a step whose effect stays, or is undone too often, when its reply is lost.
func (x *explorer) lostReply(path, what string) Mistake {
	spec := x.outline.step(path)
	again := x.breaksWorld(path, RunsTwice)
	switch {
	case spec.ReadOnly:
		return Mistake{path, fmt.Sprintf("step %s says that it is ReadOnly, and has an effect: %s", path, what)}
	case again && (spec.Pivot || x.outline.isAfterPivot(path)):
		return Mistake{path, fmt.Sprintf("step %s is not idempotent: its attempts after a lost reply had their effect again: %s", path, what)}
	case spec.Undo == nil:
		return Mistake{path, fmt.Sprintf("a lost reply leaves the effect of %s: it has no compensation: %s", path, what)}
	case again && spec.Retry.Attempts > 1:
		return Mistake{path, fmt.Sprintf("step %s is not idempotent: its attempts after a lost reply had their effect again: %s", path, what)}
	}
	return Mistake{path, fmt.Sprintf("a lost reply leaves the effect of %s: its undo does nothing, or needs Out, when Known is false: %s", path, what)}
}

// assumedEffect tells what is wrong with an undo of something that has not happened.
func (x *explorer) assumedEffect(c *cell, what string) Mistake {
	path := c.node.path
	for _, call := range c.result.final.Calls {
		switch {
		case under(inside(call.Saga, sagaID), call.Path) != path || call.Undo || len(call.Ran) == 0:
		case c.fault == TimesOut && call.Ran[0] == nil:
			return x.lostReply(path, what)
		case c.fault == ParticipantFails:
			return Mistake{path, fmt.Sprintf("step %s leaves a part of its effect when it fails: %s", path, what)}
		}
	}
	return Mistake{path, fmt.Sprintf("the undo of %s assumes the effect, although Known is false and nothing had happened: %s", path, what)}
}

// culprit looks for a step before the fault whose undo does not work even if everything about it is known.
func (x *explorer) culprit(c *cell) (path string, ok bool) {
	seen := []node{}
	for _, n := range x.steps {
		refused := x.byName[n.path+"/"+string(Refused)]
		if refused == nil || refused.none != "" {
			continue
		}
		r := x.run(x.t, refused)
		if !x.hasWrongWorld(refused) {
			seen = append(seen, r.ranBefore()...)
			continue
		}
		for _, ran := range slices.Backward(r.ranBefore()) {
			if !slices.Contains(seen, ran) && slices.Contains(c.result.ranBefore(), ran) && c.goesBack() {
				return ran.path, true
			}
		}
		return "", false
	}
	return "", false
}

// goesBack says that the saga of the cell compensated.
func (c *cell) goesBack() bool { return c.result.final.State != flow.StateDone }

// ranBefore lists the steps that were done.
func (r *result) ranBefore() (nodes []node) {
	for _, c := range r.final.Calls {
		if !c.Undo && len(c.Ran) > 0 {
			nodes = append(nodes, node{path: under(inside(c.Saga, sagaID), c.Path)})
		}
	}
	return nodes
}

// badUndo tells what is wrong with the undo of a step that is not taken back although it is known.
func (x *explorer) badUndo(path, what string) Mistake {
	spec := x.outline.step(path)
	switch {
	case spec != nil && spec.ReadOnly:
		return Mistake{path, fmt.Sprintf("step %s says that it is ReadOnly, and has an effect: %s", path, what)}
	case spec == nil || spec.Undo == nil:
		return Mistake{path, fmt.Sprintf("step %s has no compensation: %s: %s", path, what, advice[kept])}
	case x.breaksWorld(path, FailsBefore):
		return Mistake{path, fmt.Sprintf("the undo of %s is answered and does nothing when the step is done, but acts when nothing had happened: "+
			"it uses the idempotency key of the step, so that it passes for a repeat: %s", path, what)}
	}
	return Mistake{path, fmt.Sprintf("the undo of %s does not take back its effect: %s", path, what)}
}

// refusedRepeat looks at a step whose second run is not answered as the first was.
func (x *explorer) refusedRepeat(c *cell) (Mistake, bool) {
	if c.fault != RunsTwice && c.fault != DiesBefore && c.fault != DiesAfter {
		return Mistake{}, false
	}
	for _, call := range slices.Backward(c.result.final.Calls) {
		path := under(inside(call.Saga, sagaID), call.Path)
		if !call.Undo && path == c.node.path && call.Err != nil {
			return Mistake{path, fmt.Sprintf("step %s is not idempotent: when it runs again it answers %v, instead of what it answered first", path, call.Err)}, true
		}
	}
	return Mistake{}, false
}
