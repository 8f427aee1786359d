package saga_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/saga"
	"github.com/skald-go/skald/step"
)

var paid = flow.NewSignal[num]("paid")

func (p *play) signal(name string, value num) {
	data, err := payloads{}.Marshal(value)
	if err != nil {
		p.t.Fatal(err)
	}
	p.post("m", saga.EventSignal, name, data)
}

func takeSignal(_, s num) num { return s }

func TestDeadlineCompensates(t *testing.T) {
	p := stage(t, root().Then(act("a")).Then(act("b")).Deadline(time.Minute)).on("do b", step.NotYet(time.Hour)).enter(num(1))
	p.ended(saga.Compensated)
	assert.EqualError(t, p.failure().Cause, saga.ErrDeadline.Error())
	assert.Equal(t, "", p.failure().Step)
	assert.Equal(t, []string{"b", "a"}, p.undos(), "b was asked, and may have begun")
	assert.Equal(t, time.Minute, p.times("undo b")[0])
}

func TestDeadlineCutsOffRunningAttempts(t *testing.T) {
	p := stage(t, root().Both("both", act("a"), act("b"), sum).Deadline(time.Minute))
	p.start("main", "m", num(1))
	p.drive(p.m())
	p.now = p.now.Add(time.Minute)
	p.run()
	p.ended(saga.Compensated)
	assert.True(t, p.the("do both/a").stopped)
	assert.True(t, p.the("do both/b").stopped)
}

func TestDeadlineAtTheEndOfTime(t *testing.T) {
	p := stage(t, root().Then(act("a")).Delay("d", func(num) time.Duration { return 1<<63 - 1 }).Deadline(1<<63-1))
	p.start("main", "m", num(1))
	for p.m().state == broker.Owned {
		p.step()
	}
	assert.Equal(t, broker.Parked, p.m().state)
	assert.Equal(t, 2200, p.m().until.Year())
}

func TestCancelCompensates(t *testing.T) {
	p := stage(t, root().Then(act("a")).Then(act("b")).Then(act("c")))
	p.when("do b", p.cancelNow).enter(num(1))
	o := p.ended(saga.Compensated)
	assert.ErrorContains(t, p.failure().Cause, "flow: the saga was cancelled: changed my mind")
	assert.Equal(t, []string{"b", "a"}, p.undos())
	assert.Equal(t, "cancel-1", o.By)
}

func TestCancelWithoutAReason(t *testing.T) {
	p := stage(t, root().Then(act("a")))
	p.when("do a", func() { p.post("m", saga.EventCancel, "", nil); p.read(p.m()) }).enter(num(1))
	assert.EqualError(t, p.failure().Cause, saga.ErrCancelled.Error())
}

func TestCancelBeforeTheStart(t *testing.T) {
	p := stage(t, root().Then(act("a")))
	p.cancel()
	p.enter(num(1))
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
			p.answers = func(*call) answer { return answer{effect: true} } // also after it was cut off
			p.start("main", "m", num(1))
			p.drive(p.m())
			if c.first == "step" {
				p.finish(p.m().owner.calls[0])
				p.cancelNow()
			} else {
				p.cancelNow()
				p.finish(p.m().owner.calls[0])
			}
			p.run()
			p.ended(c.end)
			assert.Equal(t, c.end == saga.Succeeded, p.bank.effects["m/a"])
			if c.end == saga.Compensated {
				assert.True(t, p.the("undo a").what.Effect.Known, "the attempt answered in time to be known")
			}
		})
	}
}

func TestAttemptThatOutlivesItsCancelIsWaitedFor(t *testing.T) {
	p := stage(t, root().Then(act("z")).Both("both", act("a"), act("b"), sum))
	p.on("do both/a", errStop)
	p.start("main", "m", num(1))
	p.drive(p.m())
	p.finish(p.m().owner.calls[0])
	p.drive(p.m())
	a, b := p.m().owner.calls[0], p.m().owner.calls[1]
	p.finish(a)
	p.drive(p.m())
	assert.True(t, b.stopped)
	assert.True(t, b.what.Useless())
	assert.Empty(t, p.undos(), "b still runs, and z is before it")
	p.abandon(b)
	p.run()
	assert.Equal(t, []string{"both/b", "z"}, p.undos())
	p.ended(saga.Compensated)
}

func TestReportsThatNobodyWaitsForAreDropped(t *testing.T) {
	p := stage(t, root().Then(act("a")).Then(act("b")))
	p.start("main", "m", num(1))
	p.drive(p.m())
	c := p.m().owner.calls[0]
	p.finish(c)
	p.m().owner.m.Report(c.what, num(9), nil, p.now)
	p.run()
	p.endedWith(num(1).mix("a").mix("b"))
}

func TestDelay(t *testing.T) {
	p := stage(t, root().Then(act("a")).Delay("nap", func(num) time.Duration { return time.Hour }).Then(act("b"))).enter(num(1))
	p.endedWith(num(1).mix("a").mix("b"))
	assert.Equal(t, time.Hour, p.times("do b")[0])
}

func TestDelayThatIsNotPositiveGoesOnAtOnce(t *testing.T) {
	p := stage(t, root().Delay("nap", func(num) time.Duration { return -time.Hour }).Then(act("b"))).enter(num(1))
	assert.Equal(t, time.Duration(0), p.times("do b")[0])
}

func TestWaitsParkAndShortOnesDoNot(t *testing.T) {
	for name, c := range map[string]struct {
		nap    time.Duration
		parked bool
	}{"a moment": {100 * time.Millisecond, false}, "longer": {101 * time.Millisecond, true}} {
		t.Run(name, func(t *testing.T) {
			p := stage(t, root().Delay("nap", func(num) time.Duration { return c.nap }))
			p.start("main", "m", num(1))
			p.drive(p.m())
			assert.Equal(t, c.parked, p.m().state == broker.Parked)
			if c.parked {
				assert.Equal(t, epoch.Add(c.nap).UnixNano(), p.m().until.UnixNano())
			} else {
				assert.Equal(t, epoch.Add(c.nap), p.m().owner.m.Wake())
			}
			p.run()
			p.ended(saga.Succeeded)
		})
	}
}

func TestRetriesSurviveAndBackOff(t *testing.T) {
	p := stage(t, root().Then(act("a").Retry(step.Retry{Attempts: 5, Delay: time.Second, MaxDelay: 4 * time.Second})))
	p.env.Jitter = func() float64 { return 1 }
	p.on("do a", errBoom, errBoom, errBoom, errBoom).enter(num(1))
	assert.Equal(t, []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second, 11 * time.Second}, p.times("do a"))
	p.ended(saga.Succeeded)
}

func TestRetriesOfParallelPartsDoNotWaitForEachOther(t *testing.T) {
	hour, minute := step.Retry{Attempts: 2, Delay: time.Hour, MaxDelay: time.Hour}, step.Retry{Attempts: 2, Delay: time.Minute}
	p := stage(t, root().Both("both", act("a").Retry(hour), act("b").Retry(minute), sum))
	p.env.Jitter = func() float64 { return 1 }
	p.on("do both/a", errBoom).on("do both/b", errBoom).enter(num(1))
	assert.Equal(t, []time.Duration{0, time.Hour}, p.times("do both/a"))
	assert.Equal(t, []time.Duration{0, time.Minute}, p.times("do both/b"))
}

func TestSignal(t *testing.T) {
	p := stage(t, root().Then(act("a")).Wait(paid, takeSignal).Then(act("b"))).enter(num(1))
	assert.Equal(t, broker.Parked, p.m().state)
	assert.True(t, p.m().until.IsZero())
	p.signal("other", 5)
	p.run()
	assert.Equal(t, broker.Parked, p.m().state)
	p.signal("paid", 6)
	p.run()
	p.endedWith(num(6).mix("b"))
}

func TestSignalsComeEarlyTwiceAndInOrder(t *testing.T) {
	f := root().Then(act("a")).Wait(paid, takeSignal).Then(act("b")).Wait(paid.As("again"), func(a, s num) num { return 100*a + s })
	p := stage(t, f)
	p.signal("paid", 6)
	p.when("do b", func() { p.signal("paid", 7); p.read(p.m()) })
	p.flaky.twice = 1
	p.faults = 100
	p.enter(num(1))
	p.endedWith(100*num(6).mix("b") + 7)
}

func TestEventsOfTheJournalAreNotTakenAgain(t *testing.T) {
	p := stage(t, root().Wait(paid, takeSignal).Wait(paid.As("again"), takeSignal))
	p.signal("paid", 6)
	p.enter(num(1))
	assert.Equal(t, broker.Parked, p.m().state)
	p.adopt(p.m())
	data, _ := payloads{}.Marshal(num(6))
	assert.NoError(t, p.m().owner.m.Mail(broker.Event{ID: "signal-1", Kind: saga.EventSignal, Name: "paid", Data: data}, p.now))
	p.run()
	assert.Equal(t, broker.Parked, p.m().state, "it was one signal")
}

func TestWaitForThatComesLate(t *testing.T) {
	f := root().Then(act("a")).WaitFor(paid, time.Hour, takeSignal, act("remind")).Then(act("b"))
	p := stage(t, f).enter(num(1))
	p.endedWith(num(1).mix("a").mix("remind").mix("b"))
	assert.Equal(t, time.Hour, p.times("do paid/remind")[0])
}

func TestSignalWinsOverATimerDueAtTheSameMoment(t *testing.T) {
	f := root().WaitFor(paid, time.Hour, takeSignal, act("remind"))
	p := stage(t, f)
	p.start("main", "m", num(1))
	p.drive(p.m())
	p.now = p.now.Add(time.Hour)
	p.signal("paid", 6)
	p.run()
	p.endedWith(6)
}

func TestSignalAfterTheLimitIsForTheNextWait(t *testing.T) {
	f := root().WaitFor(paid, time.Hour, takeSignal, act("remind")).Wait(paid.As("again"), takeSignal)
	p := stage(t, f)
	p.when("do paid/remind", func() { p.signal("paid", 6); p.read(p.m()) }).enter(num(1))
	p.endedWith(6)
}

func TestSignalThatCannotBeReadIsADeadLetter(t *testing.T) {
	p := stage(t, root().Wait(paid, takeSignal)).enter(num(1))
	p.post("m", saga.EventSignal, "paid", []byte("?"))
	p.run()
	p.ended(saga.DeadLetter)
	assert.ErrorContains(t, p.failure().Cause, "signal \"signal-1\"")
}

func TestSignalsBeyondTheRecordAreADeadLetter(t *testing.T) {
	p := stage(t, root().Wait(paid, takeSignal)).enter(num(1))
	p.env.MaxRecord = 400
	for range 4 {
		p.post("m", saga.EventSignal, "other", slices.Repeat([]byte("1"), 100))
		p.run()
	}
	p.ended(saga.DeadLetter)
	assert.ErrorContains(t, p.failure().Cause, saga.ErrTooLarge.Error())
}

func TestCancelEndsAllKindsOfWaits(t *testing.T) {
	for name, f := range map[string]flow.Flow[num, num]{
		"delay":    root().Then(act("a")).Delay("nap", func(num) time.Duration { return time.Hour }),
		"wait":     root().Then(act("a")).Wait(paid, takeSignal),
		"wait for": root().Then(act("a")).WaitFor(paid, time.Hour, takeSignal, act("b")),
		"late":     root().Then(act("a")).WaitFor(paid, time.Second, takeSignal, root().As("late").Wait(paid.As("again"), takeSignal)),
	} {
		t.Run(name, func(t *testing.T) {
			p := stage(t, f)
			p.start("main", "m", num(1))
			for p.m().state != broker.Parked || name == "late" && !p.m().until.IsZero() {
				p.step()
			}
			p.cancel()
			p.run()
			p.ended(saga.Compensated)
			assert.Equal(t, []string{"a"}, p.undos())
		})
	}
}

func TestUnknownMailIsLeftToOthers(t *testing.T) {
	m := saga.New(&stage(t, root()).env, saga.Compile(erased(root())), "m", saga.Header{Started: epoch, Input: []byte("1")}, num(1))
	for _, ev := range []broker.Event{
		{ID: "1", Kind: "bribe"},
		{ID: "2", Kind: saga.EventReply, Name: "nowhere"},
	} {
		var foreign *saga.ForeignError
		assert.ErrorAs(t, m.Mail(ev, epoch), &foreign)
		assert.ErrorContains(t, m.Mail(ev, epoch), ev.Kind)
	}
	tr, ok := m.Transition(epoch)
	assert.True(t, ok)
	assert.Empty(t, tr.Consume)
}
