package sagatest

import (
	"cmp"
	"fmt"
	"runtime/debug"
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
	silent   []string // waits for which no signal was sent
	fresh    any      // World.Snapshot before the saga
	abandon  []string
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
	upset      kindOfProblem = "the test"
	hangs      kindOfProblem = "it hangs"
	endless    kindOfProblem = "no end"
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

// trouble is a problem that keeps a cell from its end.
type trouble struct{ problem }

// Error is the problem.
func (t *trouble) Error() string { return "sagatest: " + t.text }

// limits is what a cell may take.
type limits struct {
	virtual  time.Duration
	attempts int // of one node
	patience time.Duration
}

// quiet is how long is looked whether something runs after the end.
const quiet = time.Hour

// perform runs a cell in a bubble of its own. A bubble that cannot end, because something blocks for ever, is a problem of the cell. One
// that hangs is left behind: nothing can end it.
func perform(t *testing.T, stage staging, c *cell, opts flow.Options, most limits) *result {
	r, p, ended := &result{}, &pulse{}, make(chan any, 1)
	go func() {
		defer func() { ended <- recover() }()
		synctest.Test(t, func(*testing.T) {
			done := make(chan struct{})
			go func() { // whatever ends this goroutine, the bubble ends
				defer close(done)
				r.fill(p, stage, c, opts, most)
			}()
			<-done
		})
	}()
	panicked, hanging := p.watch(ended, most.patience)
	switch {
	case hanging:
		return p.hanging(most.patience)
	case panicked != nil:
		r.leaked = cmp.Or(leaked(p.bubble), fmt.Sprint(panicked))
	}
	return r
}

// fill runs a cell, inside its bubble.
func (r *result) fill(p *pulse, stage staging, c *cell, opts flow.Options, most limits) {
	p.enter()
	defer func() {
		if v := recover(); v != nil && p.failed() == nil {
			r.failed = fmt.Errorf("sagatest: %v\n%s", v, debug.Stack())
		}
		if err := p.failed(); err != nil {
			r.failed, r.broken = err, nil
		}
	}()
	s := newStage(stage(c.deadline, c.fault == OthersAct, p), c.script, opts, most.attempts)
	defer func() {
		if err := s.close(); err != nil && r.failed == nil {
			r.failed = err
		}
	}()
	r.began, r.outline, r.fresh = s.began, s.outline, s.play.expected
	synctest.Wait()
	if r.failed = s.start(); r.failed == nil {
		var end ending
		end, r.final.Relayed, r.failed = s.run(most.virtual)
		s.end(r, end)
	}
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
	r.waits, r.silent = s.seen, s.silent
	r.answer = s.cancelErr
	r.refusals, r.swallow, r.abandon = s.refusals, s.swallowed, s.abandoned
	if s.play.snapshot != nil {
		r.world = s.play.snapshot()
		if at := live(r.world, s.play.snapshot()); at != "" && r.failed == nil {
			r.failed = &trouble{problem{kind: upset, text: fmt.Sprintf("World.Snapshot gives live data (%s), which changes with the world: give a copy", at)}}
		}
	}
	if r.failed == nil {
		r.broken = s.examine(r)
	}
}

// leaked describes the goroutines that are left in a bubble that cannot end.
func leaked(bubble string) string {
	var left []string
	for stack := range strings.SplitSeq(allStacks(), "\n\n") {
		if first, _, _ := strings.Cut(stack, "\n"); strings.HasSuffix(first, "synctest bubble "+bubble+"]:") {
			left = append(left, stack)
		}
	}
	return strings.Join(left, "\n\n")
}

// isOurs says that a goroutine is one of those that run a cell.
func isOurs(stack string) bool {
	for _, name := range []string{"sagatest.perform.", "testing/synctest.testingSynctestTest(", "internal/synctest.Run("} {
		if strings.Contains(stack, name) && !strings.Contains(stack, "sagatest.(*pulse).ask") {
			return true
		}
	}
	return false
}

// undos lists what was undone, in order.
func (r *result) undos() []string {
	list := []string{}
	for _, n := range r.undone() {
		list = append(list, n.path)
	}
	return list
}
