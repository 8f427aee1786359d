package sagatest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

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
	base := x.learn()
	if len(base.result.broken) == 0 {
		x.plan(base)
	}
	known := x.checkNames(world.Expect, world.Skip)
	if !known {
		return
	}
	for _, c := range x.cells {
		if c.none != "" || skipped(world.Skip, c) != "" {
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

// Examine is Matrix without subtests: it runs all cells, fails nothing, and gives what it found.
func Examine[W, I, O any](t *testing.T, saga func(W) flow.Flow[I, O], world World[W, I]) Report {
	t.Helper()
	x := newExplorer(t, saga, world)
	if base := x.learn(); len(base.result.broken) == 0 {
		x.plan(base)
	}
	for _, c := range x.cells {
		if c.none == "" && skipped(world.Skip, c) == "" {
			x.run(t, c)
		}
	}
	return x.report(world.Skip)
}

func newExplorer[W, I, O any](t *testing.T, saga func(W) flow.Flow[I, O], world World[W, I]) *explorer {
	t.Helper()
	if saga == nil || world.New == nil || world.Input == nil {
		t.Fatal("sagatest: Matrix needs a saga, World.New and World.Input")
	}
	x := &explorer{
		t: t, stage: stagingOf(saga, world), opts: world.Options, limit: world.Limit, expect: world.Expect, pairs: world.Pairs,
		others: world.Meanwhile != nil && world.Snapshot != nil, breaks: world.Break != nil, byName: map[string]*cell{},
	}
	if x.limit == 0 {
		x.limit = 60 * 24 * time.Hour
	}
	return x
}

// skipped says why a cell is left out, or nothing.
func skipped(skip map[string]string, c *cell) string {
	if why, ok := skip[c.name()]; ok {
		return why
	}
	return skip[c.node.path]
}

// checkNames finds names of cells that do not exist.
func (x *explorer) checkNames(expect map[string]flow.State, skip map[string]string) bool {
	var unknown []string
	for name := range expect {
		if x.byName[name] == nil {
			unknown = append(unknown, "World.Expect: "+name)
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
	return len(unknown) == 0
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
	for k, call := range r.final.Calls {
		if k == mostCalls {
			fmt.Fprintf(&b, "\n        … and %d more", len(r.final.Calls)-k)
			break
		}
		fmt.Fprintf(&b, "\n        %s", call)
	}
	fmt.Fprintf(&b, "\n    again: %s", replay(x.t.Name(), c.name()))
	return b.String()
}
