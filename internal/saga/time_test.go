package saga_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/saga"
	"github.com/skald-go/skald/internal/simulate/world"
	"github.com/skald-go/skald/step"
)

var paid = flow.NewSignal[world.Num]("paid")

func (p *play) signal(name string, value world.Num) {
	data, err := world.Payloads{}.Marshal(value)
	if err != nil {
		p.t.Fatal(err)
	}
	p.Post("m", saga.EventSignal, name, data)
}

func takeSignal(_, s world.Num) world.Num { return s }

func TestDeadlineCompensates(t *testing.T) {
	p := stage(t, root().Then(act("a")).Then(act("b")).Deadline(time.Minute)).on("do b", step.NotYet(time.Hour)).enter(world.Num(1))
	p.ended(saga.Compensated)
	assert.EqualError(t, p.failure().Cause, saga.ErrDeadline.Error())
	assert.Equal(t, "", p.failure().Step)
	assert.Equal(t, []string{"b", "a"}, p.undos(), "b was asked, and may have begun")
	assert.Equal(t, time.Minute, p.times("undo b")[0])
}

func TestDeadlineCutsOffRunningAttempts(t *testing.T) {
	p := stage(t, root().Both("both", act("a"), act("b"), sum).Deadline(time.Minute))
	p.Start("main", "m", world.Num(1))
	p.Drive(p.m())
	p.Now = p.Now.Add(time.Minute)
	p.RunOut()
	p.ended(saga.Compensated)
	assert.True(t, p.the("do both/a").Stopped())
	assert.True(t, p.the("do both/b").Stopped())
}

func TestDeadlineAtTheEndOfTime(t *testing.T) {
	p := stage(t, root().Then(act("a")).Delay("d", func(world.Num) time.Duration { return 1<<63 - 1 }).Deadline(1<<63-1))
	p.Start("main", "m", world.Num(1))
	for p.m().State == broker.Owned {
		p.Step()
	}
	assert.Equal(t, broker.Parked, p.m().State)
	assert.Equal(t, 2200, p.m().Until.Year())
}

func TestCancelCompensates(t *testing.T) {
	p := stage(t, root().Then(act("a")).Then(act("b")).Then(act("c")))
	p.when("do b", p.cancelNow).enter(world.Num(1))
	o := p.ended(saga.Compensated)
	assert.ErrorContains(t, p.failure().Cause, "flow: the saga was cancelled: changed my mind")
	assert.Equal(t, []string{"b", "a"}, p.undos())
	assert.Equal(t, "cancel-1", o.By)
}

func TestCancelWithoutAReason(t *testing.T) {
	p := stage(t, root().Then(act("a")))
	p.when("do a", func() { p.Post("m", saga.EventCancel, "", nil); p.Read(p.m()) }).enter(world.Num(1))
	assert.EqualError(t, p.failure().Cause, saga.ErrCancelled.Error())
}

func TestCancelBeforeTheStart(t *testing.T) {
	p := stage(t, root().Then(act("a")))
	p.cancel()
	p.enter(world.Num(1))
	p.ended(saga.Compensated)
	assert.Empty(t, p.trail())
}

// TestCancelAgainstTheLastStep: whichever the machine hears of first wins.
func TestCancelAgainstTheLastStep(t *testing.T) {
	for name, c := range map[string]struct {
		first string
		end   saga.End
	}{
		"the step first":   {"step", saga.Succeeded},
		"the cancel first": {"cancel", saga.Compensated},
	} {
		t.Run(name, func(t *testing.T) {
			p := stage(t, root().Then(act("a")))
			p.Answers = func(*world.Call) world.Answer { return world.Answer{Effect: true} } // also after it was cut off
			p.Start("main", "m", world.Num(1))
			p.Drive(p.m())
			if c.first == "step" {
				p.Finish(p.m().Owner.Calls[0])
				p.cancelNow()
			} else {
				p.cancelNow()
				p.Finish(p.m().Owner.Calls[0])
			}
			p.RunOut()
			p.ended(c.end)
			assert.Equal(t, c.end == saga.Succeeded, p.Effects()["m/a"])
			if c.end == saga.Compensated {
				assert.True(t, p.the("undo a").What.Effect.Known, "the attempt answered in time to be known")
			}
		})
	}
}

func TestAttemptThatOutlivesItsCancelIsWaitedFor(t *testing.T) {
	p := stage(t, root().Then(act("z")).Both("both", act("a"), act("b"), sum))
	p.on("do both/a", errStop)
	p.Start("main", "m", world.Num(1))
	p.Drive(p.m())
	p.Finish(p.m().Owner.Calls[0])
	p.Drive(p.m())
	a, b := p.m().Owner.Calls[0], p.m().Owner.Calls[1]
	p.Finish(a)
	p.Drive(p.m())
	assert.True(t, b.Stopped())
	assert.True(t, b.What.Useless())
	assert.Empty(t, p.undos(), "b still runs, and z is before it")
	p.Abandon(b)
	p.RunOut()
	assert.Equal(t, []string{"both/b", "z"}, p.undos())
	p.ended(saga.Compensated)
}

func TestReportsThatNobodyWaitsForAreDropped(t *testing.T) {
	p := stage(t, root().Then(act("a")).Then(act("b")))
	p.Start("main", "m", world.Num(1))
	p.Drive(p.m())
	c := p.m().Owner.Calls[0]
	p.Finish(c)
	p.m().Owner.M.Report(c.What, world.Num(9), nil, p.Now)
	p.RunOut()
	p.endedWith(world.Num(1).Mix("a").Mix("b"))
}

func TestDelay(t *testing.T) {
	p := stage(t, root().Then(act("a")).Delay("nap", func(world.Num) time.Duration { return time.Hour }).Then(act("b"))).enter(world.Num(1))
	p.endedWith(world.Num(1).Mix("a").Mix("b"))
	assert.Equal(t, time.Hour, p.times("do b")[0])
}

func TestDelayThatIsNotPositiveGoesOnAtOnce(t *testing.T) {
	p := stage(t, root().Delay("nap", func(world.Num) time.Duration { return -time.Hour }).Then(act("b"))).enter(world.Num(1))
	assert.Equal(t, time.Duration(0), p.times("do b")[0])
}

func TestWaitsParkAndShortOnesDoNot(t *testing.T) {
	for name, c := range map[string]struct {
		nap    time.Duration
		parked bool
	}{"a moment": {100 * time.Millisecond, false}, "longer": {101 * time.Millisecond, true}} {
		t.Run(name, func(t *testing.T) {
			p := stage(t, root().Delay("nap", func(world.Num) time.Duration { return c.nap }))
			p.Start("main", "m", world.Num(1))
			p.Drive(p.m())
			assert.Equal(t, c.parked, p.m().State == broker.Parked)
			if c.parked {
				assert.Equal(t, world.Epoch.Add(c.nap).UnixNano(), p.m().Until.UnixNano())
			} else {
				assert.Equal(t, world.Epoch.Add(c.nap), p.m().Owner.M.Wake())
			}
			p.RunOut()
			p.ended(saga.Succeeded)
		})
	}
}

func TestRetriesSurviveAndBackOff(t *testing.T) {
	p := stage(t, root().Then(act("a").Retry(step.Retry{Attempts: 5, Delay: time.Second, MaxDelay: 4 * time.Second})))
	p.Env.Jitter = func() float64 { return 1 }
	p.on("do a", errBoom, errBoom, errBoom, errBoom).enter(world.Num(1))
	assert.Equal(t, []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second, 11 * time.Second}, p.times("do a"))
	p.ended(saga.Succeeded)
}

func TestRetriesOfParallelPartsDoNotWaitForEachOther(t *testing.T) {
	hour, minute := step.Retry{Attempts: 2, Delay: time.Hour, MaxDelay: time.Hour}, step.Retry{Attempts: 2, Delay: time.Minute}
	p := stage(t, root().Both("both", act("a").Retry(hour), act("b").Retry(minute), sum))
	p.Env.Jitter = func() float64 { return 1 }
	p.on("do both/a", errBoom).on("do both/b", errBoom).enter(world.Num(1))
	assert.Equal(t, []time.Duration{0, time.Hour}, p.times("do both/a"))
	assert.Equal(t, []time.Duration{0, time.Minute}, p.times("do both/b"))
}

func TestSignal(t *testing.T) {
	p := stage(t, root().Then(act("a")).Wait(paid, takeSignal).Then(act("b"))).enter(world.Num(1))
	assert.Equal(t, broker.Parked, p.m().State)
	assert.True(t, p.m().Until.IsZero())
	p.signal("other", 5)
	p.RunOut()
	assert.Equal(t, broker.Parked, p.m().State)
	p.signal("paid", 6)
	p.RunOut()
	p.endedWith(world.Num(6).Mix("b"))
}

func TestSignalsComeEarlyTwiceAndInOrder(t *testing.T) {
	f := root().Then(act("a")).Wait(paid, takeSignal).Then(act("b")).Wait(paid.As("again"), func(a, s world.Num) world.Num { return 100*a + s })
	p := stage(t, f)
	p.signal("paid", 6)
	p.when("do b", func() { p.signal("paid", 7); p.Read(p.m()) })
	p.Flaky.Twice = 1
	p.Faults = 100
	p.enter(world.Num(1))
	p.endedWith(100*world.Num(6).Mix("b") + 7)
}

func TestEventsOfTheJournalAreNotTakenAgain(t *testing.T) {
	p := stage(t, root().Wait(paid, takeSignal).Wait(paid.As("again"), takeSignal))
	p.signal("paid", 6)
	p.enter(world.Num(1))
	assert.Equal(t, broker.Parked, p.m().State)
	p.Adopt(p.m())
	data, _ := world.Payloads{}.Marshal(world.Num(6))
	assert.NoError(t, p.m().Owner.M.Mail(broker.Event{ID: "signal-1", Kind: saga.EventSignal, Name: "paid", Data: data}, p.Now))
	p.RunOut()
	assert.Equal(t, broker.Parked, p.m().State, "it was one signal")
}

func TestWaitForThatComesLate(t *testing.T) {
	f := root().Then(act("a")).WaitFor(paid, time.Hour, takeSignal, act("remind")).Then(act("b"))
	p := stage(t, f).enter(world.Num(1))
	p.endedWith(world.Num(1).Mix("a").Mix("remind").Mix("b"))
	assert.Equal(t, time.Hour, p.times("do paid/remind")[0])
}

func TestSignalWinsOverATimerDueAtTheSameMoment(t *testing.T) {
	f := root().WaitFor(paid, time.Hour, takeSignal, act("remind"))
	p := stage(t, f)
	p.Start("main", "m", world.Num(1))
	p.Drive(p.m())
	p.Now = p.Now.Add(time.Hour)
	p.signal("paid", 6)
	p.RunOut()
	p.endedWith(6)
}

func TestSignalAfterTheLimitIsForTheNextWait(t *testing.T) {
	f := root().WaitFor(paid, time.Hour, takeSignal, act("remind")).Wait(paid.As("again"), takeSignal)
	p := stage(t, f)
	p.when("do paid/remind", func() { p.signal("paid", 6); p.Read(p.m()) }).enter(world.Num(1))
	p.endedWith(6)
}

func TestSignalThatCannotBeReadIsADeadLetter(t *testing.T) {
	p := stage(t, root().Wait(paid, takeSignal)).enter(world.Num(1))
	p.Post("m", saga.EventSignal, "paid", []byte("?"))
	p.RunOut()
	p.ended(saga.DeadLetter)
	assert.ErrorContains(t, p.failure().Cause, "signal \"signal-1\"")
}

func TestSignalsBeyondTheRecordAreADeadLetter(t *testing.T) {
	p := stage(t, root().Wait(paid, takeSignal)).enter(world.Num(1))
	p.Env.MaxRecord = 400
	for range 4 {
		p.Post("m", saga.EventSignal, "other", slices.Repeat([]byte("1"), 100))
		p.RunOut()
	}
	p.ended(saga.DeadLetter)
	assert.ErrorContains(t, p.failure().Cause, saga.ErrTooLarge.Error())
}

func TestCancelEndsAllKindsOfWaits(t *testing.T) {
	for name, f := range map[string]flow.Flow[world.Num, world.Num]{
		"delay":    root().Then(act("a")).Delay("nap", func(world.Num) time.Duration { return time.Hour }),
		"wait":     root().Then(act("a")).Wait(paid, takeSignal),
		"wait for": root().Then(act("a")).WaitFor(paid, time.Hour, takeSignal, act("b")),
		"late":     root().Then(act("a")).WaitFor(paid, time.Second, takeSignal, root().As("late").Wait(paid.As("again"), takeSignal)),
	} {
		t.Run(name, func(t *testing.T) {
			p := stage(t, f)
			p.Start("main", "m", world.Num(1))
			for p.m().State != broker.Parked || name == "late" && !p.m().Until.IsZero() {
				p.Step()
			}
			p.cancel()
			p.RunOut()
			p.ended(saga.Compensated)
			assert.Equal(t, []string{"a"}, p.undos())
		})
	}
}

func TestUnknownMailIsLeftToOthers(t *testing.T) {
	m := saga.New(&stage(t, root()).Env, saga.Compile(world.Erased(root())), "m", saga.Header{Started: world.Epoch, Input: []byte("1")}, world.Num(1))
	for _, ev := range []broker.Event{
		{ID: "1", Kind: "bribe"},
		{ID: "2", Kind: saga.EventReply, Name: "nowhere"},
	} {
		var foreign *saga.ForeignError
		assert.ErrorAs(t, m.Mail(ev, world.Epoch), &foreign)
		assert.ErrorContains(t, m.Mail(ev, world.Epoch), ev.Kind)
	}
	tr, ok := m.Transition(world.Epoch)
	assert.True(t, ok)
	assert.Empty(t, tr.Consume)
}
