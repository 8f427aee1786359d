package sagatest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/plan"
)

// needNoBubble fails the test if it is in virtual time.
func needNoBubble(t testing.TB) {
	t.Helper()
	if isBubble() {
		t.Fatal("sagatest: Matrix and Examine make a bubble for each cell: call them outside of synctest.Test")
	}
}

func isBubble() bool { return bubbleOf(stackHere()) != "" }

// mistakes says what of a world cannot be, as far as that is known before anything has run.
func (w World[W, I]) mistakes() (list []string) {
	tell := func(wrong bool, format string, args ...any) {
		if wrong {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	tell(w.New == nil, "World.New is needed")
	tell(w.Input == nil, "World.Input is needed")
	tell(w.Limit < 0, "World.Limit is %v: virtual time that a saga may take, or 0 for 60 days", w.Limit)
	tell(w.Patience < 0, "World.Patience is %v: real time in which nothing moves, or 0 for 10 s", w.Patience)
	tell(w.Attempts < 0, "World.Attempts is %d: attempts of a step in one cell, or 0 for %d", w.Attempts, mostAttempts)
	for k, i := range w.Invariants {
		tell(i.Bind == nil, "World.Invariants[%d] (%q) has no function that checks: make it with Holds, Check, Conserved, NothingHeld, WhenDone or WhenUndone", k, i.Name)
	}
	for name, state := range w.Expect {
		ends := state == flow.StateDone || state == flow.StateUndone || state == flow.StateDeadLetter
		tell(!ends, "World.Expect of %q is %v, and a cell ends as StateDone, StateUndone or StateDeadLetter", name, state)
	}
	for _, p := range w.Pairs {
		tell(!p.Step.fails(), "World.Pairs: no step fails by %q: take one of Refused, FailsBefore, LostReply, TimesOut and Panics", p.Step)
		tell(!slices.Contains(undoFaults, p.Undo), "World.Pairs: %q is no fault of an undo: take one of those that begin with Undo", p.Undo)
	}
	slices.Sort(list)
	return list
}

// limits are what a cell may take.
func (w World[W, I]) limits() limits {
	return limits{cmp.Or(w.Limit, patience), cmp.Or(w.Attempts, mostAttempts), cmp.Or(w.Patience, 10*time.Second)}
}

// checkNames finds names of cells, nodes and steps that do not exist. It needs the cells.
func (x *explorer) checkNames(expect map[string]flow.State, skip map[string]string) bool {
	x.t.Helper()
	var unknown []string
	for name := range expect {
		switch c := x.byName[name]; {
		case c == nil:
			unknown = append(unknown, "World.Expect: "+name)
		case c.none != "":
			unknown = append(unknown, fmt.Sprintf("World.Expect: %s (%s)", name, c.none))
		}
	}
	for name := range skip {
		if x.byName[name] == nil && !slices.ContainsFunc(x.cells, func(c *cell) bool { return c.node.path == name }) {
			unknown = append(unknown, "World.Skip: "+name)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		x.t.Errorf("sagatest: the matrix has no such cells: %s", strings.Join(unknown, ", "))
	}
	return x.checkKeeps() && len(unknown) == 0
}

// checkKeeps finds paths in World.Keeps whose effects cannot stay.
func (x *explorer) checkKeeps() bool {
	x.t.Helper()
	var wrong []string
	for _, path := range x.keeps {
		switch spec := x.outline.step(path); {
		case spec == nil:
			wrong = append(wrong, fmt.Sprintf("%s is no step; these are: %s", path, strings.Join(x.outline.steps(), ", ")))
		case spec.Undo != nil:
			wrong = append(wrong, path+" has a compensation, which takes its effect back")
		case spec.ReadOnly:
			wrong = append(wrong, path+" is ReadOnly, and has no effect")
		}
	}
	if len(wrong) > 0 {
		x.t.Errorf("sagatest: World.Keeps: %s", strings.Join(wrong, "; "))
	}
	return len(wrong) == 0
}

// steps lists the paths of the steps.
func (o *outline) steps() (paths []string) {
	for _, path := range o.order {
		if o.nodes[path].Kind == plan.Step {
			paths = append(paths, path)
		}
	}
	return paths
}

// keeps says that the effect of a step may stay: its path is in the list, with the numbers of items and rounds or without.
func keeps(list []string, path string) bool {
	return slices.Contains(list, path) || slices.Contains(list, numbers.ReplaceAllString(path, "$1$2$3"))
}
