package brokertest

import (
	"fmt"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
)

func mailCases(h Harness) []testCase {
	return []testCase{
		{name: "mail/for an owned saga", run: mailForOwned},
		{name: "mail/for the next owner", run: mailForNextOwner},
		{name: "mail/before the start", run: earlyMail},
		{name: "mail/once", run: mailOnce},
		{name: "mail/in order", run: mailInOrder},
		{name: "mail/for a finished saga", run: mailForFinished},
		{name: "mail/early mail is kept for a time", run: earlyMailExpires, limits: Limits{EarlyFor: 4 * h.Moment, EarlyMail: 2}},
		{name: "mail/early mail is limited", run: earlyMailLimit, limits: Limits{EarlyMail: 2}},
	}
}

func mailForOwned(s *suite) {
	w := s.worker()
	s.own(w, "a")
	s.deliver("a", "e")
	s.news(w, "a", "e")
	s.deliver("a", "f")
	s.news(w, "a", "f")
	ack := s.commit(w, broker.Transition{ID: "a", Rev: 1})
	assert.Equal(s.t, []broker.Event{event("e"), event("f")}, ack.Mail)
	ack = s.commit(w, broker.Transition{ID: "a", Rev: 2, Consume: []string{"unknown", "e"}})
	assert.Equal(s.t, []broker.Event{event("f")}, ack.Mail)
	s.deliver("a", "g")
	s.news(w, "a", "g")
}

// mailForNextOwner delivers to a saga whose owner has news of it that it never asks for.
func mailForNextOwner(s *suite) {
	first, second := s.worker(), s.worker()
	s.own(first, "a")
	s.deliver("a", "e")
	s.commit(first, broker.Transition{ID: "a", Rev: 1, Next: broker.GiveBack})
	assert.Equal(s.t, []string{"e"}, eventIDs(s.take(second).Mail))
	s.deliver("a", "f")
	s.news(second, "a", "f")
}

func earlyMail(s *suite) {
	w := s.worker()
	s.deliver("a", "e", "f", "e")
	_, err := s.tryLookup("a")
	require.ErrorIs(s.t, err, broker.ErrUnknown)
	assert.ErrorIs(s.t, s.tryResolve("a", 1, "d"), broker.ErrUnknown)
	assert.Empty(s.t, s.list(broker.Filter{}))
	s.start("a")
	s.deliver("a", "e")
	assert.Equal(s.t, []broker.Event{event("e"), event("f")}, s.take(w).Mail)

	s.deliver("b", "g")
	start := saga("b")
	start.By = w
	started, err := s.tryStart(start)
	require.NoError(s.t, err)
	if started.Owned {
		assert.Equal(s.t, []broker.Event{event("g")}, started.Mail)
	} else {
		assert.Equal(s.t, []broker.Event{event("g")}, s.take(w).Mail)
	}
}

func mailOnce(s *suite) {
	w := s.worker()
	s.own(w, "a")
	s.deliver("a", "e", "e")
	ack := s.commit(w, broker.Transition{ID: "a", Rev: 1})
	assert.Equal(s.t, []string{"e"}, eventIDs(ack.Mail))
	s.commit(w, broker.Transition{ID: "a", Rev: 2, Consume: []string{"e"}, Next: broker.Park})
	s.deliver("a", "e")
	assert.Equal(s.t, broker.Parked, s.state("a"))
	s.deliver("a", "f")
	assert.Equal(s.t, []string{"f"}, eventIDs(s.take(w).Mail))
}

func mailInOrder(s *suite) {
	w := s.worker()
	s.own(w, "a")
	var all []string
	for i := range 20 {
		all = append(all, fmt.Sprint("e", i))
	}
	s.deliver("a", all...)
	ack := s.commit(w, broker.Transition{ID: "a", Rev: 1})
	assert.Equal(s.t, all, eventIDs(ack.Mail))
	ack = s.commit(w, broker.Transition{ID: "a", Rev: 2, Consume: all[5:15]})
	assert.Equal(s.t, append(all[:5:5], all[15:]...), eventIDs(ack.Mail))
}

func mailForFinished(s *suite) {
	w := s.worker()
	s.own(w, "a")
	s.deliver("a", "e")
	s.finish(w, "a", 1)
	assert.ErrorIs(s.t, s.tryDeliver("a", event("f")), broker.ErrSettled)
	assert.NoError(s.t, s.tryDeliver("a", event("e")), "the repeat of an event that came in time")
	assert.Empty(s.t, s.lookup("a").Mail)
}

func earlyMailExpires(s *suite) {
	s.deliver("a", "late")
	s.deliver("b", "in time")
	s.start("b")
	s.deliver("c", "late as well")
	s.elapse(5 * s.h.Moment)
	s.start("a")
	assert.Empty(s.t, s.lookup("a").Mail)
	s.deliver("d", "room", "again")
	assert.Equal(s.t, []string{"in time"}, eventIDs(s.lookup("b").Mail))
}

func earlyMailLimit(s *suite) {
	s.deliver("a", "e")
	s.deliver("b", "f")
	assert.ErrorIs(s.t, s.tryDeliver("a", event("g")), broker.ErrOverload)
	assert.ErrorIs(s.t, s.tryDeliver("c", event("h")), broker.ErrOverload)
	assert.NoError(s.t, s.tryDeliver("a", event("e")), "the repeat of an event that is kept")
	s.start("a")
	s.deliver("a", "g")
	s.deliver("c", "h")
	assert.Equal(s.t, []string{"e", "g"}, eventIDs(s.lookup("a").Mail))
}
