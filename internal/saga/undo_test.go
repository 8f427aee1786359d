package saga_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
	"github.com/skald-go/skald/internal/simulate/world"
	"github.com/skald-go/skald/step"
)

var errStop = step.Refused(errors.New("stop"))

// undos gives the undos of a trail.
func (p *play) undos() (paths []string) {
	for _, call := range p.trail() {
		if path, ok := strings.CutPrefix(call, "undo "); ok {
			paths = append(paths, path)
		}
	}
	return paths
}

func TestUndoMirrorsTheTree(t *testing.T) {
	inner := flow.New[world.Num]("inner").Then(act("a")).Then(act("b"))
	both := root().Both("both", inner, act("c"), sum)
	for name, c := range map[string]struct {
		flow flow.Flow[world.Num, world.Num]
		want string
	}{
		"sequence":       {root().Then(act("a")).Then(act("b")).Then(act("c")), "c b a"},
		"nested":         {root().Then(act("z")).Then(inner), "inner/b inner/a z"},
		"also and use":   {root().Also(act("a"), func(a, b world.Num) world.Num { return a }).Use(act("b"), self, func(a, b world.Num) world.Num { return a }), "b a"},
		"side by side":   {both, "both/inner/b both/c both/inner/a"},
		"in order":       {both.UndoInOrder(), "both/c both/inner/b both/inner/a"},
		"arm":            {root().Then(act("a")).If("if", func(world.Num) bool { return true }, act("b"), act("c")), "if/b a"},
		"rounds":         {root().Loop("loop", 3, act("a"), (&counter{3}).reached), "loop#3/a loop#2/a loop#1/a"},
		"items in order": {root().Each("each", three, act("a"), noJoin, flow.Parallel(1)).UndoInOrder(), "each[2]/a each[1]/a each[0]/a"},
		"read only":      {root().Then(act("a")).Then(plain("b").ReadOnly()).Then(act("c")), "c a"},
		"no undo":        {root().Then(act("a")).Then(plain("b")).Then(act("c")), "c a"},
	} {
		t.Run(name, func(t *testing.T) {
			p := stage(t, c.flow.Then(act("last"))).on("do last", errStop).enter(world.Num(5))
			p.ended(saga.Compensated)
			assert.Equal(t, strings.Fields(c.want), p.undos())
			assert.Empty(t, p.Effects()["m/a"])
		})
	}
}

func self(n world.Num) world.Num { return n }

func three(n world.Num) []world.Num { return []world.Num{n, n + 1, n + 2} }

func noJoin(n world.Num, _ []world.Num) world.Num { return n }

// counter is a condition that holds from its n-th call on. It is not pure, and good for one run.
type counter struct{ n int }

func (c *counter) reached(world.Num) bool {
	c.n--
	return c.n <= 0
}

func TestKeptEffectsAreNamed(t *testing.T) {
	p := stage(t, root().Then(plain("a")).Then(plain("b").ReadOnly()).Then(plain("c"))).on("do c", errBoom).enter(world.Num(1))
	assert.Equal(t, []string{"a", "c"}, p.ended(saga.Compensated).Kept, "a is done; nobody can say of c; b changes nothing")
	assert.Equal(t, []string{"a", "c"}, p.failure().Kept)
}

func TestUndoIsRetriedByItsOwnPolicy(t *testing.T) {
	p := stage(t, root().Then(act("a").RetryUndo(step.Retry{Attempts: 4, Delay: time.Second, MaxDelay: 3 * time.Second})).Then(act("b")))
	p.Env.Jitter = func() float64 { return 1 }
	p.on("do b", errStop).on("undo a", errBoom, errBoom, errBoom).enter(world.Num(1))
	assert.Equal(t, []time.Duration{0, time.Second, 3 * time.Second, 6 * time.Second}, p.times("undo a"))
	assert.Equal(t, 4, p.the("undo a").What.Number)
	p.ended(saga.Compensated)
	assert.EqualError(t, p.failure().Cause, "stop", "not what an undo met on its way")
}

func TestUndoHasTenAttemptsByDefault(t *testing.T) {
	p := stage(t, root().Then(act("a")).Then(act("b"))).on("do b", errStop).on("undo a", slices.Repeat([]error{errBoom}, 99)...)
	p.enter(world.Num(1))
	assert.Len(t, p.times("undo a"), 10)
	p.ended(saga.DeadLetter)
}

func TestUndoNotYet(t *testing.T) {
	p := stage(t, root().Then(act("a")).Then(act("b"))).on("do b", errStop)
	p.on("undo a", slices.Repeat([]error{step.NotYet(time.Hour)}, 30)...)
	p.enter(world.Num(1))
	assert.Len(t, p.times("undo a"), 25, "the limit is 24 hours")
	assert.Equal(t, 1, p.the("undo a").What.Number)
	p.ended(saga.DeadLetter)
	require.Len(t, p.failure().Undone, 1)
	assert.ErrorContains(t, p.failure().Undone[0].Err, saga.ErrNotYetLimit.Error())
}

func TestUndoThatGivesUp(t *testing.T) {
	for name, c := range map[string]struct {
		flow flow.Flow[world.Num, world.Num]
		want string
	}{
		"the others still run": {root().Then(act("a")).Then(act("b")).Then(act("c")), "b a"},
		"the others wait":      {root().Then(act("a")).Then(act("b")).Then(act("c")).StopUndoOnFailure(), "b"},
	} {
		t.Run(name, func(t *testing.T) {
			p := stage(t, c.flow).on("do c", errStop).on("undo b", step.GiveUp(errors.New("account is closed"))).enter(world.Num(1))
			assert.Equal(t, strings.Fields(c.want), p.undos())
			p.ended(saga.DeadLetter)
			f := p.failure()
			assert.Equal(t, saga.DeadLetter, f.End)
			assert.EqualError(t, f.Cause, "stop")
			last := f.Undone[len(f.Undone)-1]
			assert.Equal(t, "b", last.Path)
			assert.EqualError(t, last.Err, "account is closed")
			p.byHand(saga.EventRelay, "")
			p.ended(saga.Compensated)
			assert.Len(t, p.times("undo b"), 2)
			assert.Len(t, p.times("undo a"), 1)
			assert.Empty(t, p.Effects())
		})
	}
}

func TestOwnUndoThatGivesUp(t *testing.T) {
	f := root().Then(act("a")).Both("both", act("b"), act("c"), sum)
	for name, c := range map[string]struct {
		flow flow.Flow[world.Num, world.Num]
		want string
	}{
		"the others still run": {f, "both/c both/b a"},
		"what follows waits":   {f.StopUndoOnFailure(), "both/c both/b"},
	} {
		t.Run(name, func(t *testing.T) {
			p := stage(t, c.flow).on("do both/c", errBoom).on("undo both/c", step.GiveUp(errBoom)).enter(world.Num(1))
			assert.Equal(t, strings.Fields(c.want), p.undos())
			p.ended(saga.DeadLetter)
			p.byHand(saga.EventRelay, "")
			p.ended(saga.Compensated)
			assert.Empty(t, p.Effects())
			assert.Len(t, p.times("undo a"), 1)
		})
	}
}

func proceed(out world.Num) error { return step.Effect[world.Num, world.Num]{}.Proceed(out) }

func TestProceed(t *testing.T) {
	p := stage(t, root().Then(act("a")).Then(act("b")).Then(act("c"))).on("do b", errBoom).on("undo b", proceed(99)).enter(world.Num(1))
	assert.Equal(t, []string{"do a", "do b", "undo b", "do c"}, p.trail())
	assert.Equal(t, world.Num(99), p.the("do c").What.In)
	p.endedWith(world.Num(99).Mix("c"))
}

func TestProceedIsUndoneLikeAnOutput(t *testing.T) {
	p := stage(t, root().Then(act("a")).Then(act("b")).Then(act("c")))
	p.on("do b", errBoom).on("undo b", errBoom, proceed(99)).on("do c", errStop).enter(world.Num(1))
	assert.Equal(t, []string{"do a", "do b", "undo b", "undo b", "do c", "undo b", "undo a"}, p.trail())
	e := p.the("undo b").What
	assert.True(t, e.Effect.Known)
	assert.Equal(t, world.Num(99), e.Effect.Out)
	assert.Equal(t, 1, e.Number, "its retries count anew")
	assert.EqualError(t, e.Effect.Cause, "stop")
	assert.EqualError(t, p.failure().Cause, "stop")
	assert.Empty(t, p.failure().Also, "b has been forgiven")
}

func TestProceedOfAStepThatPassesItsInputOn(t *testing.T) {
	pass := step.Do("b", func(context.Context, world.Num) error { return nil }).Compensate(func(context.Context, step.Effect[world.Num, world.Num]) error { return nil })
	p := stage(t, root().Then(pass).Then(act("c"))).on("do b", errBoom).on("undo b", proceed(99)).enter(world.Num(1))
	assert.Equal(t, world.Num(99), p.the("do c").What.In)
	p.ended(saga.Succeeded)
}

// TestProceedTooLate: elsewhere it counts as giving up.
func TestProceedTooLate(t *testing.T) {
	for name, c := range map[string]struct {
		flow flow.Flow[world.Num, world.Num]
		play func(p *play)
		path string
	}{
		"of a step before the one that failed": {
			root().Then(act("a")).Then(act("b")), func(p *play) { p.on("do b", errBoom).on("undo a", proceed(9)) }, "a",
		},
		"of a step that was done, when another refuses": {
			root().Then(act("a")).Then(act("b")), func(p *play) { p.on("do b", errStop).on("undo a", proceed(9)) }, "a",
		},
		"after a cancel": {
			root().Then(act("a")), func(p *play) { p.on("do a", errBoom).on("undo a", proceed(9)).when("undo a", p.cancelNow) }, "a",
		},
		"after the deadline": {
			root().Then(act("a")).Deadline(time.Second),
			func(p *play) {
				p.on("do a", errBoom).on("undo a", step.NotYet(time.Minute), proceed(9))
			}, "a",
		},
		"after a sibling failed": {
			root().Both("both", act("a"), act("b"), sum),
			func(p *play) {
				p.on("do both/a", errBoom).on("do both/b", errBoom).on("undo both/a", proceed(9))
			}, "both/a",
		},
		"with a value that cannot be stored": {
			root().Then(act("a")), func(p *play) { p.on("do a", errBoom).on("undo a", proceed(9)); p.Env.MaxPayload = 0 }, "a",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := stage(t, c.flow)
			c.play(p)
			p.enter(world.Num(1))
			p.ended(saga.DeadLetter)
			f := p.failure()
			k := slices.IndexFunc(f.Undone, func(u saga.UndoResult) bool { return u.Path == c.path })
			require.GreaterOrEqual(t, k, 0, "%v", f.Undone)
			if name != "with a value that cannot be stored" {
				assert.EqualError(t, f.Undone[k].Err, saga.ErrTooLate.Error())
			} else {
				assert.ErrorContains(t, f.Undone[k].Err, saga.ErrTooLarge.Error())
			}
			assert.NotContains(t, p.journal(c.path), "proceeded")
		})
	}
}

// cancelNow cancels, and lets the machine hear of it before anything else.
func (p *play) cancelNow() {
	p.cancel()
	p.Read(p.m())
}

func TestFirstFailureIsTheCauseAndOthersAreAlso(t *testing.T) {
	p := stage(t, root().All3("all", act("a"), act("b"), plain("c"), sum3))
	p.on("do all/a", errors.New("first")).on("do all/b", errors.New("second")).on("do all/c", errors.New("third")).enter(world.Num(1))
	f := p.failure()
	assert.EqualError(t, f.Cause, "first")
	assert.Equal(t, "all/a", f.Step)
	require.Len(t, f.Also, 2)
	assert.EqualError(t, f.Also[0], "second")
	assert.EqualError(t, f.Also[1], "third")
}

func TestFailureOfABranchCancelsTheOthers(t *testing.T) {
	p := stage(t, root().Both("both", act("a"), flow.New[world.Num]("b").Then(act("x")).Then(act("y")), sum)).on("do both/a", errStop).enter(world.Num(1))
	assert.Equal(t, []string{"do both/a", "do both/b/x", "undo both/b/x"}, p.trail(), "x is cut off, y never runs")
	assert.True(t, p.the("do both/b/x").Stopped())
	assert.Equal(t, []string{"suspect", "failed", "undone"}, p.journal("both/b/x"))
	assert.Empty(t, p.failure().Also, "that an attempt was cut off is no failure of its own")
	e := p.the("undo both/b/x").What.Effect
	assert.False(t, e.Known)
	assert.EqualError(t, e.Cause, "stop")
}

func TestOwnUndoComesFirst(t *testing.T) {
	p := stage(t, root().Then(act("z")).Both("both", act("a"), act("b"), sum)).on("do both/b", errBoom).on("undo both/b", step.NotYet(time.Hour))
	p.enter(world.Num(1))
	assert.Equal(t, []string{"do z", "do both/a", "do both/b", "undo both/b", "undo both/b", "undo both/a", "undo z"}, p.trail())
	assert.Equal(t, time.Hour, p.times("undo both/a")[0], "nothing else is undone before it has answered")
}

func TestCancelAndDeadlineChangeNothingOnceASagaCompensates(t *testing.T) {
	p := stage(t, root().Then(act("a")).Then(act("b")).Deadline(time.Minute)).on("do b", errStop).on("undo a", step.NotYet(time.Hour))
	p.when("undo a", p.cancelNow).enter(world.Num(1))
	p.ended(saga.Compensated)
	assert.EqualError(t, p.failure().Cause, "stop")
	assert.Empty(t, p.failure().Also)
	assert.Equal(t, []string{"do a", "do b", "undo a", "undo a"}, p.trail())
}

func TestUndoGetsWhatItsStepGotWhateverBecameOfTheValues(t *testing.T) {
	type order struct{ Items []string }
	spoil := func(name string) step.Step[order, order] {
		return step.New(name, func(_ context.Context, o order) (order, error) {
			out := order{append([]string{name}, o.Items...)}
			clear(o.Items)
			return out, nil
		}).Compensate(func(context.Context, step.Effect[order, order]) error { return nil })
	}
	f := flow.New[order]("main").Then(spoil("a")).Map(func(o order) order { return order{append([]string{"map"}, o.Items...)} }).
		Then(spoil("b")).Then(spoil("c")).Then(spoil("d"))
	p := stage(t, f).on("do d", errBoom).enter(order{[]string{"in"}})
	want := map[string]plan.Effect{
		"undo a": {In: order{[]string{"in"}}, Out: order{[]string{"a", "in"}}},
		"undo b": {In: order{[]string{"map", "a", "in"}}, Out: order{[]string{"b", "map", "a", "in"}}},
		"undo c": {In: order{[]string{"b", "map", "a", "in"}}, Out: order{[]string{"c", "b", "map", "a", "in"}}},
		"undo d": {In: order{[]string{"c", "b", "map", "a", "in"}}, Out: order{}},
	}
	for call, e := range want {
		assert.Equal(t, e.In, p.the(call).What.Effect.In, call)
		assert.Equal(t, e.Out, p.the(call).What.Effect.Out, call)
	}
}

func TestRetryGetsItsInputAnew(t *testing.T) {
	type order struct{ Items []string }
	var got []string
	s := step.New("a", func(_ context.Context, o order) (order, error) {
		got = append(got, o.Items[0])
		o.Items[0] = "spoilt"
		return o, nil
	}).Retry(step.Retry{Attempts: 3})
	p := stage(t, flow.New[order]("main").Map(func(o order) order { return order{slices.Clone(o.Items)} }).Then(s.Compensate(
		func(context.Context, step.Effect[order, order]) error { return nil })))
	p.Answers = func(c *world.Call) world.Answer {
		_, _ = c.What.Spec.Do(nil, c.What.In)
		if len(got) < 3 {
			return world.Answer{Err: errBoom}
		}
		return world.Answer{}
	}
	p.enter(order{[]string{"fresh"}})
	assert.Equal(t, []string{"fresh", "fresh", "fresh"}, got[:3])
}

func TestCompensationCallsNoPureFunction(t *testing.T) {
	calls := 0
	double := func(n world.Num) world.Num { calls++; return 2 * n }
	join := func(a, b world.Num) world.Num { calls++; return a + b }
	f := root().Map(double).Then(act("a")).Use(act("b"), double, join).
		Both("both", flow.New[world.Num]("x").Map(double).Then(act("c")), act("d"), func(_, a, b world.Num) world.Num { calls++; return a + b }).
		Each("each", func(n world.Num) []world.Num { calls++; return []world.Num{n, n} }, act("e"), func(n world.Num, _ []world.Num) world.Num { calls++; return n }).
		Then(act("last"))
	p := stage(t, f)
	p.Env.DecodeAll = true
	before := 0
	p.when("do last", func() { before = calls })
	p.on("do last", errBoom).enter(world.Num(1))
	p.ended(saga.Compensated)
	assert.Len(t, p.undos(), 7)
	assert.NotZero(t, before)
	assert.Equal(t, before, calls)
}

func TestInputOfAStepThatWaitsIsRecorded(t *testing.T) {
	for name, err := range map[string]error{"for its next attempt": errBoom, "for an answer": step.NotYet(time.Hour)} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			double := func(n world.Num) world.Num { calls++; return 2 * n }
			a := act("a").Retry(step.Retry{Attempts: 2, Delay: time.Hour})
			p := stage(t, root().Map(double).Then(a)).on("do a", err)
			p.Env.Jitter = func() float64 { return 1 }
			p.Start("main", "m", world.Num(3))
			for p.m().State != broker.Parked {
				p.Step()
			}
			p.cancel()
			p.RunOut()
			p.ended(saga.Compensated)
			assert.Equal(t, world.Num(6), p.the("undo a").What.Effect.In)
			assert.Equal(t, 1, calls, "the machine that was loaded asked nobody")
		})
	}
}

func TestOthersAreUndoneBeforeADeadLetterIsBuried(t *testing.T) {
	p := stage(t, root().Both("both", act("a"), act("b"), sum).Then(act("c")))
	p.on("do c", errStop).on("undo both/a", step.GiveUp(errBoom)).on("undo both/b", step.NotYet(time.Hour), errBoom).enter(world.Num(1))
	p.ended(saga.DeadLetter)
	assert.Len(t, p.times("undo both/b"), 3)
	assert.Equal(t, []saga.UndoResult{{Path: "both/b"}}, p.failure().Undone[:1])
}

func TestWithdrawnAttemptHadNoEffect(t *testing.T) {
	for name, c := range map[string]struct {
		before []error
		undone bool
	}{
		"the first":                   {nil, false},
		"after a failure":             {[]error{errBoom}, true},
		"after an answer of: not yet": {[]error{step.NotYet(time.Second)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := stage(t, root().Then(act("a").Retry(step.Retry{Attempts: 3}))).on("do a", c.before...)
			p.Start("main", "m", world.Num(1))
			for len(p.times("do a")) <= len(c.before) {
				p.Step()
			}
			p.cancelNow()
			p.Withdraw(p.m().Owner.Calls[0])
			p.RunOut()
			p.ended(saga.Compensated)
			assert.Equal(t, c.undone, len(p.undos()) == 1)
			assert.ErrorContains(t, p.failure().Cause, "cancelled")
			assert.Empty(t, p.failure().Also)
		})
	}
}

func TestWithdrawnAttemptIsMadeAgain(t *testing.T) {
	p := stage(t, root().Then(act("a")))
	p.Start("main", "m", world.Num(1))
	p.Drive(p.m())
	p.Withdraw(p.m().Owner.Calls[0])
	p.RunOut()
	p.ended(saga.Succeeded)
	assert.Equal(t, []string{"do a", "do a"}, p.trail())
}

func TestItemsAreUndoneNoMoreAtOnceThanTheyWereDone(t *testing.T) {
	f := root().Each("pick", func(world.Num) []world.Num { return []world.Num{1, 2, 3, 4, 5} }, pair("one", "take", "wrap"), noJoin, flow.Parallel(2)).Then(act("b"))
	p := stage(t, f).on("do b", errStop)
	most := 0
	next := p.Answers
	p.Answers = func(c *world.Call) world.Answer {
		if c.What.Undo {
			most = max(most, len(c.Saved.Owner.Calls)+1)
		}
		return next(c)
	}
	p.enter(world.Num(5))
	p.ended(saga.Compensated)
	assert.Len(t, p.undos(), 10)
	assert.Equal(t, 2, most)
}

func TestAnUndoAfterProceedIsNoRepeatOfThatOne(t *testing.T) {
	p := stage(t, root().Then(act("a")).Then(act("b")))
	p.on("do a", errBoom).on("undo a", proceed(9)).on("do b", step.Refused(errStop)).enter(world.Num(1))
	p.ended(saga.Compensated)
	var again []bool
	for _, c := range p.Calls {
		if c.String() == "undo a" {
			again = append(again, c.What.Again)
		}
	}
	assert.Equal(t, []bool{false, true}, again)
	assert.Empty(t, p.Effects())
}
