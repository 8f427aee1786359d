package saga_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/saga"
	"github.com/skald-go/skald/internal/simulate/world"
	"github.com/skald-go/skald/step"
)

// closed is a saga whose undo of b failed for good.
func closed(t *testing.T) *play {
	p := stage(t, root().Then(act("a")).Then(act("b")).Then(act("c")))
	p.on("do c", errStop).on("undo b", step.GiveUp(errors.New("account is closed"))).enter(world.Num(1))
	p.ended(saga.DeadLetter)
	return p
}

func TestDeadLetterSaysWhatIsOpen(t *testing.T) {
	f := closed(t).failure()
	assert.Equal(t, saga.DeadLetter, f.End)
	assert.Equal(t, "c", f.Step)
	require.Len(t, f.Undone, 2)
	assert.Equal(t, saga.UndoResult{Path: "a"}, f.Undone[0])
	assert.Equal(t, "b", f.Undone[1].Path)
	assert.EqualError(t, f.Undone[1].Err, "account is closed")
}

func TestRelayUndoesExactlyWhatIsOpen(t *testing.T) {
	p := closed(t)
	p.byHand(saga.EventRelay, "")
	p.ended(saga.Compensated)
	assert.Equal(t, []string{"b", "a", "b"}, p.undos())
	assert.Equal(t, []saga.UndoResult{{Path: "a"}, {Path: "b"}}, p.failure().Undone)
	assert.Empty(t, p.Effects())
	last := p.m().Facts[len(p.m().Facts)-2]
	assert.Equal(t, saga.Relayed, last.Kind)
	assert.Equal(t, "ann", last.Who)
	assert.Equal(t, "because", last.Text)
}

func TestRelayThatFailsAgain(t *testing.T) {
	p := closed(t)
	p.on("undo b", errBoom, step.GiveUp(errors.New("still closed")))
	p.byHand(saga.EventRelay, "")
	p.ended(saga.DeadLetter)
	assert.EqualError(t, p.failure().Undone[1].Err, "still closed")
	assert.Equal(t, 2, p.the("undo b").What.Number)
	p.byHand(saga.EventRelay, "")
	p.ended(saga.Compensated)
	assert.Equal(t, 1, p.the("undo b").What.Number)
}

// What failed for good one after the other is relayed one after the other, with a retry in between.
func TestRelayKeepsTheOrderOfUndos(t *testing.T) {
	p := stage(t, root().Then(act("a")).Then(act("b")).Both("both", act("l"), act("r"), sum).Then(act("c")))
	gone := step.GiveUp(errors.New("account is closed"))
	p.on("do c", errStop).on("undo a", gone).on("undo b", gone).on("undo both/l", gone).on("undo both/r", gone).enter(world.Num(1))
	p.ended(saga.DeadLetter)
	p.on("undo b", errBoom)
	before := len(p.undos())
	p.byHand(saga.EventRelay, "")
	p.ended(saga.Compensated)
	undos := p.undos()[before:]
	require.Len(t, undos, 5)
	assert.ElementsMatch(t, []string{"both/l", "both/r"}, undos[:2])
	assert.Equal(t, []string{"b", "b", "a"}, undos[2:])
	assert.Empty(t, p.Effects())
}

func TestSkip(t *testing.T) {
	p := closed(t)
	p.byHand(saga.EventSkip, "b")
	o := p.ended(saga.Compensated)
	assert.Equal(t, []string{"b"}, o.Kept)
	assert.Equal(t, []saga.UndoResult{{Path: "a"}, {Path: "b", ByHand: true}}, p.failure().Undone)
	assert.Equal(t, []string{"b", "a"}, p.undos())
}

func TestSkipOfNothingLeavesADeadLetterThatSaysSo(t *testing.T) {
	for name, path := range map[string]string{"undone": "a", "refused": "c", "nowhere": "z", "empty": ""} {
		t.Run(name, func(t *testing.T) {
			p := closed(t)
			p.byHand(saga.EventSkip, path)
			p.ended(saga.DeadLetter)
			assert.EqualError(t, p.failure().Cause, "stop")
			require.Len(t, p.failure().Also, 1)
			assert.ErrorContains(t, p.failure().Also[0], "a skip names no undo that failed for good")
			p.byHand(saga.EventRelay, "")
			p.ended(saga.Compensated)
		})
	}
}

func TestSkipLetsWhatFollowsRun(t *testing.T) {
	p := stage(t, root().Then(act("a")).Then(act("b")).Then(act("c")).StopUndoOnFailure())
	p.on("do c", errStop).on("undo b", step.GiveUp(errBoom)).enter(world.Num(1))
	p.byHand(saga.EventSkip, "b")
	p.ended(saga.Compensated)
	assert.Equal(t, []string{"b", "a"}, p.undos())
}

func TestSettle(t *testing.T) {
	for name, c := range map[string]struct {
		note saga.Note
		end  saga.End
	}{
		"done":               {saga.Note{Who: "ann", Out: []byte("42")}, saga.Succeeded},
		"done, with nothing": {saga.Note{Who: "ann", Out: []byte{}}, saga.Succeeded},
		"failed":             {saga.Note{Who: "ann", Err: []byte("written off")}, saga.Compensated},
	} {
		t.Run(name, func(t *testing.T) {
			p := closed(t)
			p.Resolve(p.m(), saga.EventSettle, "", c.note)
			p.RunOut()
			o := p.ended(c.end)
			assert.True(t, o.Hand)
			assert.Equal(t, []string{"b", "a"}, p.undos(), "nothing more is run")
			if c.end == saga.Succeeded {
				assert.Equal(t, c.note.Out, o.Value)
				return
			}
			assert.EqualError(t, p.failure().Cause, "stop")
			assert.EqualError(t, p.failure().Also[0], "written off")
			assert.Equal(t, []string{"b"}, o.Kept, "what nobody undid")
		})
	}
}

func TestDecisionByHandThatCannotBeReadIsADeadLetterAgain(t *testing.T) {
	p := closed(t)
	p.Post("m", saga.EventRelay, "", []byte("?"))
	p.m().State = broker.Ready
	p.RunOut()
	p.ended(saga.DeadLetter)
	assert.ErrorContains(t, p.failure().Cause, "a decision by hand")
	assert.Empty(t, p.m().Mail)
	p.byHand(saga.EventRelay, "")
	p.ended(saga.Compensated)
}

func TestForwardDeadLetterWithAPassedDeadlineCompensates(t *testing.T) {
	f := root().Then(act("a")).Race("race", act("x"), act("y")).Then(act("b")).Deadline(time.Hour)
	p := stage(t, f)
	p.on("do race/y", step.NotYet(time.Minute)).on("undo race/y", step.GiveUp(errBoom)).enter(world.Num(1))
	p.ended(saga.DeadLetter)
	assert.False(t, p.goesBack())
	p.Now = p.Now.Add(2 * time.Hour)
	p.byHand(saga.EventRelay, "")
	p.ended(saga.Compensated)
	assert.ErrorContains(t, p.failure().Cause, saga.ErrDeadline.Error())
	assert.Empty(t, p.Effects())
	assert.NotContains(t, p.trail(), "do b")
}

func (p *play) goesBack() bool {
	rec := p.m().Record
	m, err := saga.Load(&p.Env, p.Program("main"), &rec, p.Now)
	require.NoError(p.t, err)
	return m.Compensating()
}

func TestRaceWaitsForTheUndoOfALoser(t *testing.T) {
	p := stage(t, root().Race("race", act("x"), act("y")).Then(act("b")))
	p.on("do race/y", step.NotYet(time.Minute)).on("undo race/y", step.GiveUp(errBoom)).enter(world.Num(1))
	p.ended(saga.DeadLetter)
	assert.NotContains(t, p.trail(), "do b")
	p.byHand(saga.EventRelay, "")
	p.ended(saga.Succeeded)
	assert.Contains(t, p.trail(), "do b")
}

func TestTakeoverLimitBreaksTheSagaAndARelayGoesOn(t *testing.T) {
	p := stage(t, root().Then(act("a")))
	p.Start("main", "m", world.Num(1))
	p.Drive(p.m())
	p.Crash(p.m())
	p.Adopt(p.m())
	p.m().Owner.M.Break(saga.ErrTakeovers)
	assert.ErrorIs(t, p.m().Owner.M.Broken(), saga.ErrTakeovers)
	p.RunOut()
	p.ended(saga.DeadLetter)
	assert.ErrorIs(t, p.failure().Cause, saga.ErrTakeovers)
	p.on("do a", errStop).byHand(saga.EventRelay, "")
	p.ended(saga.Compensated)
	assert.Equal(t, []string{"do a", "do a", "undo a"}, p.trail(), "the attempt that killed its worker is not forgotten")
}

func TestBrokenSagaSuspectsWhatRuns(t *testing.T) {
	p := stage(t, root().Both("both", act("a"), act("b"), sum).Wait(flow.NewSignal[world.Num]("s"), func(a, b world.Num) world.Num { return a }))
	p.Start("main", "m", world.Num(1))
	p.Drive(p.m())
	p.m().Owner.M.Break(errBoom)
	p.Drive(p.m())
	p.ended(saga.DeadLetter)
	assert.Equal(t, []string{"suspect"}, p.journal("both/a"))
	assert.Equal(t, []string{"suspect"}, p.journal("both/b"))
}
