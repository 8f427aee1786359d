package sagatest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/skald-go/skald/flow"
)

// Matrix runs a saga once without faults, then once for each point of failure of its definition, each in a world of its own and in virtual
// time, and checks how it ends. Every cell is a subtest with the name of its node and its fault: "charge/lost-reply". What a failing cell
// says names the mistake that is most likely, and where it is.
//
// What is checked: the saga ends; it is undone, done, or a dead letter only because an undo was made to fail for good, and then ends when it
// is relayed; just those steps are undone that may have had an effect, the last first; nothing runs after the end, nor stays behind; the caller
// gets the error that really happened; nothing that is undone leaves a trace in World.Snapshot; and World.Invariants hold. That the fault
// happened where it was meant to is checked too; where it cannot happen the table says why.
func Matrix[W, I, O any](t *testing.T, saga func(W) flow.Flow[I, O], world World[W, I]) {
	t.Helper()
	x := newExplorer(t, saga, world)
	if !x.prepare(world.Skip) {
		return
	}
	for _, c := range x.cells {
		if x.leavesOut(world.Skip, c) {
			continue
		}
		t.Run(c.name(), func(t *testing.T) {
			x.run(t, c)
			if len(c.result.broken) > 0 {
				t.Error(x.describe(c))
			}
		})
	}
	if r := x.report(world.Skip); world.Verbose || testing.Verbose() || len(r.Failures) > 0 {
		t.Log(r.String())
	}
}

// prepare runs the saga without faults, plans the cells, and finds names in the world that are none. If something is wrong without faults, there
// is only that cell.
func (x *explorer) prepare(skip map[string]string) bool {
	x.t.Helper()
	base := x.learn()
	if len(base.result.broken) > 0 {
		return true
	}
	x.plan(base)
	return x.checkNames(x.expect, skip)
}

// leavesOut says that a cell is not run: it cannot happen, is skipped, or another one hangs, which nothing can end.
func (x *explorer) leavesOut(skip map[string]string, c *cell) bool {
	return c.none != "" || skipped(skip, c) != "" || x.hung != "" && c.result == nil
}

// Examine is Matrix without subtests: it runs all cells and gives what it found. It fails the test only for a World that cannot be, such as one that
// expects something of a cell that there is not.
func Examine[W, I, O any](t *testing.T, saga func(W) flow.Flow[I, O], world World[W, I]) Report {
	t.Helper()
	x := newExplorer(t, saga, world)
	x.prepare(world.Skip)
	for _, c := range x.cells {
		if !x.leavesOut(world.Skip, c) {
			x.run(t, c)
		}
	}
	return x.report(world.Skip)
}

func newExplorer[W, I, O any](t *testing.T, saga func(W) flow.Flow[I, O], world World[W, I]) *explorer {
	t.Helper()
	needNoBubble(t)
	wrong := world.mistakes()
	if saga == nil {
		wrong = append(wrong, "the function that makes the saga is nil")
	}
	if len(wrong) > 0 {
		t.Fatalf("sagatest: the matrix cannot run:\n  %s", strings.Join(wrong, "\n  "))
	}
	return &explorer{
		t: t, stage: stagingOf(saga, world), opts: world.Options, most: world.limits(), keeps: world.Keeps, expect: world.Expect, pairs: world.Pairs,
		others: world.Meanwhile != nil && world.Snapshot != nil, breaks: world.Break != nil, byName: map[string]*cell{},
	}
}

// skipped says why a cell is left out, or nothing.
func skipped(skip map[string]string, c *cell) string {
	if why, ok := skip[c.name()]; ok {
		return why
	}
	return skip[c.node.path]
}

// mostCalls is how many of the attempts that were made a report lists.
const mostCalls = 50

// describe says what is wrong in a cell, what the mistake probably is, and how to run the cell again.
func (x *explorer) describe(c *cell) string {
	r := c.result
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", c.title(), r.outcome())
	if undos := r.undos(); len(undos) > 0 {
		fmt.Fprintf(&b, "; undone: %s", strings.Join(undos, ", "))
	}
	for _, p := range r.broken {
		fmt.Fprintf(&b, "\n    %s", p)
	}
	fmt.Fprintf(&b, "\n    mistake: %s", x.diagnose(c).Text)
	fmt.Fprintf(&b, "\n    executed:")
	b.WriteString(indented(listOf(placed(r.final.Calls, sagaID)), "\n        "))
	fmt.Fprintf(&b, "\n    again: %s", replay(x.t.Name(), c.name()))
	return b.String()
}

// listOf lists calls, one a line, the first of many.
func listOf(calls []Call) string {
	var b strings.Builder
	for k, call := range calls {
		if k == mostCalls {
			fmt.Fprintf(&b, "… and %d more\n", len(calls)-k)
			break
		}
		fmt.Fprintln(&b, call)
	}
	return b.String()
}

func indented(lines, before string) string {
	if lines == "" {
		return ""
	}
	return before + strings.ReplaceAll(strings.TrimSuffix(lines, "\n"), "\n", before)
}
