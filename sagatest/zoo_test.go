package sagatest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/sagatest"
	"github.com/skald-go/skald/step"
)

// zoo is a world whose only participant remembers what was done and not undone, by the key of the step.
type zoo struct {
	mu     sync.Mutex
	done   map[string]bool
	undone map[string]bool
	polls  map[string]int
}

func newZoo() *zoo {
	return &zoo{done: map[string]bool{}, undone: map[string]bool{}, polls: map[string]int{}}
}

func (z *zoo) effects() any {
	z.mu.Lock()
	defer z.mu.Unlock()
	return maps.Clone(z.done)
}

func (z *zoo) do(ctx context.Context, n int) (int, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	info := step.InfoFrom(ctx)
	if key := info.Saga + "/" + info.Path; !z.undone[key] {
		z.done[key] = true
	}
	return n + 1, nil
}

func (z *zoo) undo(ctx context.Context, _ step.Effect[int, int]) error {
	z.mu.Lock()
	defer z.mu.Unlock()
	info := step.InfoFrom(ctx)
	key := info.Saga + "/" + info.Path
	delete(z.done, key)
	z.undone[key] = true
	return nil
}

// step is one that has an effect and an undo, step with retries.
func (z *zoo) step(name string) step.Step[int, int] {
	return step.New(name, z.do).Compensate(z.undo).Retry(step.Retry{Attempts: 2})
}

// poll asks until the second time.
func (z *zoo) poll(name string) step.Step[int, int] {
	return step.New(name, func(ctx context.Context, n int) (int, error) {
		z.mu.Lock()
		defer z.mu.Unlock()
		if z.polls[name]++; z.polls[name] < 2 {
			return 0, step.NotYet(time.Minute)
		}
		return n, nil
	}).ReadOnly()
}

var fed = flow.NewSignal[int]("fed")

// all uses everything that flows are made of.
func (z *zoo) all() flow.Flow[int, int] {
	return flow.New[int]("all").
		Then(z.step("first")).
		Then(z.poll("ask")).
		Both("both", z.step("left"), flow.New[int]("right").Then(z.step("one")).Then(z.step("two")), func(_, l, r int) int { return l + r }).
		Each("pick", func(n int) []int { return []int{n, n} }, z.step("item"), func(n int, outs []int) int { return n + len(outs) }).
		Loop("poll", 3, z.step("round"), func(n int) bool { return n%2 == 0 }).
		If("big", func(n int) bool { return n > 0 }, z.step("yes"), z.step("no")).
		Then(flow.Child(flow.New[int]("child").Then(z.step("inner")).Then(z.step("last")))).
		Wait(fed, func(n, more int) int { return n + more }).
		Delay("rest", func(int) time.Duration { return time.Hour }).
		Then(step.New("pivot", z.do).Compensate(z.undo).Pivot()).
		Then(step.New("after", z.do))
}

func zooWorld() sagatest.World[*zoo, int] {
	return sagatest.World[*zoo, int]{
		New: newZoo, Input: func(*zoo) int { return 1 }, Snapshot: (*zoo).effects,
		Signals: func(_ *zoo, at sagatest.Waiting) error {
			if at.Path != "fed" {
				return nil
			}
			return at.Send(fed, 5)
		},
	}
}

func TestMatrixOfEverythingThatFlowsAreMadeOf(t *testing.T) {
	report := sagatest.Examine(t, (*zoo).all, zooWorld())
	assert.Empty(t, report.Failures, "%v", report)
	ran := map[string]bool{}
	for _, c := range report.Cells {
		if c.None == "" {
			ran[c.Name] = true
		}
	}
	for _, name := range []string{
		"first/lost-reply", "ask/refused", "both/left/panics", "both/right/two/undo-loses-reply", "pick[1]/item/worker-dies-before-commit",
		"poll#1/round/undo-runs-twice", "big/yes/undo-worker-dies-after-commit", "child/inner/lost-reply", "child/last/undo-fails-for-good",
		"fed/cancelled", "fed/deadline-passes", "rest/cancelled", "pivot/lost-reply", "after/worker-dies-after-commit",
	} {
		assert.True(t, ran[name], name)
	}
	none := map[string]string{}
	for _, c := range report.Cells {
		if c.None != "" {
			none[c.Name] = c.None
		}
	}
	assert.Equal(t, "the saga does not come there with this input", none["big/no/not reached"])
	assert.Equal(t, "it comes after the pivot, and refuses nothing", none["after/refused"])
	assert.Equal(t, "it waits for nothing else", none["fed/no-signal"])
}

func TestMatrixOfARace(t *testing.T) {
	race := func(z *zoo) flow.Flow[int, int] {
		return flow.New[int]("race").Then(z.step("first")).Race("fastest", z.step("a"), z.step("b")).Then(z.step("last"))
	}
	world := zooWorld()
	world.Snapshot = nil // either may win
	report := sagatest.Examine(t, race, world)
	assert.Empty(t, report.Failures, "%v", report)
}

func TestMatrixOfAWaitThatEndsByItself(t *testing.T) {
	late := func(z *zoo) flow.Flow[int, int] {
		return flow.New[int]("late").Then(z.step("first")).
			WaitFor(fed, 2*time.Hour, func(n, more int) int { return n + more }, z.step("remind")).Then(z.step("last"))
	}
	report := sagatest.Examine(t, late, zooWorld())
	assert.Empty(t, report.Failures, "%v", report)
	c := cellNamed(t, report, "fed/no-signal")
	assert.Equal(t, flow.StateDone, c.State)
}

func cellNamed(t *testing.T, r sagatest.Report, name string) sagatest.Cell {
	t.Helper()
	for _, c := range r.Cells {
		if c.Name == name {
			return c
		}
	}
	require.Fail(t, "no cell", "%s in\n%v", name, r)
	return sagatest.Cell{}
}

func TestMatrixOfPairs(t *testing.T) {
	three := func(z *zoo) flow.Flow[int, int] {
		return flow.New[int]("three").Then(z.step("a")).Then(z.step("b")).Then(z.step("c"))
	}
	world := zooWorld()
	world.Pairs = []sagatest.Pair{{Step: sagatest.LostReply, Undo: sagatest.UndoLosesReply}}
	report := sagatest.Examine(t, three, world)
	assert.Empty(t, report.Failures, "%v", report)
	for step, undone := range map[string][]string{"a": {"a"}, "b": {"a", "b"}, "c": {"a", "b", "c"}} {
		for _, u := range undone {
			assert.Equal(t, flow.StateUndone, cellNamed(t, report, fmt.Sprintf("%s/lost-reply/%s/undo-loses-reply", step, u)).State)
		}
	}
	world.Pairs = sagatest.AllPairs()
	assert.Len(t, sagatest.AllPairs(), 30)
	report = sagatest.Examine(t, three, world)
	assert.Empty(t, report.Failures, "%v", report)
	assert.Greater(t, len(report.Cells), 150)
}

func TestASagaThatDoesNotEndIsToldWithWhatItWaitsFor(t *testing.T) {
	waits := func(z *zoo) flow.Flow[int, int] {
		return flow.New[int]("waits").Then(z.step("a")).Wait(fed, func(n, _ int) int { return n })
	}
	world := zooWorld()
	world.Signals = nil
	report := sagatest.Examine(t, waits, world)
	require.Len(t, report.Failures, 1)
	assert.Contains(t, report.Failures[0].Mistake.Text, "the saga has not ended after 1440h0m0s: it is running; wait fed is open")
	assert.Equal(t, flow.StateUnknown, report.Failures[0].State)
}

func TestSignalsThatCannotBeSentAreTold(t *testing.T) {
	waits := func(z *zoo) flow.Flow[int, int] {
		return flow.New[int]("waits").Wait(fed, func(n, _ int) int { return n })
	}
	world := zooWorld()
	world.Signals = func(*zoo, sagatest.Waiting) error { return strconv.ErrRange }
	report := sagatest.Examine(t, waits, world)
	require.Len(t, report.Failures, 1)
	assert.Contains(t, report.Failures[0].Mistake.Text, "World.Signals at fed: value out of range")
}

func TestGoroutinesThatAreLeftBehindAreTold(t *testing.T) {
	leaks := func(z *zoo) flow.Flow[int, int] {
		return flow.New[int]("leaks").Then(step.New("a", func(ctx context.Context, n int) (int, error) {
			go func() { <-make(chan int) }()
			return z.do(ctx, n)
		}).Compensate(z.undo))
	}
	report := sagatest.Examine(t, leaks, zooWorld())
	require.Len(t, report.Failures, 1)
	assert.Contains(t, report.Failures[0].Mistake.Text, "goroutines are left behind")
	assert.Contains(t, report.Failures[0].Broken[0], "TestGoroutinesThatAreLeftBehindAreTold")
}

func TestOutcomesThatAreExpected(t *testing.T) {
	two := func(z *zoo) flow.Flow[int, int] { return flow.New[int]("two").Then(z.step("a")).Then(z.step("b")) }
	world := zooWorld()
	world.Expect = map[string]flow.State{"a/refused": flow.StateDone, "b/undo-fails-for-good": flow.StateDeadLetter, "b/refused": flow.StateUndone}
	report := sagatest.Examine(t, two, world)
	require.Len(t, report.Failures, 1)
	assert.Equal(t, "a/refused", report.Failures[0].Name)
	assert.Equal(t, []string{"outcome: it is undone, and World.Expect says done"}, report.Failures[0].Broken)

	world.Expect, world.Skip = nil, map[string]string{"a/refused": "of no interest", "b": "nor this"}
	report = sagatest.Examine(t, two, world)
	assert.Empty(t, report.Failures)
	assert.Equal(t, "of no interest", cellNamed(t, report, "a/refused").None)
	assert.Equal(t, "nor this", cellNamed(t, report, "b/lost-reply").None)
	assert.Equal(t, "nor this", cellNamed(t, report, "b/undo-runs-twice").None)
	assert.Empty(t, cellNamed(t, report, "a/lost-reply").None)
}

func TestMatrixOfASagaThatIsRefused(t *testing.T) {
	world := buying()
	world.Input = func(*town) wish { return wish{"ada", "cat", 4000} }
	report := sagatest.Examine(t, (*town).Buy, world)
	require.Len(t, report.Failures, 1)
	assert.Equal(t, "no-fault", report.Failures[0].Name)
	assert.Contains(t, report.Failures[0].Broken[0], "the saga is undone, although nothing has failed: ")

	world.Expect = map[string]flow.State{"no-fault": flow.StateUndone}
	report = sagatest.Examine(t, (*town).Buy, world)
	assert.Empty(t, report.Failures, "%v", report)
	assert.Equal(t, flow.StateUndone, cellNamed(t, report, "charge/worker-dies-before-commit").State)
	assert.Equal(t, flow.StateUndone, cellNamed(t, report, "reserve/undo-runs-twice").State)
}

// The engines' interceptors are inside of what the matrix does.
func TestInterceptorsOfTheUserSeeTheCells(t *testing.T) {
	var calls sync.Map
	world := zooWorld()
	world.Options.Interceptors = []flow.Interceptor{func(ctx context.Context, next func(context.Context) error) error {
		calls.Store(step.InfoFrom(ctx).Path, true)
		return next(ctx)
	}}
	one := func(z *zoo) flow.Flow[int, int] { return flow.New[int]("one").Then(z.step("a")) }
	assert.Empty(t, sagatest.Examine(t, one, world).Failures)
	_, seen := calls.Load("a")
	assert.True(t, seen)
}

// A saga whose undo never works stays a dead letter, however often it is relayed: the matrix says so, and ends.
func TestMatrixOfAnUndoThatNeverWorks(t *testing.T) {
	never := func(z *zoo) flow.Flow[int, int] {
		stuck := z.step("a").Compensate(func(context.Context, step.Effect[int, int]) error { return errors.New("always") }).
			RetryUndo(step.Retry{Attempts: 1})
		return flow.New[int]("never").Then(stuck).Then(z.step("b"))
	}
	report := sagatest.Examine(t, never, zooWorld())
	c := cellNamed(t, report, "b/refused")
	assert.Equal(t, flow.StateDeadLetter, c.State)
	assert.Contains(t, c.Mistake.Text, "a")
	assert.Contains(t, report.String(), "always")
}
