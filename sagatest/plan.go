package sagatest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/plan"
)

// explorer knows the cells of one saga, and runs each at most once.
type explorer struct {
	t       *testing.T
	stage   staging
	opts    flow.Options
	most    limits
	keeps   []string
	outline *outline
	hung    string // name of the cell that hangs: nothing runs after it
	expect  map[string]flow.State
	others  bool // World.Meanwhile and Snapshot are there
	breaks  bool
	pairs   []Pair

	steps   []node // in the order in which they ran without faults
	begun   map[node]time.Duration
	steady  any     // the world of a saga that is done, if that is the same each time
	refused bool    // the saga is undone even without faults, as World.Expect says
	cells   []*cell // those that there are, and those that cannot be
	byName  map[string]*cell
}

// run runs a cell, unless it was run before.
func (x *explorer) run(t *testing.T, c *cell) *result {
	switch {
	case c.result != nil:
		return c.result
	case x.hung != "":
		return &result{failed: fmt.Errorf("sagatest: the cell %s hangs", x.hung), outline: x.outline}
	}
	c.result = perform(t, x.stage, c, x.opts, x.most)
	c.result.broken = append(x.failures(c), c.result.broken...)
	if c.result.hangs() {
		x.hung = c.name()
	}
	x.judge(c)
	return c.result
}

// hangs says that a cell was given up.
func (r *result) hangs() bool {
	t, ok := errors.AsType[*trouble](r.failed)
	return ok && t.kind == hangs
}

// unanswered hints at waits for which World.Signals sent nothing.
func (r *result) unanswered() string {
	if len(r.silent) == 0 {
		return ""
	}
	return fmt.Sprintf(" (it waited at %s, and World.Signals sent nothing there)", strings.Join(r.silent, ", "))
}

// failures tells what kept a saga from ending, and what it left behind.
func (x *explorer) failures(c *cell) (broken []problem) {
	err := c.result.failed
	switch t, ok := errors.AsType[*trouble](err); {
	case ok:
		broken = append(broken, t.problem)
	case err != nil:
		broken = append(broken, problem{kind: stuck, path: c.node.path, text: err.Error() + c.result.unanswered()})
	}
	if c.result.leaked != "" {
		broken = append(broken, problem{kind: leak, path: c.node.path, text: "goroutines are left behind:\n" + c.result.leaked})
	}
	return broken
}

// judge compares the outcome with what is expected.
func (x *explorer) judge(c *cell) {
	r := c.result
	if x.steady != nil && r.failed == nil && x.endsAlike(c) {
		if changes := sinceDone(x.steady, r.world); len(changes) > 0 {
			r.broken = append(r.broken, problem{kind: notAsWas, text: "the saga is done, and the world is not as it is without the fault: " + join(changes), what: join(changes)})
		}
	}
	if x.outline != nil && x.outline.raced(c.node.path) { // the race may be over
		r.broken = slices.DeleteFunc(r.broken, func(p problem) bool { return p.kind == missed })
	}
	if want, ok := x.expect[c.name()]; ok {
		r.broken = slices.DeleteFunc(r.broken, func(p problem) bool { return p.kind == wrongState || p.kind == pastPivot })
		dead := want == flow.StateDeadLetter && r.final.Relayed
		if r.failed == nil && want != r.final.State && !dead {
			r.broken = append(r.broken, problem{kind: wrongState, path: c.node.path, text: "it is " + r.final.State.String() + ", and World.Expect says " + want.String()})
		}
		return
	}
	if r.failed == nil && c.fault.endsAsEver() && r.final.State == flow.StateUndone && !x.refused {
		r.broken = append(r.broken, problem{kind: wrongState, path: c.node.path, text: "the saga is undone, although nothing has failed: " + r.final.Err.Error() + r.unanswered()})
	}
}

// endsAlike says that a saga has come to its end on the way that it takes without faults.
func (x *explorer) endsAlike(c *cell) bool {
	onlyForward := !slices.ContainsFunc(c.result.final.Calls, func(call Call) bool { return call.Undo })
	return c.result.final.State == flow.StateDone && onlyForward && c.fault != NoSignal && !x.outline.raced(c.node.path)
}

// endsAsEver says that a saga with this fault ends as without it.
func (f Fault) endsAsEver() bool {
	switch f {
	case NoFault, RunsTwice, DiesBefore, DiesAfter:
		return true
	}
	return false
}

// learn runs the saga without faults, and finds out where something can go wrong.
func (x *explorer) learn() *cell {
	base := &cell{fault: NoFault}
	x.add(base)
	r := x.run(x.t, base)
	x.outline, x.refused = r.outline, r.final.State == flow.StateUndone
	if r.failed != nil {
		return base
	}
	again := perform(x.t, x.stage, base, x.opts, x.most)
	if stale := differences(r.fresh, again.fresh); len(stale) > 0 && len(differences(r.world, again.fresh)) == 0 {
		r.broken = append(r.broken, problem{kind: upset, text: "World.New gives a world that a saga has run in before (" + join(stale) + "): give a fresh one each time"})
		return base
	}
	if r.final.State == flow.StateDone && len(differences(r.world, again.world)) == 0 {
		x.steady = r.world
	}
	x.begun = map[node]time.Duration{}
	for _, c := range r.final.Calls {
		n := node{path: under(inside(c.Saga, sagaID), c.Path)}
		if _, found := x.begun[n]; !c.Undo && !found {
			x.begun[n] = c.Began.Sub(r.began)
			x.steps = append(x.steps, n)
		}
	}
	return base
}

func (x *explorer) add(c *cell) {
	x.cells = append(x.cells, c)
	x.byName[c.name()] = c
}

// plan makes the cells of the matrix. For those of undos it runs the sagas in which a step refuses.
func (x *explorer) plan(base *cell) {
	for _, n := range x.steps {
		for _, f := range stepFaults {
			x.addStep(n, f)
		}
	}
	for _, path := range x.outline.order {
		for _, n := range slices.SortedFunc(maps.Keys(base.result.waits), node.compare) {
			if x.outline.at(n.path) == x.outline.nodes[path] {
				x.addWait(n, base.result.waits[n])
			}
		}
	}
	for _, n := range x.steps {
		x.addUndos(n)
	}
	for _, p := range x.pairs {
		x.addPairs(p)
	}
	x.addUnreached()
}

func (x *explorer) addStep(n node, f Fault) {
	c := &cell{node: n, fault: f, script: script{{node: n, fault: f}}}
	spec := x.outline.step(n.path)
	switch {
	case spec == nil, f == OthersAct && !x.others, f == ParticipantFails && !x.breaks:
		return
	case f == Refused && x.outline.isAfterPivot(n.path) && len(spec.Refuses) == 0:
		c.none = "it comes after the pivot, and refuses nothing"
	case f == RunsTwiceUndone || f == OthersAct:
		trigger, ok := x.trigger(n)
		if !ok {
			c.none = "no later step can send the saga back over it"
		}
		c.script = append(c.script, trigger)
	case f == DeadlinePasses:
		c.deadline = x.begun[n] + deadlineAfter
	}
	x.add(c)
}

func (x *explorer) addWait(n node, after time.Duration) {
	at := x.outline.at(n.path)
	for _, f := range waitFaults {
		c := &cell{node: n, fault: f, script: script{{node: n, fault: f}}}
		switch {
		case f == NoSignal && at.Kind == plan.Delay:
			continue
		case f == NoSignal && at.Within == 0:
			c.none = "it waits for nothing else"
		case f == DeadlinePasses:
			c.deadline = after + deadlineAfter
		}
		x.add(c)
	}
}

// trigger is the refusal of a later step that sends the saga back over a step, the last that there is.
func (x *explorer) trigger(n node) (injection, bool) {
	for _, later := range slices.Backward(x.steps) {
		if later == n {
			break
		}
		if x.outline.sideBySide(later.path, n.path) { // it may refuse before n begins
			continue
		}
		c := x.byName[later.path+"/"+string(Refused)]
		if c == nil {
			c = &cell{node: later, fault: Refused, script: script{{node: later, fault: Refused}}}
			if spec := x.outline.step(later.path); spec == nil || x.outline.isAfterPivot(later.path) {
				continue
			}
			x.byName[c.name()] = c
		}
		if c.none == "" && slices.Contains(x.run(x.t, c).undone(), n) {
			return injection{node: later, fault: Refused}, true
		}
	}
	return injection{}, false
}

// undone lists the nodes that were undone.
func (r *result) undone() (nodes []node) {
	for _, c := range r.final.Calls {
		if c.Undo && c.Done() {
			nodes = append(nodes, node{path: under(inside(c.Saga, sagaID), c.Path)})
		}
	}
	return nodes
}

// addUndos makes the cells of the undo of a step.
func (x *explorer) addUndos(n node) {
	spec := x.outline.step(n.path)
	if spec == nil || spec.ReadOnly {
		return
	}
	undo := node{n.path, true}
	why := ""
	trigger, ok := x.trigger(n)
	switch {
	case spec.Undo == nil:
		why = "it has no compensation"
	case x.outline.isAfterPivot(n.path):
		why = "it comes after the pivot, and is never undone"
	case !ok:
		trigger = injection{node: n, fault: LostReply}
		if !slices.Contains(x.run(x.t, x.byName[n.path+"/"+string(LostReply)]).undone(), n) {
			why = "nothing sends the saga back over it"
		}
	}
	for _, f := range undoFaults {
		x.add(&cell{node: undo, fault: f, script: script{trigger, {node: undo, fault: f}}, none: why})
		if why != "" {
			return // one row says it
		}
	}
}

// addPairs makes the cells of a step's fault with the fault of each undo that follows.
func (x *explorer) addPairs(p Pair) {
	for _, n := range x.steps {
		first := x.byName[n.path+"/"+string(p.Step)]
		if first == nil || first.none != "" {
			continue
		}
		undone := x.run(x.t, first).undone()
		for k, u := range undone {
			if !slices.Contains(undone[:k], u) && !x.outline.sideBySide(u.path, n.path) {
				undo := node{u.path, true}
				c := &cell{node: undo, fault: p.Undo, script: script{{node: n, fault: p.Step}, {node: undo, fault: p.Undo}}, pair: true}
				if x.byName[c.name()] == nil {
					x.add(c)
				}
			}
		}
	}
}

// addUnreached tells which steps the saga did not come to.
func (x *explorer) addUnreached() {
	reached := map[*plan.Node]bool{}
	for _, n := range x.steps {
		reached[x.outline.at(n.path)] = true
	}
	for _, path := range x.outline.order {
		n := x.outline.nodes[path]
		if n.Kind == plan.Step && !reached[n] {
			x.add(&cell{node: node{path: path}, fault: "not reached", none: "the saga does not come there with this input"})
		}
	}
}
