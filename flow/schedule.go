package flow

import (
	"fmt"
	"slices"
	"time"

	"github.com/skald-go/skald/internal/plan"
)

// Schedule starts sagas of a flow at times that a rule names: its ticks. Make one with Cron, Every or At, and give it to Engine.Schedule. Its
// methods return copies.
//
// Every tick starts one saga, however many engines of however many processes have the schedule: its ID is the name of the schedule and the time of the
// tick in UTC, "daily-report@2026-11-24T06:00:00Z". The broker keeps where a schedule stands, so that it outlives all processes.
type Schedule struct {
	name  string
	rule  rule
	def   *plan.Def
	input func(time.Time) any
}

// The limits of schedules.
const (
	shortestEvery = time.Second
	mostMissed    = 1000
	nameOfTick    = len("@2006-01-02T15:04:05.000000000Z")
)

// Cron is a schedule by a cron expression of five fields: minute, hour, day of month, month, day of week, as in "30 6 * * MON-FRI"; or
// @hourly, @daily, @weekly, @monthly or @yearly. The times are those of UTC, unless In names another zone. in gives the input of the saga of a tick; it is a pure function.
//
// Where clocks are put forward, the ticks of the hour that is left out come once, at the moment of the change. Where they are put back, a tick comes at the first of the
// two times that read alike. An expression whose hour is * means every hour that passes instead: it ticks in both, and not in one that there is not.
//
// It panics if the name cannot be a part of an ID, or if the expression cannot be read or has no time in the next five years.
func Cron[I, O any](name, expression string, f Flow[I, O], in func(tick time.Time) I) Schedule {
	call := fmt.Sprintf("Cron(%q, %q)", name, expression)
	if expression == "" {
		place{call: call}.panicf("the expression is empty: it has five fields, minute, hour, day of month, month and day of week")
	}
	return newSchedule(call, name, rule{Cron: expression, Zone: "UTC", Missed: 1}, f, in)
}

// Every is a schedule whose ticks are the multiples of d since the beginning of 1970 in UTC: the same for all processes, whenever they start. d is
// at least a second, and at most ten years. See Cron for in.
func Every[I, O any](name string, d time.Duration, f Flow[I, O], in func(tick time.Time) I) Schedule {
	return newSchedule(fmt.Sprintf("Every(%q, %v)", name, d), name, rule{Every: d, Missed: 1}, f, in)
}

// At is a schedule with a single tick. If the time has passed when the schedule is first seen, it is a missed tick. That it was started is kept until
// RemoveSchedule. See Cron for in. It panics if the time is not between 1970 and 2262, as the zero Time is not.
func At[I, O any](name string, at time.Time, f Flow[I, O], in func(tick time.Time) I) Schedule {
	call := fmt.Sprintf("At(%q, %v)", name, at)
	if at.Before(time.Unix(1, 0)) || at.Year() >= 2262 {
		place{call: call}.panicf("it is no time that a schedule can have: it takes those from 1970 to 2261")
	}
	return newSchedule(call, name, rule{Once: at.UnixNano(), Missed: 1}, f, in)
}

func newSchedule[I, O any](call, name string, r rule, f Flow[I, O], in func(time.Time) I) Schedule {
	at := place{call: call}
	at.checkName(name)
	def, err := f.definition()
	switch {
	case len(name)+nameOfTick > plan.MaxName:
		at.panicf("the name has %d bytes: with the time of a tick it has to fit into an ID of %d", len(name), plan.MaxName)
	case err != nil:
		at.panicf("%v", err)
	case in == nil:
		at.panicf("in is nil: it gives the input of the saga of a tick")
	}
	s := Schedule{name: name, rule: r, def: def, input: func(tick time.Time) any { return in(tick) }}
	return s.checked(call)
}

// checked panics if the rule cannot be.
func (s Schedule) checked(call string) Schedule {
	if _, err := s.rule.calendar(); err != nil {
		place{call: call}.panicf("%v", err)
	}
	return s
}

func (s Schedule) at(format string, args ...any) place {
	at := place{call: fmt.Sprintf("Schedule %q.%s", s.name, fmt.Sprintf(format, args...))}
	if s.def == nil {
		at.panicf("it is a zero Schedule: make it with Cron, Every or At")
	}
	return at
}

// In gives the zone whose clocks the expression of a Cron means. It is one that time.LoadLocation finds by its name, in every process that has the schedule: import
// time/tzdata where the machine may have no zones. It panics if it is not found here, as those of time.FixedZone and time.Local are not, or if the schedule is no Cron.
func (s Schedule) In(zone *time.Location) Schedule {
	at := s.at("In(%v)", zone)
	switch {
	case s.rule.Cron == "":
		at.panicf("only the ticks of a Cron depend on a zone")
	case zone == nil:
		at.panicf("the zone is nil: take one of time.LoadLocation, or time.UTC")
	case zone == time.Local:
		at.panicf("it has no name that means the same everywhere: take one of time.LoadLocation")
	}
	s.rule.Zone = zone.String()
	return s.checked(at.call)
}

// SkipMissed starts nothing for ticks that passed while no engine with the schedule lived: for those that are seen more than a minute late, and for all but the last
// if several are due. Without it the last of them is started.
func (s Schedule) SkipMissed() Schedule {
	s.at("SkipMissed")
	s.rule.Missed = 0
	return s
}

// RunMissed starts the sagas of missed ticks one by one, the oldest first, but of the last most only: 1 to 1000. Without it the last of them is started.
func (s Schedule) RunMissed(most int) Schedule {
	at := s.at("RunMissed(%d)", most)
	if most < 1 || most > mostMissed {
		at.panicf("it is 1 to %d", mostMissed)
	}
	s.rule.Missed = most
	s.checkAlone(at)
	return s
}

// SkipWhileRunning starts nothing for a tick that comes while the saga of the last one has not ended. A dead letter has not.
func (s Schedule) SkipWhileRunning() Schedule {
	at := s.at("SkipWhileRunning")
	s.rule.Alone = true
	s.checkAlone(at)
	return s
}

func (s Schedule) checkAlone(at place) {
	if s.rule.Alone && s.rule.Missed > 1 {
		at.panicf("RunMissed(%d) starts sagas that run side by side, SkipWhileRunning starts none beside another", s.rule.Missed)
	}
}

// Name is that of the schedule.
func (s Schedule) Name() string { return s.name }

// String is the schedule in words: `daily-report: cron "0 6 * * *" in Europe/Berlin starts "report"`.
func (s Schedule) String() string {
	if s.def == nil {
		return "no schedule"
	}
	return fmt.Sprintf("%s: %v starts %q", s.name, s.rule, s.def.Name)
}

// Next gives the first n ticks after a time, fewer if there are no more.
func (s Schedule) Next(after time.Time, n int) (ticks []time.Time) {
	s.at("Next")
	c, _ := s.rule.calendar()
	for range n {
		if after = c.next(after); after.IsZero() {
			break
		}
		ticks = append(ticks, after)
	}
	return ticks
}

// Schedule makes the engine start sagas by these schedules as soon as it is Run. It need not serve their flows: some engine has to. All engines of a broker that have a
// schedule of one name have the same one. If their rules differ, as while a new version of a program is rolled out, that of the engine that spoke last holds: each does
// when it is Run, and every five minutes if it finds another rule.
//
// The ticks of a Cron or an Every count from when the schedule is first seen; after a change of its rule, from when that is seen. A schedule that is in
// no program any more is not forgotten by the broker: call RemoveSchedule.
//
// It panics if a schedule is zero, if the engine has one of that name, or after Run was called.
func (e *Engine) Schedule(schedules ...Schedule) {
	if e.isZero() {
		panic("flow: Schedule on an Engine that NewEngine did not make")
	}
	if e.phase.Load() != fresh {
		panic("flow: Schedule after Run: say what an engine starts before it runs")
	}
	for _, s := range schedules {
		s.at("Schedule")
		if slices.ContainsFunc(e.schedules, func(o Schedule) bool { return o.name == s.name }) {
			panic(fmt.Sprintf("flow: Schedule: two schedules have the name %q", s.name))
		}
		e.schedules = append(e.schedules, s)
	}
}

// scheduled finds the schedule that a saga is the broker's memory of, or nil.
func (e *Engine) scheduled(id string) *Schedule {
	if !isSchedule(id) {
		return nil
	}
	for k := range e.schedules {
		if scheduleID(e.schedules[k].name) == id {
			return &e.schedules[k]
		}
	}
	return nil
}
