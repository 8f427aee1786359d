package brokertest

import (
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/skald-go/skald/broker"
)

func parkCases() []testCase {
	return []testCase{
		{name: "park/by time", run: parkByTime},
		{name: "park/in the order of times", run: parkInOrder},
		{name: "park/until the past", run: parkUntilPast},
		{name: "park/by mail", run: parkByMail},
		{name: "park/mail wins over the time", run: mailBeforeTime},
		{name: "park/crossing with mail", run: parkCrossing(broker.Park)},
		{name: "park/a hold crossing with mail", run: parkCrossing(broker.Hold)},
		{name: "park/with mail in the commit's own message", run: parkWithOwnMail},
	}
}

func (s *suite) until(d time.Duration) time.Time {
	return time.Now().Add(d).UTC().Truncate(time.Millisecond)
}

func parkByTime(s *suite) {
	w := s.worker()
	s.own(w, "a")
	until := s.until(2 * s.h.Moment)
	ack := s.commit(w, broker.Transition{ID: "a", Rev: 1, Next: broker.Park, Until: until, Append: entries("p")})
	assert.False(s.t, ack.Owned)
	shot := s.lookup("a")
	assert.Equal(s.t, broker.Parked, shot.State)
	assert.True(s.t, until.Equal(shot.Wake), "wakes at %v, want %v", shot.Wake, until)

	record := s.take(w)
	assert.False(s.t, time.Now().Before(until), "woke too early")
	assert.EqualValues(s.t, 2, record.Rev)
	assert.Zero(s.t, record.Takeovers)
	assert.Equal(s.t, entries("p"), record.Journal)
	s.nothing(w)
}

func parkInOrder(s *suite) {
	w := s.worker()
	begin := s.until(2 * s.h.Moment)
	for id, after := range map[string]time.Duration{"c": 3, "a": 1, "d": 4, "b": 2} {
		s.own(w, id)
		s.commit(w, broker.Transition{ID: id, Rev: 1, Next: broker.Park, Until: begin.Add(after * s.h.Moment)})
	}
	assert.Equal(s.t, []string{"a", "b", "c", "d"}, s.takeAll(w, 4))
}

func parkUntilPast(s *suite) {
	w := s.worker()
	for id, until := range map[string]time.Time{
		"past": s.until(-time.Hour), "ancient": time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		s.own(w, id)
		s.commit(w, broker.Transition{ID: id, Rev: 1, Next: broker.Park, Until: until})
		assert.Equal(s.t, id, s.take(w).ID)
	}
}

func parkByMail(s *suite) {
	w := s.worker()
	s.own(w, "a")
	s.commit(w, broker.Transition{ID: "a", Rev: 1, Next: broker.Park})
	assert.True(s.t, s.lookup("a").Wake.IsZero())
	s.nothing(w)
	s.deliver("a", "e")
	record := s.take(w)
	assert.EqualValues(s.t, 2, record.Rev)
	assert.Equal(s.t, []broker.Event{event("e")}, record.Mail)
	ack := s.commit(w, broker.Transition{ID: "a", Rev: 2, Next: broker.Park, Consume: []string{"e"}})
	assert.False(s.t, ack.Owned)
	assert.Equal(s.t, broker.Parked, s.state("a"))
	s.nothing(w)
}

// mailBeforeTime wakes a saga by mail; the time at which it would have woken means nothing any longer.
func mailBeforeTime(s *suite) {
	w := s.worker()
	s.own(w, "a")
	s.commit(w, broker.Transition{ID: "a", Rev: 1, Next: broker.Park, Until: s.until(2 * s.h.Moment)})
	s.deliver("a", "e")
	s.take(w)
	s.commit(w, broker.Transition{ID: "a", Rev: 2, Next: broker.Park, Consume: []string{"e"}, Until: s.until(s.h.Patience)})
	s.elapse(3 * s.h.Moment)
	assert.Equal(s.t, broker.Parked, s.state("a"))
	s.nothing(w)
}

func parkCrossing(next broker.Next) func(*suite) {
	return func(s *suite) {
		w := s.worker()
		s.own(w, "a")
		s.deliver("a", "e", "f")
		ack := s.commit(w, broker.Transition{ID: "a", Rev: 1, Next: next, Append: entries("p"), Consume: []string{"e"}})
		assert.Equal(s.t, broker.Ack{Rev: 2, Owned: true, Mail: []broker.Event{event("f")}}, ack)
		shot := s.lookup("a")
		assert.Equal(s.t, broker.Owned, shot.State)
		assert.Equal(s.t, entries("p"), shot.Journal)
		s.nothing(w)
		ack = s.commit(w, broker.Transition{ID: "a", Rev: 2, Next: next, Consume: []string{"f"}})
		assert.Equal(s.t, broker.Ack{Rev: 3}, ack)
	}
}

func parkWithOwnMail(s *suite) {
	w := s.worker()
	s.own(w, "a")
	s.commit(w, broker.Transition{ID: "a", Rev: 1, Next: broker.Park, Send: []broker.Message{
		{ID: "m", To: "a", Event: new(event("to itself"))},
	}})
	s.eventually(func() bool { return s.state("a") != broker.Parked }, "the saga sleeps over its own message")
	assert.Equal(s.t, []string{"to itself"}, eventIDs(s.lookup("a").Mail))
}
