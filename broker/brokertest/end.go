package brokertest

import (
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
)

func endCases() []testCase {
	return []testCase{
		{name: "end/watched before", run: watchedBefore},
		{name: "end/watched after", run: watchedAfter},
		{name: "end/watched twice and no longer", run: watchStopped},
		{name: "end/a watcher is told once", run: toldOnce},
		{name: "end/a held saga is released", run: heldReleased},
		{name: "end/a held saga wakes", run: heldWakes},
		{name: "end/a buried saga is resolved", run: resolved},
		{name: "end/a buried saga keeps its mail", run: buriedMail},
		{name: "end/a finished saga is forgotten", run: forgotten},
	}
}

// watch gives what a watcher of id is told.
func (s *suite) watch(id string) (told chan broker.Snapshot, stop func()) {
	told = make(chan broker.Snapshot, 10)
	return told, s.b.Watch(id, func(shot broker.Snapshot) { told <- shot })
}

// hear waits for what a watcher is told.
func (s *suite) hear(told chan broker.Snapshot) broker.Snapshot {
	s.t.Helper()
	select {
	case shot := <-told:
		return shot
	case <-time.After(s.h.Patience):
		require.Fail(s.t, "the watcher was not told")
		return broker.Snapshot{}
	}
}

// silent checks that a watcher is told nothing for a moment.
func (s *suite) silent(told chan broker.Snapshot) {
	s.t.Helper()
	select {
	case shot := <-told:
		assert.Fail(s.t, "the watcher was told", "%+v", shot)
	case <-time.After(s.h.Moment):
	}
}

// settling are the ways on that watchers are told.
func settling() map[broker.Next]broker.State {
	return map[broker.Next]broker.State{broker.Hold: broker.Held, broker.Bury: broker.Buried, broker.Finish: broker.Finished}
}

func watchedBefore(s *suite) {
	w := s.worker()
	for next, state := range settling() {
		id := state.String()
		early, _ := s.watch(id)
		s.own(w, id)
		told, _ := s.watch(id)
		s.commit(w, broker.Transition{ID: id, Rev: 1, Append: entries("p")})
		s.silent(told)
		s.commit(w, broker.Transition{ID: id, Rev: 2, Next: next, Outcome: []byte("so " + id), Keep: time.Hour})
		for _, told := range []chan broker.Snapshot{early, told} {
			shot := s.hear(told)
			assert.Equal(s.t, id, shot.ID)
			assert.Equal(s.t, order(), shot.Served)
			assert.Equal(s.t, state, shot.State)
			assert.EqualValues(s.t, 3, shot.Rev)
			assert.Equal(s.t, "so "+id, string(shot.Outcome))
			assert.Empty(s.t, shot.Journal)
			s.silent(told)
		}
	}
}

func watchedAfter(s *suite) {
	w := s.worker()
	for next, state := range settling() {
		id := state.String()
		s.own(w, id)
		s.commit(w, broker.Transition{ID: id, Rev: 1, Next: next, Outcome: []byte("so " + id), Keep: time.Hour})
		for range 2 {
			told, _ := s.watch(id)
			shot := s.hear(told)
			assert.Equal(s.t, state, shot.State)
			assert.Equal(s.t, "so "+id, string(shot.Outcome))
			s.silent(told)
		}
	}
}

func watchStopped(s *suite) {
	w := s.worker()
	s.own(w, "a")
	stopped, stop := s.watch("a")
	first, _ := s.watch("a")
	second, stopLater := s.watch("a")
	stop()
	stop()
	s.finish(w, "a", 1)
	s.hear(first)
	s.hear(second)
	s.silent(stopped)
	stopLater()
}

// toldOnce lets a saga be held and then finish: a watcher hears of the first only.
func toldOnce(s *suite) {
	w := s.worker()
	s.own(w, "a")
	told, _ := s.watch("a")
	s.commit(w, broker.Transition{ID: "a", Rev: 1, Next: broker.Hold})
	assert.Equal(s.t, broker.Held, s.hear(told).State)
	s.deliver("a", "release")
	s.take(w)
	again, _ := s.watch("a")
	s.finish(w, "a", 2)
	assert.Equal(s.t, broker.Finished, s.hear(again).State)
	s.silent(told)
}

func heldReleased(s *suite) {
	w := s.worker()
	s.own(w, "child")
	ack := s.commit(w, broker.Transition{
		ID: "child", Rev: 1, Next: broker.Hold, Append: entries("p"), Outcome: []byte("outcome"),
		Send: []broker.Message{{ID: "m", To: "parent", Event: new(event("child is done"))}},
	})
	assert.False(s.t, ack.Owned)
	shot := s.lookup("child")
	assert.Equal(s.t, broker.Held, shot.State)
	assert.Equal(s.t, "outcome", string(shot.Outcome))
	s.nothing(w)

	s.deliver("child", "undo")
	record := s.take(w)
	assert.Equal(s.t, entries("p"), record.Journal)
	assert.Equal(s.t, []string{"undo"}, eventIDs(record.Mail))
	s.commit(w, broker.Transition{ID: "child", Rev: 2, Consume: []string{"undo"}})
	assert.Equal(s.t, "outcome", string(s.lookup("child").Outcome))
	s.commit(w, broker.Transition{ID: "child", Rev: 3, Next: broker.Finish, Outcome: []byte("undone"), Keep: time.Hour})
	assert.Equal(s.t, "undone", string(s.lookup("child").Outcome))
}

func heldWakes(s *suite) {
	w := s.worker()
	s.own(w, "a")
	until := s.until(2 * s.h.Moment)
	s.commit(w, broker.Transition{ID: "a", Rev: 1, Next: broker.Hold, Until: until})
	assert.True(s.t, until.Equal(s.lookup("a").Wake))
	assert.Equal(s.t, "a", s.take(w).ID)
	assert.False(s.t, time.Now().Before(until))
}

func resolved(s *suite) {
	w := s.worker()
	s.own(w, "a")
	assert.ErrorIs(s.t, s.tryResolve("a", 1, "d"), broker.ErrSettled)
	s.commit(w, broker.Transition{ID: "a", Rev: 1, Next: broker.Bury, Append: entries("p"), Outcome: []byte("outcome")})
	assert.ErrorIs(s.t, s.tryResolve("a", 1, "d"), broker.ErrStale)
	assert.ErrorIs(s.t, s.tryResolve("unknown", 1, "d"), broker.ErrUnknown)
	s.nothing(w)

	require.NoError(s.t, s.tryResolve("a", 2, "d"))
	require.NoError(s.t, s.tryResolve("a", 2, "d"))
	assert.ErrorIs(s.t, s.tryResolve("a", 2, "another"), broker.ErrSettled)
	record := s.take(w)
	assert.EqualValues(s.t, 2, record.Rev)
	assert.Equal(s.t, entries("p"), record.Journal)
	assert.Equal(s.t, []broker.Event{event("d")}, record.Mail)
	s.commit(w, broker.Transition{ID: "a", Rev: 2, Consume: []string{"d"}})
	require.NoError(s.t, s.tryResolve("a", 2, "d"), "the repeat of a decision that was taken")
	assert.Empty(s.t, s.lookup("a").Mail)
	s.nothing(w)
}

func buriedMail(s *suite) {
	w := s.worker()
	s.own(w, "a")
	s.deliver("a", "e")
	s.commit(w, broker.Transition{ID: "a", Rev: 1, Next: broker.Bury})
	s.deliver("a", "f")
	assert.Equal(s.t, broker.Buried, s.state("a"))
	s.nothing(w)
	require.NoError(s.t, s.tryResolve("a", 2, "d"))
	assert.Equal(s.t, []string{"e", "f", "d"}, eventIDs(s.take(w).Mail))
}

func forgotten(s *suite) {
	w := s.worker()
	s.own(w, "short")
	s.commit(w, broker.Transition{ID: "short", Rev: 1, Next: broker.Finish, Outcome: []byte("outcome"), Keep: 10 * s.h.Moment})
	s.own(w, "long")
	s.finish(w, "long", 1)
	assert.Equal(s.t, "outcome", string(s.lookup("short").Outcome))
	assert.Equal(s.t, 2, s.stats().Finished)
	s.eventually(func() bool { return s.stats().Finished == 1 }, "the saga is not forgotten")
	_, err := s.tryLookup("short")
	assert.ErrorIs(s.t, err, broker.ErrUnknown)
	assert.Equal(s.t, []string{"long"}, s.list(broker.Filter{}))
	other := saga("short")
	other.Flow, other.By = "other", w
	started, err := s.tryStart(other)
	require.NoError(s.t, err, "the ID is free again")
	assert.Equal(s.t, broker.Owned, started.State)
}
