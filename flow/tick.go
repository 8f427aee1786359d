package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
	"github.com/skald-go/skald/step"
)

const (
	lateTick   = time.Minute      // a tick that is seen later than that was missed
	ticksAtOne = 32               // whose sagas are started with one transition
	soon       = 5 * time.Second  // a schedule that is woken so much too early, because clocks differ, is kept until it is time
	unseen     = 15 * time.Second // that a saga may be on its way to its partition
	mostPause  = time.Minute      // between attempts to start the saga of a tick
)

// tending is a schedule that this engine owns at the moment.
type tending struct {
	e      *Engine
	m      *member
	s      *Schedule
	a      agenda
	rev    uint64
	mail   []broker.Event
	remove bool
}

// tend does what is due for a schedule that the broker handed out, and parks it until its next tick.
func (e *Engine) tend(m *member, s *Schedule, rec *broker.Record) {
	t := &tending{e: e, m: m, s: s, rev: rec.Rev, mail: rec.Mail}
	var err error
	if t.a, err = agendaOf(rec); err != nil {
		e.log.Error("a schedule begins anew: what is known of it cannot be read", "schedule", s.name, "error", err)
		t.a = newAgenda(*s, time.Now())
	}
	for owned := true; owned; {
		t.waitUntilNext()
		owned, err = t.turn(time.Now())
	}
	switch {
	case errors.Is(err, broker.ErrFenced):
		e.fenced(m)
	case err != nil && e.alive.Err() == nil:
		e.log.Warn("a schedule goes to another worker", "schedule", s.name, "error", err)
	}
}

// waitUntilNext waits if the schedule was woken a little too early, by a clock that is ahead of this one.
func (t *tending) waitUntilNext() {
	early := time.Until(time.Unix(0, t.a.Next))
	if t.a.Next == 0 || early <= 0 || early > soon || len(t.mail) > 0 {
		return
	}
	timer := time.NewTimer(early)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.m.fenced:
	case <-t.e.alive.Done():
	}
}

// turn makes one transition, and says whether the schedule is still owned.
func (t *tending) turn(now time.Time) (owned bool, err error) {
	next := broker.Transition{ID: scheduleID(t.s.name), Rev: t.rev, Next: broker.Park}
	t.a.Flow = t.s.def.Name
	retry, more := t.startDue(&next, now)
	if !more {
		t.read(&next, now)
		retry = t.plan(retry)
	} else {
		next.Next = broker.Keep
	}
	next.Memo, next.Until = t.a.encode(), retry
	if t.remove {
		next = broker.Transition{ID: next.ID, Rev: next.Rev, Consume: next.Consume, Send: next.Send, Next: broker.Finish, Outcome: []byte{}}
	}
	var ack broker.Ack
	err = insist(t.e.alive, func() error {
		ack, err = t.m.worker.Commit(t.e.alive, next)
		return err
	})
	if err != nil {
		return false, err
	}
	t.rev = ack.Rev
	t.keep(ack.Mail, next.Consume)
	return ack.Owned, nil
}

// keep adds mail to what is not read yet.
func (t *tending) keep(mail []broker.Event, consumed []string) {
	t.mail = slices.DeleteFunc(t.mail, func(ev broker.Event) bool { return slices.Contains(consumed, ev.ID) })
	for _, ev := range mail {
		if !slices.ContainsFunc(t.mail, func(o broker.Event) bool { return o.ID == ev.ID }) {
			t.mail = append(t.mail, ev)
		}
	}
}

// startDue adds the starts of the sagas of ticks that are due. It says when to try again, if one cannot be started, and whether there are more.
func (t *tending) startDue(next *broker.Transition, now time.Time) (retry time.Time, more bool) {
	cal, err := t.a.Rule.calendar()
	if err != nil {
		return t.failed(now, fmt.Errorf("flow: schedule %q: %w", t.s.name, err)), false
	}
	ticks := due(cal, time.Unix(0, t.a.Since), now, max(1, t.a.Rule.Missed))
	for k, tick := range ticks {
		if k == ticksAtOne {
			return time.Time{}, true
		}
		if t.skips(tick, now) {
			t.a.Skipped++
		} else if m, err := t.start(tick, now); err != nil {
			return t.failed(now, err), false
		} else {
			next.Send = append(next.Send, m)
		}
		t.a.Since = max(t.a.Since, tick.UnixNano())
	}
	return time.Time{}, false
}

// skips says that nothing is started for a tick.
func (t *tending) skips(tick, now time.Time) bool {
	missed := t.a.Rule.Missed == 0 && now.Sub(tick) > lateTick
	return missed || t.a.Rule.Alone && t.lastRuns(now)
}

// lastRuns says that the saga of the last tick has not ended.
func (t *tending) lastRuns(now time.Time) bool {
	if t.a.LastSaga == "" {
		return false
	}
	s, err := t.e.lookup(t.e.alive, t.a.LastSaga)
	switch {
	case errors.Is(err, broker.ErrUnknown):
		return now.Sub(time.Unix(0, t.a.LastAt)) < unseen
	case err != nil:
		return true // the broker is closed, or this engine ends: nothing will be committed
	}
	return s.State != broker.Finished
}

// failed notes why the saga of a tick cannot be started, and says when to try again.
func (t *tending) failed(now time.Time, err error) time.Time {
	t.a.Failures++
	t.a.Err = err.Error()
	t.e.log.Error("a schedule cannot start a saga, and tries again", "schedule", t.s.name, "failures", t.a.Failures, "error", err)
	return now.Add(min(mostPause, time.Second<<min(t.a.Failures, 10)))
}

// start gives the message that starts the saga of a tick.
func (t *tending) start(tick, now time.Time) (m broker.Message, err error) {
	id := tickID(t.s.name, tick)
	b := startBuffers.Get().(*startBuffer)
	defer b.release()
	if err := t.e.encodeTick(b, t.s, id, tick.In(t.a.Rule.zone()), now); err != nil {
		return m, fmt.Errorf("flow: start saga %q of %q for schedule %q: %w", id, t.s.def.Name, t.s.name, err)
	}
	spec := broker.Start{
		Claims: b.claims, ID: id, Served: broker.Served{Flow: t.s.def.Name, Version: t.s.def.Version()},
		Digest: b.digest, Record: append([]byte(nil), b.record...),
	}
	t.a.Last, t.a.LastAt, t.a.LastSaga = tick.UnixNano(), now.UnixNano(), id
	t.a.Started++
	t.a.Failures, t.a.Err = 0, ""
	return broker.Message{ID: id + "~start", To: id, Start: &spec}, nil
}

// inputOf calls the user's function.
func (s *Schedule) inputOf(tick time.Time) (in any, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the function that gives the input: %w", step.NewPanic(v, nil))
		}
	}()
	return s.input(tick), nil
}

// encodeTick makes the record of the saga of a tick.
func (e *Engine) encodeTick(b *startBuffer, s *Schedule, id string, tick, now time.Time) error {
	in, err := s.inputOf(tick)
	if err != nil {
		return err
	}
	b.id = id
	for _, p := range e.opts.Propagators {
		if b.headers == nil {
			b.headers = make(Headers, 4)
		}
		p.Inject(context.Background(), b.headers)
	}
	var spec broker.Start
	if b.claims, err = s.def.Claims(in); err != nil {
		return fmt.Errorf("%w: %w", ErrKey, err)
	}
	header := saga.Header{Started: now, Headers: b.headers, Claims: b.claims}
	err = e.encodeStart(b, &spec, &header, s.def.Root.In, in)
	b.digest = spec.Digest
	return err
}

// read does what mail asks for.
func (t *tending) read(next *broker.Transition, now time.Time) {
	for _, ev := range t.mail {
		next.Consume = append(next.Consume, ev.ID)
		switch ev.Kind {
		case eventDefine:
			r, err := ruleOf(ev.Data)
			if err != nil {
				t.e.log.Error("a new rule of a schedule cannot be read", "schedule", t.s.name, "error", err)
				continue
			}
			if r != t.a.Rule {
				t.e.log.Info("a schedule has a new rule", "schedule", t.s.name, "rule", r.String(), "was", t.a.Rule.String())
				t.a.define(r, now)
			}
		case eventRemove:
			t.remove = true
		}
	}
}

// plan says when the schedule is woken: for its next tick, or to try again.
func (t *tending) plan(retry time.Time) time.Time {
	cal, err := t.a.Rule.calendar()
	if err != nil {
		return retry
	}
	at := cal.next(time.Unix(0, t.a.Since))
	t.a.Next = 0
	if !at.IsZero() {
		t.a.Next = at.UnixNano()
	}
	if !retry.IsZero() {
		return retry
	}
	return at
}
