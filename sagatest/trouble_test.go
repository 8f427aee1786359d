package sagatest_test

import (
	"context"
	"errors"
	"maps"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/sagatest"
	"github.com/skald-go/skald/step"
)

func echo(_ context.Context, n int) (int, error) { return n, nil }

func nothing(context.Context, step.Effect[int, int]) error { return nil }

// numbers is a saga of two steps, of which the second only goes forward.
func numbers(a, b func(context.Context, int) (int, error), undo func(context.Context, step.Effect[int, int]) error) flow.Flow[int, int] {
	return flow.New[int]("numbers").Then(step.New("a", a).Compensate(undo)).Then(step.New("b", b).Pivot().Retriable())
}

func counting() sagatest.World[int, int] {
	return sagatest.World[int, int]{New: func() int { return 1 }, Input: func(n int) int { return n }}
}

// examined gives the failures of a saga in a world.
func examined(t *testing.T, saga flow.Flow[int, int], world sagatest.World[int, int]) []sagatest.Cell {
	t.Helper()
	r := sagatest.Examine(t, func(int) flow.Flow[int, int] { return saga }, world)
	require.NotEmpty(t, r.Failures, "%v", r)
	return r.Failures
}

func TestFunctionsOfTheTestThatPanicAreNamed(t *testing.T) {
	oops := func() { panic("oops") }
	for says, change := range map[string]func(*sagatest.World[int, int]){
		"World.New panicked: oops":      func(w *sagatest.World[int, int]) { w.New = func() int { oops(); return 0 } },
		"World.Input panicked: oops":    func(w *sagatest.World[int, int]) { w.Input = func(int) int { oops(); return 0 } },
		"World.Snapshot panicked: oops": func(w *sagatest.World[int, int]) { w.Snapshot = func(int) any { oops(); return 0 } },
		"World.Signals at picked panicked: oops": func(w *sagatest.World[int, int]) {
			w.Signals = func(int, sagatest.Waiting) error { oops(); return nil }
		},
		`the invariant "sum" panicked: oops`: func(w *sagatest.World[int, int]) {
			w.Invariants = []sagatest.Invariant[int]{sagatest.Holds("sum", func(int) error { oops(); return nil })}
		},
		"World.Break of a panicked: oops":         func(w *sagatest.World[int, int]) { w.Break = func(int, string) func() { oops(); return nil } },
		"the repair of World.Break of a panicked": func(w *sagatest.World[int, int]) { w.Break = func(int, string) func() { return oops } },
		"World.Input ended its goroutine":         func(w *sagatest.World[int, int]) { w.Input = func(int) int { runtime.Goexit(); return 0 } },
		"World.Meanwhile panicked: oops": func(w *sagatest.World[int, int]) {
			w.Meanwhile, w.Snapshot = func(int) { oops() }, func(int) any { return 0 }
		},
	} {
		t.Run(says, func(t *testing.T) {
			saga := flow.New[int]("numbers").Then(step.New("a", echo).Compensate(nothing)).
				WaitFor(flow.NewSignal[int]("picked"), time.Hour, func(n, _ int) int { return n }, step.New("mail", echo).ReadOnly()).
				Then(step.New("b", echo).ReadOnly())
			world := counting()
			change(&world)
			mistake := examined(t, saga, world)[0].Mistake.Text
			assert.Contains(t, mistake, says)
			if strings.Contains(says, "panicked") {
				assert.Contains(t, mistake, "trouble_test.go:", "where it panicked")
			}
		})
	}
}

func TestADefinitionThatPanicsIsNamed(t *testing.T) {
	r := sagatest.Examine(t, func(int) flow.Flow[int, int] { return numbers(echo, echo, nothing).Then(step.New("a", echo)) }, counting())
	assert.Contains(t, r.Failures[0].Mistake.Text, "the function that makes the saga panicked: flow:")
}

func TestStepsThatPanicAreNamed(t *testing.T) {
	panics := func(context.Context, int) (int, error) { panic("oops") }
	exits := func(context.Context, int) (int, error) { runtime.Goexit(); return 0, nil }
	for name, c := range map[string]struct {
		saga flow.Flow[int, int]
		says string
	}{
		"a step":       {flow.New[int]("f").Then(step.New("a", panics)), "step a panicked: oops ("},
		"an exit":      {flow.New[int]("f").Then(step.New("a", exits)), "step a ended its goroutine"},
		"a map":        {flow.New[int]("f").Map(func(int) int { panic("oops") }).Then(step.New("a", echo)), "a function of the saga at a or right before it (a Map, join, condition, items or Delay) panicked: oops"},
		"a condition":  {flow.New[int]("f").When("big", func(int) bool { panic("oops") }, step.New("a", echo)), "a function of the saga at big or right before it"},
		"an undo":      {numbers(echo, echo, func(context.Context, step.Effect[int, int]) error { panic("oops") }), "the undo of a fails always"},
		"a swift step": {flow.New[int]("f").Then(step.New("a", echo)).Then(step.New("b", panics)), "step b panicked: oops ("},
	} {
		t.Run(name, func(t *testing.T) {
			world := counting()
			for _, cell := range examined(t, c.saga, world) {
				if strings.Contains(cell.Mistake.Text, c.says) {
					return
				}
				t.Log(cell.Name, cell.Mistake.Text)
			}
			t.Errorf("nothing says %q", c.says)
		})
	}
}

func TestAnUndoThatNeverWorksIsToldFromOneThatNeedsOut(t *testing.T) {
	never := func(context.Context, step.Effect[int, int]) error { return step.GiveUp(errors.New("no")) }
	needsOut := func(_ context.Context, e step.Effect[int, int]) error {
		if e.Out == 0 {
			return step.GiveUp(errors.New("no"))
		}
		return nil
	}
	three := func(undo func(context.Context, step.Effect[int, int]) error) flow.Flow[int, int] {
		return flow.New[int]("f").Then(step.New("a", echo).Compensate(undo)).Then(step.New("b", echo).ReadOnly())
	}
	for _, cell := range examined(t, three(never), counting()) {
		assert.Contains(t, cell.Mistake.Text, "the undo of a fails always, also when its step is done and Out is known", cell.Name)
	}
	found := examined(t, three(needsOut), counting())
	for _, cell := range found {
		assert.NotContains(t, cell.Mistake.Text, "always", cell.Name)
	}
	assert.Contains(t, found[0].Mistake.Text, "the undo of a fails when Known is false: it needs Out")
	last := flow.New[int]("f").Then(step.New("a", echo).Compensate(never))
	assert.Contains(t, examined(t, last, counting())[0].Mistake.Text, "since no later step sends the saga back: it needs Out, or never works")
}

func TestAStepThatIsNeverDoneIsGivenUp(t *testing.T) {
	for name, b := range map[string]func(context.Context, int) (int, error){
		"it fails":          func(context.Context, int) (int, error) { return 0, errors.New("no") },
		"it is asked again": func(context.Context, int) (int, error) { return 0, step.NotYet(time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			world := counting()
			world.Attempts = 100
			found := examined(t, numbers(echo, b, nothing), world)
			require.Len(t, found, 1, "nothing else is run")
			assert.Regexp(t, `step b has run 100 times in \d+m\d+s, and is not done: it last answered: (no|step: not yet)`, found[0].Broken[0])
			assert.Contains(t, found[0].Mistake.Text, "what comes after the pivot is tried until it is done")
			assert.Equal(t, "b", found[0].Mistake.Step)
		})
	}
}

func TestAStepThatWaitsForTheNetworkIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() // lets the step go on
	hangs := func(context.Context, int) (int, error) {
		c, err := l.Accept()
		if err == nil {
			_ = c.Close()
		}
		return 0, err
	}
	world := counting()
	world.Patience = 300 * time.Millisecond
	found := examined(t, numbers(echo, hangs, nothing), world)
	require.Len(t, found, 1, "nothing runs after a cell that hangs")
	assert.Contains(t, found[0].Mistake.Text, "step b has not returned for 300ms of real time, and virtual time stands still meanwhile: it waits for a network")
	assert.Contains(t, found[0].Broken[0], "net.(*TCPListener).Accept", "the stack")
	assert.Equal(t, "b", found[0].Mistake.Step)
}

func TestAWorldThatWaitsForTheNetworkIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	world := counting()
	world.Patience = 300 * time.Millisecond
	world.New = func() int { _, _ = l.Accept(); return 1 }
	assert.Contains(t, examined(t, numbers(echo, echo, nothing), world)[0].Mistake.Text, "World.New has not returned for 300ms of real time")
}

func TestAWorldThatIsNotFreshIsNamed(t *testing.T) {
	shared := map[string]int{}
	world := sagatest.World[map[string]int, int]{
		New: func() map[string]int { return shared }, Input: func(map[string]int) int { return 1 },
		Snapshot: func(w map[string]int) any { return maps.Clone(w) },
	}
	r := sagatest.Examine(t, func(w map[string]int) flow.Flow[int, int] {
		return flow.New[int]("f").Then(step.New("a", func(_ context.Context, n int) (int, error) { w["ada"] = 1; return n, nil }))
	}, world)
	require.Len(t, r.Failures, 1)
	assert.Contains(t, r.Failures[0].Mistake.Text, "World.New gives a world that a saga has run in before ([ada]: 1 is new): give a fresh one each time")
}

// diary keeps when something was written, and by whom.
type diary struct {
	pages map[string]time.Time
	seen  time.Time
}

func (d *diary) write(ctx context.Context, n int) (int, error) {
	key := step.InfoFrom(ctx).Key()
	if _, there := d.pages[key]; !there {
		d.pages[key], d.seen = time.Now(), time.Now()
	}
	return n, nil
}

func (d *diary) tear(ctx context.Context, _ step.Effect[int, int]) error {
	info := step.InfoFrom(ctx)
	info.Undo = false
	delete(d.pages, info.Key())
	if len(d.pages) == 0 {
		d.seen = time.Time{}
	}
	return nil
}

func TestTimesInASnapshotThatPassMeanwhileAreNoMistake(t *testing.T) {
	world := sagatest.World[*diary, int]{
		New:      func() *diary { return &diary{pages: map[string]time.Time{}} },
		Input:    func(*diary) int { return 1 },
		Snapshot: func(d *diary) any { return diary{maps.Clone(d.pages), d.seen} },
	}
	sagatest.Matrix(t, func(d *diary) flow.Flow[int, int] {
		return flow.New[int]("f").Then(step.New("a", d.write).Compensate(d.tear)).Then(step.New("b", d.write).Compensate(d.tear))
	}, world)
	r := sagatest.Examine(t, func(d *diary) flow.Flow[int, int] {
		return flow.New[int]("f").Then(step.New("a", d.write).Compensate(nothing)).Then(step.New("b", echo).ReadOnly())
	}, world)
	require.NotEmpty(t, r.Failures)
	assert.Contains(t, r.Failures[0].Broken[0], "pages[skald/saga/a/do]: a time is new; seen: another time")
}

func TestAWaitForWhichNothingIsSentIsHintedAt(t *testing.T) {
	no := func(context.Context, int) (int, error) { return 0, step.Refused(errors.New("nobody came")) }
	picked := flow.NewSignal[int]("picked")
	join := func(n, _ int) int { return n }
	world := counting()
	world.Signals = func(_ int, at sagatest.Waiting) error {
		if at.Path == "picked-up" {
			return at.Send(picked, 1)
		}
		return nil
	}
	for _, saga := range []flow.Flow[int, int]{
		flow.New[int]("f").WaitFor(picked, time.Hour, join, step.New("late", no)),
		flow.New[int]("f").Wait(picked, join),
	} {
		assert.Contains(t, examined(t, saga, world)[0].Mistake.Text, "(it waited at picked, and World.Signals sent nothing there)")
	}
}

func TestAPivotThatRunsTwiceIsNotAForgottenCompensation(t *testing.T) {
	world := sagatest.World[*int, int]{
		New: func() *int { return new(int) }, Input: func(*int) int { return 1 }, Snapshot: func(n *int) any { return *n },
	}
	r := sagatest.Examine(t, func(n *int) flow.Flow[int, int] {
		return flow.New[int]("f").Then(step.New("mail", func(_ context.Context, in int) (int, error) { *n++; return in, nil }).Pivot())
	}, world)
	for _, c := range r.Failures {
		assert.Contains(t, c.Mistake.Text, "step mail is not idempotent", c.Name)
	}
	require.NotEmpty(t, r.Failures)
}
