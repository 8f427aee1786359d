package brokertest

import (
	"bytes"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
)

func restoreCases() []testCase {
	var all []testCase
	for _, c := range []testCase{
		{name: "restore/a ready saga", run: restoreReady(broker.Ready)},
		{name: "restore/an owned saga", run: restoreReady(broker.Owned)},
		{name: "restore/a parked saga", run: restoreAsleep(broker.Parked)},
		{name: "restore/a held saga", run: restoreAsleep(broker.Held)},
		{name: "restore/a saga that waits and has mail", run: restoreAwake},
		{name: "restore/a saga that waits for an event only", run: restoreForEver},
		{name: "restore/a buried saga", run: restoreBuried},
		{name: "restore/an id that is taken", run: restoreTaken},
		{name: "restore/a repeat", run: restoreAgain},
		{name: "restore/mail that came before", run: restoreWithEarlyMail},
		{name: "restore/a large journal", run: restoreLarge},
		{name: "restore/what has ended", run: restoreEnded},
	} {
		run := c.run
		c.run = func(s *suite) {
			if _, able := s.bare.(broker.Restorer); able {
				run(s)
			}
		}
		all = append(all, c)
	}
	return all
}

// shot is a saga of which nothing is absent.
func (s *suite) shot(id string, state broker.State) broker.Snapshot {
	return broker.Snapshot{
		Record: broker.Record{Start: saga(id), Rev: 7, Takeovers: 3, Journal: entries("p", "q"), Memo: []byte("memo")},
		State:  state, Outcome: []byte("outcome of " + id),
	}
}

func (s *suite) tryRestore(shot broker.Snapshot, call string) error {
	return insisted(func() error { return s.b.(broker.Restorer).Restore(s.ctx, shot, call) })
}

func (s *suite) restore(shot broker.Snapshot) {
	s.t.Helper()
	require.NoError(s.t, s.tryRestore(shot, "call of "+shot.ID))
}

// assertAs compares what is stored of a saga.
func (s *suite) assertAs(want broker.Snapshot) {
	s.t.Helper()
	got := s.lookup(want.ID)
	assert.True(s.t, want.Wake.Equal(got.Wake), "wakes at %v, want %v", got.Wake, want.Wake)
	assert.Equal(s.t, want.Record, got.Record)
	assert.Equal(s.t, want.Outcome, got.Outcome)
	assert.Equal(s.t, want.State, got.State)
}

func restoreReady(state broker.State) func(*suite) {
	return func(s *suite) {
		shot := s.shot("a", state)
		shot.Mail = []broker.Event{event("e"), event("f")}
		s.restore(shot)
		shot.State = broker.Ready
		s.assertAs(shot)
		assert.Equal(s.t, 1, s.stats().Ready)
		w := s.worker()
		assert.Equal(s.t, shot.Record, *s.take(w))
		ack := s.commit(w, broker.Transition{ID: "a", Rev: 7, Append: entries("r"), Consume: []string{"e"}})
		assert.Equal(s.t, broker.Ack{Rev: 8, Owned: true, Mail: []broker.Event{event("f")}}, ack)
		assert.Equal(s.t, entries("p", "q", "r"), s.lookup("a").Journal)
		require.NoError(s.t, s.tryDeliver("a", event("e")), "it is known")
		s.finish(w, "a", 8)
	}
}

func restoreAsleep(state broker.State) func(*suite) {
	return func(s *suite) {
		w := s.worker()
		shot := s.shot("a", state)
		shot.Wake = s.until(2 * s.h.Moment)
		s.restore(shot)
		s.assertAs(shot)
		record := s.take(w)
		assert.False(s.t, time.Now().Before(shot.Wake), "woke too early")
		assert.Equal(s.t, shot.Record, *record)
		s.nothing(w)
		past := s.shot("b", state)
		past.Wake = s.until(-time.Hour)
		s.restore(past)
		assert.Equal(s.t, "b", s.take(w).ID)
	}
}

func restoreAwake(s *suite) {
	for _, state := range []broker.State{broker.Parked, broker.Held} {
		shot := s.shot("a "+state.String(), state)
		shot.Wake, shot.Mail = s.until(s.h.Patience), []broker.Event{event("e")}
		s.restore(shot)
		shot.State, shot.Wake = broker.Ready, time.Time{}
		s.assertAs(shot)
	}
	s.takeAll(s.worker(), 2)
}

func restoreForEver(s *suite) {
	w := s.worker()
	s.restore(s.shot("a", broker.Parked))
	assert.True(s.t, s.lookup("a").Wake.IsZero())
	s.nothing(w)
	s.deliver("a", "e")
	assert.Equal(s.t, []broker.Event{event("e")}, s.take(w).Mail)
}

func restoreBuried(s *suite) {
	w := s.worker()
	told := make(chan broker.Snapshot, 1)
	stop := s.b.Watch("a", func(shot broker.Snapshot) { told <- shot })
	defer stop()
	shot := s.shot("a", broker.Buried)
	shot.Mail = []broker.Event{event("e")}
	s.restore(shot)
	s.assertAs(shot)
	assert.Equal(s.t, shot.Outcome, (<-told).Outcome)
	assert.Equal(s.t, 1, s.stats().Buried)
	s.nothing(w)
	assert.ErrorIs(s.t, s.tryResolve("a", 6, "d"), broker.ErrStale)
	require.NoError(s.t, s.tryResolve("a", 7, "d"))
	record := s.take(w)
	assert.Equal(s.t, []string{"e", "d"}, eventIDs(record.Mail))
	assert.EqualValues(s.t, 7, record.Rev)
}

func restoreTaken(s *suite) {
	w := s.worker()
	for _, id := range []string{"ready", "finished"} {
		s.own(w, id)
	}
	s.commit(w, broker.Transition{ID: "ready", Rev: 1, Next: broker.GiveBack, Append: entries("own")})
	s.finish(w, "finished", 1)
	for _, id := range []string{"ready", "finished"} {
		before := s.lookup(id)
		assert.ErrorIs(s.t, s.tryRestore(s.shot(id, broker.Parked), "call"), broker.ErrConflict)
		assert.Equal(s.t, before, s.lookup(id))
	}
	s.restore(s.shot("b", broker.Buried))
	assert.ErrorIs(s.t, s.tryRestore(s.shot("b", broker.Buried), "another call"), broker.ErrConflict)
}

// restoreAgain repeats a restore as long as the saga exists.
func restoreAgain(s *suite) {
	w := s.worker()
	shot := s.shot("a", broker.Ready)
	for range 2 {
		s.restore(shot)
	}
	s.take(w)
	s.restore(shot)
	s.nothing(w)
	s.finish(w, "a", 7)
	s.restore(shot)
	assert.Equal(s.t, broker.Finished, s.state("a"))
	s.nothing(w)
}

func restoreWithEarlyMail(s *suite) {
	s.deliver("a", "e", "f")
	shot := s.shot("a", broker.Parked)
	shot.Mail = []broker.Event{event("f"), event("g")}
	s.restore(shot)
	assert.Equal(s.t, broker.Ready, s.state("a"))
	assert.Equal(s.t, []string{"e", "f", "g"}, eventIDs(s.take(s.worker()).Mail))
}

func restoreLarge(s *suite) {
	shot := s.shot("a", broker.Ready)
	for range 200 {
		shot.Journal = append(shot.Journal, broker.Entry{Path: "p", Data: bytes.Repeat([]byte{0, 1, 255}, 100)})
	}
	shot.Record.Record = bytes.Repeat([]byte{255, 0}, 5000)
	s.restore(shot)
	s.assertAs(shot)
	w := s.worker()
	assert.Equal(s.t, shot.Record, *s.take(w))
	s.commit(w, broker.Transition{ID: "a", Rev: 7, Append: entries("r")})
	shot.Journal = append(shot.Journal, entries("r")...)
	assert.Equal(s.t, shot.Journal, s.lookup("a").Journal)
	s.finish(w, "a", 8)
}

func restoreEnded(s *suite) {
	for _, state := range []broker.State{0, broker.Finished, broker.Finished + 1} {
		assert.Error(s.t, s.tryRestore(s.shot("a", state), "call"))
	}
	_, err := s.tryLookup("a")
	assert.ErrorIs(s.t, err, broker.ErrUnknown)
}
