package sagatest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skald-go/skald/flow"
)

// cell is one saga with what goes wrong in it.
type cell struct {
	node     node
	fault    Fault
	script   script
	deadline time.Duration // of the saga; 0: its own
	none     string        // why there is nothing to run
	pair     bool
	result   *result // once it was run
}

// name is that of the cell's subtest.
func (c *cell) name() string {
	if c.fault == NoFault {
		return string(NoFault)
	}
	name := c.node.path + "/" + string(c.fault)
	if c.pair {
		name = fmt.Sprintf("%s/%s/%s", c.script[0].node.path, c.script[0].fault, name)
	}
	return name
}

// result is what became of a cell.
type result struct {
	final    Final
	failed   error                  // the saga has not come to an end
	missed   []injection            // that did not happen
	late     []Call                 // that began after the end
	waits    map[node]time.Duration // that the saga came to, and after which time
	refusals []string
	swallow  []string
	abandon  []string
	bubble   string
	leaked   string
	answer   error // of the cancel
	began    time.Time
	broken   []problem
	outline  *outline
	world    any // World.Snapshot at the end
}

// problem is something that should not be.
type problem struct {
	kind kindOfProblem
	path string // of the step that it is about, if it is about one
	text string
	what string // if it is about the world: what is wrong with it
}

type kindOfProblem string

const (
	stuck      kindOfProblem = "the saga does not end"
	missed     kindOfProblem = "the fault did not happen"
	wrongState kindOfProblem = "outcome"
	invariant  kindOfProblem = "invariant"
	notAsWas   kindOfProblem = "not as it was"
	kept       kindOfProblem = "effect stays"
	notUndone  kindOfProblem = "undo"
	outOfOrder kindOfProblem = "order"
	afterEnd   kindOfProblem = "after the end"
	lostCause  kindOfProblem = "cause"
	opaque     kindOfProblem = "error"
	ignoresCtx kindOfProblem = "context"
	falseNo    kindOfProblem = "refusal"
	swallowed  kindOfProblem = "swallowed"
	pastPivot  kindOfProblem = "past the pivot"
	leak       kindOfProblem = "goroutines"
)

// String is one line for people.
func (p problem) String() string { return string(p.kind) + ": " + p.text }

// quiet is how long is looked whether something runs after the end.
const quiet = time.Hour

// perform runs a cell in a bubble of its own. A bubble that cannot end, because something blocks for ever, is a problem of the cell.
func perform(t *testing.T, stage staging, c *cell, opts flow.Options, limit time.Duration) (r *result) {
	defer func() {
		if p := recover(); p != nil {
			if r == nil {
				r = &result{failed: fmt.Errorf("sagatest: %v", p)}
			}
			if r.leaked = leaked(r.bubble); r.leaked == "" {
				r.leaked = fmt.Sprint(p)
			}
		}
	}()
	synctest.Test(t, func(*testing.T) { r = inBubble(stage, c, opts, limit) })
	return r
}

func inBubble(stage staging, c *cell, opts flow.Options, limit time.Duration) *result {
	s := newStage(stage(c.deadline, c.fault == OthersAct), c.script, opts)
	r := &result{began: s.began, outline: s.outline, bubble: bubble()}
	synctest.Wait()
	if r.failed = s.start(); r.failed == nil {
		var end ending
		end, r.final.Relayed, r.failed = s.run(limit)
		s.end(r, end)
	}
	if err := s.close(); err != nil && r.failed == nil {
		r.failed = err
	}
	return r
}

// end looks at what is there when the saga has ended, and whether it stays so.
func (s *stage) end(r *result, end ending) {
	synctest.Wait()
	if r.failed == nil {
		r.final.State, r.final.Output, r.final.Err = stateOf(end.err), end.out, end.err
	}
	r.final.Calls = s.recorder.Calls()
	if r.failed == nil {
		time.Sleep(quiet)
		synctest.Wait()
		r.late = s.recorder.Calls()[len(r.final.Calls):]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, i := range s.script {
		if !s.happened[k] {
			r.missed = append(r.missed, i)
		}
	}
	r.waits = s.seen
	r.answer = s.cancelErr
	r.refusals, r.swallow, r.abandon = s.refusals, s.swallowed, s.abandoned
	if s.play.snapshot != nil {
		r.world = s.play.snapshot()
		if at := live(r.world, s.play.snapshot()); at != "" && r.failed == nil {
			r.failed = fmt.Errorf("sagatest: World.Snapshot gives live data (%s), which changes with the world: give a copy", at)
		}
	}
	if r.failed == nil {
		r.broken = s.examine(r)
	}
}

// bubble is the header that the stacks of this goroutine's bubble end with.
func bubble() string {
	own := make([]byte, 256)
	header, _, _ := strings.Cut(string(own[:runtime.Stack(own, false)]), "\n")
	_, number, _ := strings.Cut(header, "synctest bubble ")
	return "synctest bubble " + number
}

// leaked describes the goroutines that are left in a bubble that cannot end.
func leaked(bubble string) string {
	all := make([]byte, 1<<20)
	all = all[:runtime.Stack(all, true)]
	var left []string
	for stack := range strings.SplitSeq(string(all), "\n\n") {
		if first, _, _ := strings.Cut(stack, "\n"); strings.HasSuffix(first, bubble) {
			left = append(left, stack)
		}
	}
	return strings.Join(left, "\n\n")
}

// undos lists what was undone, in order.
func (r *result) undos() []string {
	list := []string{}
	for _, n := range r.undone() {
		list = append(list, n.path)
	}
	return list
}
