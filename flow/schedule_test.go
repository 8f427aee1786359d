package flow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

// chronicle is what the sagas of a schedule do: they write down their tick and when they ran.
type chronicle struct {
	mu    sync.Mutex
	ticks []string // "tick at time"
	takes time.Duration
}

func (l *chronicle) write(ctx context.Context, tick time.Time) (string, error) {
	select {
	case <-time.After(l.takes):
	case <-ctx.Done():
		return "", ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	line := tick.UTC().Format("02 15:04:05") + " in " + step.InfoFrom(ctx).Saga
	l.ticks = append(l.ticks, line)
	return line, nil
}

func (l *chronicle) flow() flow.Flow[time.Time, string] {
	return flow.New[time.Time]("report").Then(step.New("write", l.write).Timeout(24 * time.Hour))
}

// all lists the ticks whose sagas have run, in order.
func (l *chronicle) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var days []string
	for _, line := range l.ticks {
		tick, _, _ := strings.Cut(line, " in ")
		days = append(days, tick)
	}
	slices.Sort(days)
	return days
}

func theTick(tick time.Time) time.Time { return tick }

// scheduling gives an engine that serves the chronicle's flow and has these schedules.
func (l *chronicle) scheduling(b broker.Broker, name string, schedules ...flow.Schedule) *flow.Engine {
	e := newEngine(b, flow.Options{Name: name}, l.flow())
	e.Schedule(schedules...)
	return e
}

// daily ticks at six in the morning. A bubble begins at midnight, January 1st, 2000.
func (l *chronicle) daily() flow.Schedule { return flow.Cron("daily", "0 6 * * *", l.flow(), theTick) }

func inBubble(t *testing.T, test func(t *testing.T, b *fakeBroker, l *chronicle)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		t.Cleanup(func() { assert.NoError(t, b.Close()) })
		test(t, b, &chronicle{})
	})
}

// live runs an engine until the test ends or stop is called.
func live(t *testing.T, e *flow.Engine) (stop func()) {
	t.Helper()
	end := run(e)
	t.Cleanup(func() { assert.NoError(t, end()) })
	settle()
	return func() { assert.NoError(t, end()); settle() }
}

// pass lets time go by.
func pass(d time.Duration) {
	time.Sleep(d)
	settle()
}

const day = 24 * time.Hour

func schedules(t *testing.T, e *flow.Engine) []flow.ScheduleStatus {
	t.Helper()
	all, err := e.Schedules(t.Context())
	require.NoError(t, err)
	return all
}

func TestAScheduleStartsASagaForEachTick(t *testing.T) {
	inBubble(t, func(t *testing.T, b *fakeBroker, l *chronicle) {
		e := l.scheduling(b, "a", l.daily())
		live(t, e)
		assert.Equal(t, []flow.ScheduleStatus{{
			Name: "daily", Rule: `cron "0 6 * * *" in UTC`, Flow: "report", Next: time.Date(2000, 1, 1, 6, 0, 0, 0, time.UTC),
		}}, schedules(t, e))
		pass(6*time.Hour - time.Second)
		assert.Empty(t, l.all())
		pass(time.Second)
		assert.Equal(t, []string{"01 06:00:00"}, l.all())
		pass(2 * day)
		assert.Equal(t, []string{"01 06:00:00", "02 06:00:00", "03 06:00:00"}, l.all())
		assert.Equal(t, "01 06:00:00 in daily@2000-01-01T06:00:00Z", l.ticks[0])
		out, err := l.flow().Attach(e, "daily@2000-01-03T06:00:00Z").Await(t.Context())
		require.NoError(t, err)
		assert.Equal(t, l.ticks[2], out)
		assert.Equal(t, []flow.ScheduleStatus{{
			Name: "daily", Rule: `cron "0 6 * * *" in UTC`, Flow: "report", Next: time.Date(2000, 1, 4, 6, 0, 0, 0, time.UTC),
			Last: time.Date(2000, 1, 3, 6, 0, 0, 0, time.UTC), LastSaga: "daily@2000-01-03T06:00:00Z", Started: 3,
		}}, schedules(t, e))
	})
}

func TestManyEnginesStartOneSagaForEachTick(t *testing.T) {
	inBubble(t, func(t *testing.T, b *fakeBroker, l *chronicle) {
		every := flow.Every("often", 10*time.Second, l.flow(), theTick)
		for k := range 4 {
			live(t, l.scheduling(b, fmt.Sprint("engine-", k), every, l.daily()))
		}
		pass(day)
		ticks := l.all()
		assert.Len(t, ticks, 8640+1)
		assert.Len(t, slices.Compact(ticks), 8640, "but for that of six o'clock, of both")
	})
}

func TestTheTickIsToldInTheZoneOfTheSchedule(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	inBubble(t, func(t *testing.T, b *fakeBroker, l *chronicle) {
		told := make(chan string, 1)
		tell := flow.New[string]("tell").Then(step.New("it", func(_ context.Context, s string) (string, error) { told <- s; return s, nil }))
		e := newEngine(b, flow.Options{}, tell)
		e.Schedule(flow.Cron("daily", "0 6 * * *", tell, time.Time.String).In(berlin))
		live(t, e)
		pass(5 * time.Hour)
		assert.Equal(t, "2000-01-01 06:00:00 +0100 CET", <-told)
	})
}

func TestTicksThatWereMissed(t *testing.T) {
	for name, c := range map[string]struct {
		schedule func(flow.Schedule) flow.Schedule
		want     []string
	}{
		"the last":        {func(s flow.Schedule) flow.Schedule { return s }, []string{"01 06:00:00", "05 06:00:00", "06 06:00:00"}},
		"none":            {flow.Schedule.SkipMissed, []string{"01 06:00:00", "06 06:00:00"}},
		"all":             {func(s flow.Schedule) flow.Schedule { return s.RunMissed(10) }, []string{"01 06:00:00", "02 06:00:00", "03 06:00:00", "04 06:00:00", "05 06:00:00", "06 06:00:00"}},
		"some":            {func(s flow.Schedule) flow.Schedule { return s.RunMissed(2) }, []string{"01 06:00:00", "04 06:00:00", "05 06:00:00", "06 06:00:00"}},
		"one at a time":   {flow.Schedule.SkipWhileRunning, []string{"01 06:00:00", "05 06:00:00", "06 06:00:00"}},
		"none, but alone": {func(s flow.Schedule) flow.Schedule { return s.SkipMissed().SkipWhileRunning() }, []string{"01 06:00:00", "06 06:00:00"}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *fakeBroker, l *chronicle) {
				s := c.schedule(l.daily())
				stop := live(t, l.scheduling(b, "a", s))
				pass(7 * time.Hour)
				stop()
				pass(4 * day)
				live(t, l.scheduling(b, "b", s))
				pass(day)
				assert.Equal(t, c.want, l.all())
			})
		})
	}
}

func TestManyMissedTicksAreStartedInBatches(t *testing.T) {
	inBubble(t, func(t *testing.T, b *fakeBroker, l *chronicle) {
		s := flow.Every("often", time.Second, l.flow(), theTick).RunMissed(1000)
		live(t, l.scheduling(b, "a", s))()
		pass(time.Hour)
		e := l.scheduling(b, "b", s)
		live(t, e)
		ticks := l.all()
		assert.Len(t, ticks, 1000)
		assert.Equal(t, "01 01:00:00", ticks[999])
		assert.Equal(t, "01 00:43:21", ticks[0])
		assert.EqualValues(t, 1000, schedules(t, e)[0].Started)
	})
}

func TestATickThatIsALittleLateWasNotMissed(t *testing.T) {
	inBubble(t, func(t *testing.T, b *fakeBroker, l *chronicle) {
		stop := live(t, l.scheduling(b, "a", l.daily().SkipMissed()))
		pass(5 * time.Hour)
		stop()
		pass(time.Hour + 50*time.Second)
		live(t, l.scheduling(b, "b", l.daily().SkipMissed()))
		assert.Equal(t, []string{"01 06:00:00"}, l.all())
	})
}

func TestNoTickWhileTheLastRuns(t *testing.T) {
	inBubble(t, func(t *testing.T, b *fakeBroker, l *chronicle) {
		l.takes = 150 * time.Minute
		e := l.scheduling(b, "a", flow.Every("hourly", time.Hour, l.flow(), theTick).SkipWhileRunning())
		live(t, e)
		pass(8 * time.Hour)
		assert.Equal(t, []string{"01 01:00:00", "01 04:00:00"}, l.all())
		assert.EqualValues(t, 3, schedules(t, e)[0].Started)
		assert.EqualValues(t, 5, schedules(t, e)[0].Skipped)
		pass(time.Hour)
	})
}

func TestADeadLetterBlocksATickUntilSomebodySettlesIt(t *testing.T) {
	inBubble(t, func(t *testing.T, b *fakeBroker, l *chronicle) {
		stuck := true
		undo := func(context.Context, step.Effect[time.Time, string]) error {
			if stuck {
				return step.GiveUp(errBroken)
			}
			return nil
		}
		f := flow.New[time.Time]("f").Then(step.New("write", l.write).Compensate(undo)).
			Then(step.New("fail", func(_ context.Context, s string) (string, error) {
				if stuck {
					return "", errDeclined
				}
				return s, nil
			}))
		e := newEngine(b, flow.Options{}, f)
		e.Schedule(flow.Every("hourly", time.Hour, f, theTick).SkipWhileRunning())
		live(t, e)
		pass(3 * time.Hour)
		assert.Equal(t, []string{"01 01:00:00"}, l.all())
		stuck = false
		require.NoError(t, e.Relay(t.Context(), "hourly@2000-01-01T01:00:00Z", flow.By{Who: "ada", Why: "it works again"}))
		pass(time.Hour)
		assert.Equal(t, []string{"01 01:00:00", "01 04:00:00"}, l.all())
	})
}

// tenant is a propagator that puts a value into the headers of every saga.
type tenant struct{}

func (tenant) Inject(_ context.Context, h flow.Headers) { h["tenant"] = "acme" }

func (tenant) Extract(ctx context.Context, _ flow.Headers) context.Context { return ctx }

func TestSagasOfAScheduleHaveTheHeadersOfItsEngine(t *testing.T) {
	inBubble(t, func(t *testing.T, b *fakeBroker, l *chronicle) {
		told := make(chan string, 1)
		f := flow.New[time.Time]("f").Then(step.Do("a", func(ctx context.Context, _ time.Time) error { told <- step.InfoFrom(ctx).Headers["tenant"]; return nil }))
		e := newEngine(b, flow.Options{Propagators: []flow.Propagator{tenant{}}}, f)
		e.Schedule(flow.Every("hourly", time.Hour, f, theTick))
		live(t, e)
		pass(time.Hour)
		assert.Equal(t, "acme", <-told)
	})
}

func TestTicksOverlapUnlessToldOtherwise(t *testing.T) {
	inBubble(t, func(t *testing.T, b *fakeBroker, l *chronicle) {
		l.takes = 150 * time.Minute
		live(t, l.scheduling(b, "a", flow.Every("hourly", time.Hour, l.flow(), theTick)))
		pass(5 * time.Hour)
		assert.Equal(t, []string{"01 01:00:00", "01 02:00:00"}, l.all())
		pass(2 * time.Hour)
	})
}

func TestASingleTick(t *testing.T) {
	at := time.Date(2000, 1, 2, 12, 0, 0, 0, time.UTC)
	inBubble(t, func(t *testing.T, b *fakeBroker, l *chronicle) {
		once := flow.At("move", at, l.flow(), theTick)
		stop := live(t, l.scheduling(b, "a", once))
		pass(2 * day)
		assert.Equal(t, []string{"02 12:00:00"}, l.all())
		stop()
		e := l.scheduling(b, "b", once)
		stop = live(t, e)
		pass(day)
		assert.Equal(t, []string{"02 12:00:00"}, l.all(), "another engine knows that it was")
		assert.Zero(t, schedules(t, e)[0].Next)
		stop()
		live(t, l.scheduling(b, "c", flow.At("move", at.Add(5*day), l.flow(), theTick)))
		pass(5 * day)
		assert.Equal(t, []string{"02 12:00:00", "07 12:00:00"}, l.all(), "another time is another tick")
	})
	inBubble(t, func(t *testing.T, b *fakeBroker, l *chronicle) {
		pass(5 * day)
		live(t, l.scheduling(b, "a", flow.At("late", at, l.flow(), theTick), flow.At("too-late", at, l.flow(), theTick).SkipMissed()))
		assert.Equal(t, []string{"02 12:00:00"}, l.all(), "it passed before it was seen")
	})
}

func TestAnotherRuleHoldsFromWhenItIsSeen(t *testing.T) {
	inBubble(t, func(t *testing.T, b *fakeBroker, l *chronicle) {
		stop := live(t, l.scheduling(b, "a", flow.Cron("s", "0 6 1 * *", l.flow(), theTick)))
		pass(7 * time.Hour)
		stop()
		e := l.scheduling(b, "b", flow.Cron("s", "30 6 * * *", l.flow(), theTick))
		live(t, e)
		assert.Empty(t, l.all()[1:], "half past six has passed before it was seen")
		assert.Equal(t, time.Date(2000, 1, 2, 6, 30, 0, 0, time.UTC), schedules(t, e)[0].Next, "it need not wait for the first of February")
		pass(2 * day)
		assert.Equal(t, []string{"01 06:00:00", "02 06:30:00", "03 06:30:00"}, l.all())
	})
}

func TestWhileAnotherVersionIsRolledOutNoTickIsLostAndTheNewRuleHolds(t *testing.T) {
	inBubble(t, func(t *testing.T, b *fakeBroker, l *chronicle) {
		before := flow.Cron("s", "0 6 * * *", l.flow(), theTick)
		after := flow.Cron("s", "0 6,18 * * *", l.flow(), theTick)
		stop := live(t, l.scheduling(b, "old", before))
		pass(2 * time.Hour)
		live(t, l.scheduling(b, "new", after))
		pass(10 * time.Hour) // both live, and have told each other many times
		assert.Equal(t, []string{"01 06:00:00"}, l.all())
		stop()
		pass(day)
		assert.Equal(t, []string{"01 06:00:00", "01 18:00:00", "02 06:00:00"}, l.all())
	})
}

func TestAScheduleThatIsInNoProgramAnyMore(t *testing.T) {
	inBubble(t, func(t *testing.T, b *fakeBroker, l *chronicle) {
		stop := live(t, l.scheduling(b, "a", l.daily()))
		pass(7 * time.Hour)
		stop()
		e := l.scheduling(b, "b")
		live(t, e)
		pass(2 * day)
		assert.Equal(t, []string{"01 06:00:00"}, l.all())
		assert.True(t, schedules(t, e)[0].Stranded)
		assert.ErrorContains(t, e.Health(t.Context()), "RemoveSchedule")
		require.NoError(t, e.RemoveSchedule(t.Context(), "daily"))
		assert.Empty(t, schedules(t, e))
		assert.NoError(t, e.Health(t.Context()))
		assert.ErrorIs(t, e.RemoveSchedule(t.Context(), "daily"), flow.ErrUnknown)
		assert.ErrorContains(t, e.RemoveSchedule(t.Context(), "daily"), `flow: remove schedule "daily"`)
	})
}

func TestAScheduleIsRemovedWhileItLives(t *testing.T) {
	inBubble(t, func(t *testing.T, b *fakeBroker, l *chronicle) {
		stop := live(t, l.scheduling(b, "a", l.daily()))
		pass(7 * time.Hour)
		admin := flow.NewEngine(b, flow.Options{})
		require.NoError(t, admin.RemoveSchedule(t.Context(), "daily"))
		assert.Empty(t, schedules(t, admin))
		pass(10 * time.Minute)
		assert.Len(t, schedules(t, admin), 1, "an engine has it still")
		stop()
		require.NoError(t, admin.RemoveSchedule(t.Context(), "daily"))
		pass(day)
		assert.Empty(t, schedules(t, admin))
		assert.Equal(t, broker.Stats{}, withoutFinished(stats(t, b)))
	})
}

func withoutFinished(s broker.Stats) broker.Stats {
	s.Finished = 0
	return s
}

func TestATickWhoseInputFailsIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *fakeBroker, l *chronicle) {
		tries := 0
		e := newEngine(b, flow.Options{}, l.flow())
		e.Schedule(flow.Cron("s", "0 6 * * *", l.flow(), func(tick time.Time) time.Time {
			if tries++; tries < 4 {
				panic("no")
			}
			return tick
		}))
		live(t, e)
		pass(6 * time.Hour)
		assert.Contains(t, schedules(t, e)[0].Err, `flow: start saga "s@2000-01-01T06:00:00Z" of "report" for schedule "s": the function that gives the input: panic: no`)
		assert.Equal(t, time.Date(2000, 1, 1, 6, 0, 0, 0, time.UTC), schedules(t, e)[0].Next, "it is due still")
		pass(14 * time.Second) // 2 + 4 + 8
		assert.Equal(t, []string{"01 06:00:00"}, l.all())
		assert.Empty(t, schedules(t, e)[0].Err)
	})
}

// deadly is a broker whose workers die when they commit a transition that starts sagas: before it is stored, or after.
type deadly struct {
	*fakeBroker
	mu     sync.Mutex
	before bool
	after  bool
	deaths int
}

func (b *deadly) Join(ctx context.Context, m broker.Member) (broker.Worker, error) {
	w, err := b.fakeBroker.Join(ctx, m)
	return deadlyWorker{w, b}, err
}

type deadlyWorker struct {
	broker.Worker
	b *deadly
}

var errKilled = errors.New("the worker was killed")

func (w deadlyWorker) Commit(ctx context.Context, t broker.Transition) (broker.Ack, error) {
	if len(t.Send) == 0 {
		return w.Worker.Commit(ctx, t)
	}
	if w.b.dies(&w.b.before) {
		w.b.Broker.Kill(w.Worker)
		return broker.Ack{}, errors.Join(errKilled, broker.ErrFenced)
	}
	ack, err := w.Worker.Commit(ctx, t)
	if err == nil && w.b.dies(&w.b.after) {
		w.b.Broker.Kill(w.Worker)
		return broker.Ack{}, errors.Join(errKilled, broker.ErrFenced)
	}
	return ack, err
}

func (b *deadly) dies(when *bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !*when {
		return false
	}
	*when = false
	b.deaths++
	return true
}

func TestAWorkerThatDiesAtATick(t *testing.T) {
	for name, arm := range map[string]func(*deadly){
		"before its transition": func(b *deadly) { b.before = true },
		"after it":              func(b *deadly) { b.after = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, l := &deadly{fakeBroker: &fakeBroker{Broker: inmem.New(), workers: map[string]broker.Worker{}}}, &chronicle{}
				t.Cleanup(func() { assert.NoError(t, b.Close()) })
				live(t, l.scheduling(b, "a", l.daily()))
				live(t, l.scheduling(b, "b", l.daily()))
				for range 5 {
					b.mu.Lock()
					arm(b)
					b.mu.Unlock()
					pass(day)
				}
				assert.Equal(t, 5, b.deaths)
				assert.Equal(t, []string{"01 06:00:00", "02 06:00:00", "03 06:00:00", "04 06:00:00", "05 06:00:00"}, l.all())
			})
		})
	}
}

func TestAScheduleTakesNoMoreRoomWithTime(t *testing.T) {
	inBubble(t, func(t *testing.T, b *fakeBroker, l *chronicle) {
		live(t, l.scheduling(b, "a", flow.Every("often", time.Minute, l.flow(), theTick)))
		size := func() int {
			s, err := b.Lookup(t.Context(), "~schedule:often", true)
			require.NoError(t, err)
			return len(s.Record.Record) + len(s.Memo) + len(s.Journal)
		}
		pass(10 * time.Minute)
		first := size()
		pass(7 * day)
		assert.InDelta(t, first, size(), 16)
		assert.Less(t, first, 512)
		assert.LessOrEqual(t, stats(t, b).Finished, 61, "sagas are kept for an hour")
	})
}

func TestSchedulesAreNoSagas(t *testing.T) {
	inBubble(t, func(t *testing.T, b *fakeBroker, l *chronicle) {
		e := l.scheduling(b, "a", l.daily())
		live(t, e)
		for s := range e.List(t.Context(), flow.Filter{}) {
			t.Errorf("%v is listed", s.SagaID)
		}
		_, err := l.flow().Start(t.Context(), e, time.Now(), flow.ID("~schedule:daily"))
		assert.ErrorIs(t, err, flow.ErrID, "nobody can take their IDs")
	})
}

func TestAnEngineMayOnlyScheduleAndAnotherServe(t *testing.T) {
	inBubble(t, func(t *testing.T, b *fakeBroker, l *chronicle) {
		clock := newEngine(b, flow.Options{Name: "clock"})
		clock.Schedule(l.daily())
		live(t, clock)
		pass(day)
		assert.Empty(t, l.all())
		live(t, newEngine(b, flow.Options{Name: "server"}, l.flow()))
		assert.Equal(t, []string{"01 06:00:00"}, l.all())
	})
}

func TestAScheduleThatPublishesAnEvent(t *testing.T) {
	inBubble(t, func(t *testing.T, b *fakeBroker, l *chronicle) {
		fell := flow.NewTopic[time.Time]("night-fell")
		nightly := flow.New[time.Time]("announce").Then(fell.Step("publish"))
		for k := range 2 {
			e := newEngine(b, flow.Options{Name: fmt.Sprint("engine-", k)}, nightly)
			e.Schedule(flow.Cron("nightly", "0 0 * * *", nightly, theTick))
			fell.On(e, "owls", func(ctx context.Context, at time.Time) error { _, err := l.write(ctx, at); return err })
			live(t, e)
		}
		pass(3*day + time.Minute)
		assert.Equal(t, []string{"02 00:00:00", "03 00:00:00", "04 00:00:00"}, l.all())
	})
}

func TestSchedulesThatCannotBe(t *testing.T) {
	l := &chronicle{}
	f := l.flow()
	var zero flow.Flow[time.Time, string]
	daily := l.daily()
	for says, mistake := range map[string]func(){
		`flow: Cron("a/b", "0 6 * * *"): `:                                                     func() { flow.Cron("a/b", "0 6 * * *", f, theTick) },
		`flow: Cron("s", "six"): it is no cron expression of five fields`:                      func() { flow.Cron("s", "six", f, theTick) },
		`flow: Cron("s", "0 0 6 * * *"): it is no cron expression of five fields`:              func() { flow.Cron("s", "0 0 6 * * *", f, theTick) },
		`flow: Cron("s", "61 6 * * *"): it is no cron expression`:                              func() { flow.Cron("s", "61 6 * * *", f, theTick) },
		`flow: Cron("s", "0 0 30 2 *"): there is no such time in the next five years`:          func() { flow.Cron("s", "0 0 30 2 *", f, theTick) },
		`flow: Cron("s", "TZ=UTC 0 6 * * *"): name the zone with In`:                           func() { flow.Cron("s", "TZ=UTC 0 6 * * *", f, theTick) },
		`flow: Cron("s", "@every 1h"): @every is no time of a clock: take flow.Every`:          func() { flow.Cron("s", "@every 1h", f, theTick) },
		`flow: Cron("s", "@daily"): in is nil`:                                                 func() { flow.Cron[time.Time, string]("s", "@daily", f, nil) },
		`flow: Cron("s", "@daily"): `:                                                          func() { flow.Cron("s", "@daily", zero, theTick) },
		`flow: Every("s", 500ms): 500ms is too often: at most every 1s`:                        func() { flow.Every("s", 500*time.Millisecond, f, theTick) },
		`flow: Every("s", 0s): 0s is too often`:                                                func() { flow.Every("s", 0, f, theTick) },
		`flow: Every("s", 876000h0m0s): 876000h0m0s is too seldom`:                             func() { flow.Every("s", 876000*time.Hour, f, theTick) },
		`flow: Cron("s", ""): the expression is empty`:                                         func() { flow.Cron("s", "", f, theTick) },
		`flow: At("s", 0001-01-01 00:00:00 +0000 UTC): it is no time that a schedule can have`: func() { flow.At("s", time.Time{}, f, theTick) },
		`flow: At("s", 9999-01-01 00:00:00 +0000 UTC): it is no time that a schedule can have`: func() {
			flow.At("s", time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), f, theTick)
		},
		`flow: Schedule "daily".In(UTC): the zone is nil`:                                                           func() { daily.In(nil) },
		`flow: Schedule "s".In(UTC): only the ticks of a Cron depend on a zone`:                                     func() { flow.Every("s", time.Hour, f, theTick).In(time.UTC) },
		`flow: Schedule "daily".In(Local): it has no name that means the same everywhere`:                           func() { daily.In(time.Local) },
		`flow: Schedule "daily".In(here): the zone "here" is not known here`:                                        func() { daily.In(time.FixedZone("here", 3600)) },
		`flow: Schedule "daily".RunMissed(0): it is 1 to 1000`:                                                      func() { daily.RunMissed(0) },
		`flow: Schedule "daily".RunMissed(3): RunMissed(3) starts sagas that run side by side, SkipWhileRunning`:    func() { daily.SkipWhileRunning().RunMissed(3) },
		`flow: Schedule "".Schedule: it is a zero Schedule: make it with Cron, Every or At`:                         func() { newEngine(newBroker(), flow.Options{}).Schedule(flow.Schedule{}) },
		`flow: Schedule: two schedules have the name "daily"`:                                                       func() { newEngine(newBroker(), flow.Options{}).Schedule(daily, daily) },
		"flow: Schedule on an Engine that NewEngine did not make":                                                   func() { new(flow.Engine).Schedule(daily) },
		`flow: Cron("` + strings.Repeat("s", 250) + `", "@daily"): the name has 250 bytes: with the time of a tick`: func() { flow.Cron(strings.Repeat("s", 250), "@daily", f, theTick) },
	} {
		t.Run(says, func(t *testing.T) {
			defer func() { assert.Contains(t, fmt.Sprint(recover()), says) }()
			mistake()
		})
	}
}

func TestNextTicksOfASchedule(t *testing.T) {
	l := &chronicle{}
	noon := time.Date(2000, 1, 1, 12, 0, 0, 0, time.UTC)
	assert.Equal(t, []time.Time{noon.Add(18 * time.Hour), noon.Add(42 * time.Hour)}, l.daily().Next(noon, 2))
	assert.Empty(t, flow.At("s", noon, l.flow(), theTick).Next(noon, 3))
	assert.Equal(t, `daily: cron "0 6 * * *" in UTC, running up to 3 missed ticks starts "report"`, l.daily().RunMissed(3).String())
	assert.Equal(t, `s: every 1h0m0s, skipping missed ticks, one at a time starts "report"`,
		flow.Every("s", time.Hour, l.flow(), theTick).SkipMissed().SkipWhileRunning().String())
}
