package saga_test

import (
	"errors"
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

func pair(name string, a, b string) flow.Flow[world.Num, world.Num] {
	return flow.New[world.Num](name).Then(act(a)).Then(act(b))
}

func TestRaceIsWonByTheFirstSuccess(t *testing.T) {
	p := stage(t, root().Race("race", pair("x", "a", "b"), act("y")).Then(act("c"))).enter(world.Num(1))
	p.endedWith(world.Num(1).Mix("y").Mix("c"))
	assert.Equal(t, []string{"do race/x/a", "do race/y", "do race/x/b", "undo race/x/b", "undo race/x/a", "do c"}, p.trail(), "losers are back before it goes on")
	assert.EqualError(t, p.the("undo race/x/a").What.Effect.Cause, saga.ErrLostRace.Error())
	assert.Equal(t, map[string]bool{"m/race/y": true, "m/c": true}, p.Effects())
}

func TestRaceOneFailureIsNoFailure(t *testing.T) {
	p := stage(t, root().Race("race", act("x"), act("y"))).on("do race/x", errBoom).on("do race/y", step.NotYet(time.Hour)).enter(world.Num(1))
	p.endedWith(world.Num(1).Mix("y"))
	assert.EqualError(t, p.the("undo race/x").What.Effect.Cause, "boom")
}

func TestRaceLost(t *testing.T) {
	p := stage(t, root().Then(act("a")).Race("race", act("x"), act("y"), act("z")))
	p.on("do race/z", errors.New("first")).on("do race/x", step.NotYet(time.Second), errors.New("third")).on("do race/y", step.NotYet(time.Millisecond), errStop)
	p.enter(world.Num(1))
	p.ended(saga.Compensated)
	f := p.failure()
	assert.Equal(t, "race/z", f.Step)
	assert.EqualError(t, f.Cause, "first", "in the order in which they failed, not in which they stand")
	require.Len(t, f.Also, 2)
	assert.EqualError(t, f.Also[0], "stop")
	assert.EqualError(t, f.Also[1], "third")
	assert.Equal(t, []string{"race/z", "race/x", "a"}, p.undos())
	assert.EqualError(t, p.the("undo a").What.Effect.Cause, "first")
}

func TestRaceLostDoesNotForgetWhatRunsBesideIt(t *testing.T) {
	p := stage(t, root().Both("both", flow.New[world.Num]("f").Race("race", act("x"), act("y")), act("b"), sum))
	p.on("do both/f/race/x", errBoom).on("do both/f/race/y", errBoom)
	p.Start("main", "m", world.Num(1))
	p.Drive(p.m())
	b := p.m().Owner.Calls[2]
	for len(p.m().Owner.Calls) > 1 {
		p.Finish(p.m().Owner.Calls[0])
		p.Drive(p.m())
		if p.m().Owner.Calls[0] == b {
			p.m().Owner.Calls = append(p.m().Owner.Calls[1:], b)
		}
	}
	assert.True(t, b.Stopped())
	p.Effect(b)
	p.Abandon(b)
	p.RunOut()
	p.ended(saga.Compensated)
	assert.Contains(t, p.undos(), "both/b")
}

func TestRaceProceed(t *testing.T) {
	p := stage(t, root().Race("race", act("x"), act("y"))).on("do race/x", errBoom).on("undo race/x", proceed(9)).on("do race/y", step.NotYet(time.Hour)).enter(world.Num(1))
	p.endedWith(9)
	assert.Equal(t, []string{"race/x", "race/y"}, p.undos())
}

func TestRaceLoserProceedsTooLate(t *testing.T) {
	p := stage(t, root().Race("race", act("x"), act("y"))).on("do race/x", errBoom).on("undo race/x", step.NotYet(time.Second), proceed(9)).enter(world.Num(1))
	p.ended(saga.DeadLetter)
	assert.EqualError(t, p.failure().Undone[0].Err, saga.ErrTooLate.Error())
	p.byHand(saga.EventRelay, "")
	p.endedWith(world.Num(1).Mix("y"))
}

func TestRaceFailureAfterTheRaceIsWonIsNobodysCause(t *testing.T) {
	p := stage(t, root().Race("race", pair("x", "a", "b"), act("y")).Then(act("c")))
	p.on("do race/x/b", errBoom).on("do c", errStop)
	p.Start("main", "m", world.Num(1))
	p.Drive(p.m())
	p.Finish(p.m().Owner.Calls[0])
	p.Drive(p.m())
	p.Finish(p.m().Owner.Calls[0]) // y, while b runs
	p.RunOut()
	p.ended(saga.Compensated)
	assert.Equal(t, []string{"race/x/b", "race/x/a", "race/y"}, p.undos())
	assert.EqualError(t, p.the("undo race/x/a").What.Effect.Cause, saga.ErrLostRace.Error())
	assert.EqualError(t, p.failure().Cause, "stop")
	assert.Empty(t, p.failure().Also)
}

func TestRaceInOrder(t *testing.T) {
	f := root().Race("race", pair("x", "a", "b"), pair("y", "c", "d"), plain("z"))
	p := stage(t, f.UndoInOrder()).on("undo race/y/c", step.NotYet(time.Hour))
	p.enter(world.Num(1))
	p.endedWith(world.Num(1).Mix("z"))
	assert.Equal(t, []time.Duration{0, time.Hour}, p.times("undo race/y/c"))
	assert.Equal(t, []time.Duration{time.Hour}, p.times("undo race/x/a"))
}

func TestLoop(t *testing.T) {
	p := stage(t, root().Loop("poll", 5, act("ask"), (&counter{3}).reached).Then(act("b"))).enter(world.Num(1))
	assert.Equal(t, []string{"do poll#1/ask", "do poll#2/ask", "do poll#3/ask", "do b"}, p.trail())
	p.endedWith(world.Num(1).Mix("ask").Mix("ask").Mix("ask").Mix("b"))
}

func TestLoopThatDoesNotEndCompensates(t *testing.T) {
	p := stage(t, root().Then(act("a")).Loop("poll", 2, act("ask"), func(world.Num) bool { return false })).enter(world.Num(1))
	p.ended(saga.Compensated)
	assert.EqualError(t, p.failure().Cause, saga.ErrRounds.Error()+": 2 rounds of \"poll\"")
	assert.Equal(t, "poll", p.failure().Step)
	assert.Equal(t, []string{"poll#2/ask", "poll#1/ask", "a"}, p.undos())
}

func TestLoopDecidesBeforeTheNextRound(t *testing.T) {
	p := stage(t, root().Loop("poll", 5, act("ask"), func(world.Num) bool { return false }))
	p.Watch = func(s *world.Stored) {
		if n := len(p.journal("poll")); n > 0 {
			assert.Empty(t, p.times("do poll#9/ask"))
		}
	}
	p.Start("main", "m", world.Num(1))
	p.Drive(p.m())
	p.Finish(p.m().Owner.Calls[0])
	p.Drive(p.m())
	assert.Equal(t, []string{"round"}, p.journal("poll"), "recorded before the second round runs")
	assert.Equal(t, []string{"do poll#1/ask", "do poll#2/ask"}, p.trail())
}

func TestEach(t *testing.T) {
	f := root().Each("pick", three, act("take"), func(n world.Num, outs []world.Num) world.Num { return n + outs[0] + outs[1] + outs[2] })
	p := stage(t, f).enter(world.Num(5))
	p.endedWith(5 + world.Num(5).Mix("take") + world.Num(6).Mix("take") + world.Num(7).Mix("take"))
	assert.Equal(t, []string{"do pick[0]/take", "do pick[1]/take", "do pick[2]/take"}, p.trail())
	assert.Equal(t, []time.Duration{0}, p.times("do pick[2]/take"))
}

func TestEachOfNothing(t *testing.T) {
	p := stage(t, root().Each("pick", func(world.Num) []world.Num { return nil }, act("take"), func(n world.Num, outs []world.Num) world.Num { return n + world.Num(len(outs)) })).enter(world.Num(5))
	p.endedWith(5)
}

func TestEachParallel(t *testing.T) {
	f := root().Each("pick", func(n world.Num) []world.Num { return []world.Num{1, 2, 3, 4, 5} }, act("take"), noJoin, flow.Parallel(2))
	p := stage(t, f)
	most := 0
	p.Answers = func(c *world.Call) world.Answer {
		most = max(most, len(c.Saved.Owner.Calls)+1)
		return world.Answer{Effect: true}
	}
	p.enter(world.Num(5))
	p.ended(saga.Succeeded)
	assert.Equal(t, 2, most)
	assert.Len(t, p.trail(), 5)
}

func TestEachItemFails(t *testing.T) {
	f := root().Each("pick", three, act("take"), noJoin, flow.Parallel(2))
	p := stage(t, f).on("do pick[1]/take", errStop).enter(world.Num(5))
	p.ended(saga.Compensated)
	assert.Equal(t, []string{"do pick[0]/take", "do pick[1]/take", "do pick[2]/take", "undo pick[0]/take", "undo pick[2]/take"}, p.trail())
	assert.Equal(t, "pick[1]/take", p.failure().Step)
}

func TestEachItemsAreNotAskedForAgain(t *testing.T) {
	asked := 0
	f := root().Each("pick", func(n world.Num) []world.Num { asked++; return []world.Num{n, n} }, act("take"), noJoin)
	p := stage(t, f)
	p.Start("main", "m", world.Num(5))
	p.Drive(p.m())
	p.Crash(p.m())
	p.RunOut()
	p.ended(saga.Succeeded)
	assert.Equal(t, 1, asked)
}

func TestDecisionIsRecordedBeforeAStepThatDependsOnItRuns(t *testing.T) {
	answers := []bool{true, false}
	cond := func(world.Num) bool { a := answers[0]; answers = answers[1:]; return a }
	p := stage(t, root().If("if", cond, act("x"), act("y")))
	p.Start("main", "m", world.Num(5))
	p.Drive(p.m())
	p.Crash(p.m())
	p.RunOut()
	p.endedWith(world.Num(5).Mix("x"))
	assert.Len(t, answers, 1, "what was decided is not decided again")
}

func TestSwitchWithoutACase(t *testing.T) {
	f := root().Then(act("a")).Switch("by", func(world.Num) string { return "boat" }, flow.Case("car", act("x")), flow.Case("train", act("y")))
	p := stage(t, f).enter(world.Num(1))
	p.ended(saga.Compensated)
	assert.ErrorContains(t, p.failure().Cause, "no such case: \"boat\"")
	assert.Equal(t, "by", p.failure().Step)
	assert.Equal(t, []string{"a"}, p.undos())
}

func TestEmptyFlow(t *testing.T) {
	p := stage(t, root()).enter(world.Num(5))
	p.endedWith(5)
	assert.Equal(t, uint64(2), p.m().Rev)
}

func TestNodes(t *testing.T) {
	f := root().Then(act("a").Retry(step.Retry{Attempts: 2})).WaitFor(paid, time.Hour, takeSignal, act("late")).
		Both("both", act("b"), act("c"), sum).Delay("nap", func(world.Num) time.Duration { return time.Hour }).Then(act("d"))
	p := stage(t, f).on("do a", errBoom).on("do d", errBoom).on("undo both/b", step.GiveUp(errBoom)).on("undo both/c", step.NotYet(time.Hour))
	seen := map[string]string{}
	p.Watch = func(s *world.Stored) {
		rec := s.Record
		m, err := saga.Load(&p.Env, p.Program("main"), &rec, p.Now)
		require.NoError(t, err)
		text := ""
		for _, n := range m.Nodes() {
			text += n.Path + " " + n.State + "; "
			if n.Path == "a" && n.State == "open" && n.Attempts == 1 {
				assert.EqualError(t, n.Err, "boom")
				assert.False(t, n.Next.IsZero())
			}
			if n.Path == "both/b" && n.State == "stuck" {
				assert.EqualError(t, n.Err, "boom")
			}
			assert.NotEqual(t, plan.Seq, n.Kind)
		}
		seen[text] = m.ID()
	}
	p.enter(world.Num(1))
	for _, want := range []string{
		"a done; paid open; ",
		"a done; paid open; paid/late open; ",
		"a done; paid done; paid/late done; both/b done; both/c done; nap done; d undoing; ",
		"a done; paid done; paid/late done; both/b stuck; both/c undoing; nap undone; d undone; ",
	} {
		assert.Contains(t, seen, want)
	}
}

func TestMachineTellsOfItself(t *testing.T) {
	p := stage(t, root().Then(act("a")).Deadline(time.Hour)).on("do a", errBoom)
	p.Start("main", "m", world.Num(1))
	m := p.m().Owner.M
	assert.Equal(t, "m", m.ID())
	assert.Equal(t, uint64(1), m.Rev())
	assert.Equal(t, world.Epoch.Add(time.Hour), m.Deadline())
	assert.Equal(t, "t1", m.Header().Headers["trace"])
	assert.False(t, m.Decided())
	assert.False(t, m.Failing())
	assert.Nil(t, m.Outcome())
	p.Drive(p.m())
	p.Finish(p.m().Owner.Calls[0])
	p.Drive(p.m())
	assert.False(t, m.Compensating(), "its own undo may still proceed")
	assert.True(t, m.Failing())
	assert.False(t, m.Decided())
	p.Finish(p.m().Owner.Calls[0])
	m.Advance(p.Now)
	assert.True(t, m.Compensating())
	assert.True(t, m.Decided())
	assert.Equal(t, saga.Compensated, m.Outcome().End)
	assert.True(t, stage(t, root()).deadline().IsZero())
}

func (p *play) deadline() time.Time {
	p.Start("main", "m", world.Num(1))
	return p.m().Owner.M.Deadline()
}

func TestSlowSagaSaysSo(t *testing.T) {
	p := stage(t, root().Delay("nap", func(world.Num) time.Duration { return time.Hour }))
	p.Env.SlowAfter = time.Minute
	p.enter(world.Num(1))
	p.ended(saga.Succeeded)
	assert.Equal(t, []string{"slow"}, p.journal(""))
}

func TestParkedSagaThatIsOwnedAgainBecauseOfMailGoesOn(t *testing.T) {
	p := stage(t, root().Wait(paid, takeSignal))
	p.Start("main", "m", world.Num(1))
	m := p.m().Owner.M
	m.Advance(p.Now)
	tr, ok := m.Transition(p.Now)
	require.True(t, ok)
	require.Equal(t, broker.Park, tr.Next)
	p.signal("paid", 6) // crosses with the park
	ack := p.Apply(p.m(), tr)
	require.True(t, ack.Owned)
	m.Committed(ack.Rev)
	p.RunOut()
	p.endedWith(6)
}

func TestTheCauseOfADeadLetterIsTheUndoThatFailedNotTheLostRace(t *testing.T) {
	p := stage(t, root().Race("race", act("x"), act("y")))
	p.on("do race/x", step.NotYet(time.Hour)).on("undo race/x", step.GiveUp(errBoom)).enter(world.Num(1))
	p.ended(saga.DeadLetter)
	assert.Equal(t, "race/x", p.failure().Step)
	assert.EqualError(t, p.failure().Cause, "boom")
}
