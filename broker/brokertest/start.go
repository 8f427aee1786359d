package brokertest

import (
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
)

func startCases() []testCase {
	return []testCase{
		{name: "start/a start is stored and handed out", run: storedAndHandedOut},
		{name: "start/a repeated start changes nothing", run: repeatedStart},
		{name: "start/the id of another saga is a conflict", run: conflict},
		{name: "start/a worker owns what it starts", run: localStart},
		{name: "start/what a dead worker starts is queued", run: startOfTheDead},
		{name: "start/the backlog is limited", run: backlog, limits: Limits{Backlog: 2}},
		{name: "start/bytes are copied", run: copies},
	}
}

func storedAndHandedOut(s *suite) {
	w := s.worker()
	started, err := s.tryStart(saga("a"))
	require.NoError(s.t, err)
	assert.Equal(s.t, broker.Started{State: broker.Ready, Existed: !s.plain && started.Existed}, started)
	shot := s.lookup("a")
	assert.Equal(s.t, broker.Ready, shot.State)
	assert.Equal(s.t, saga("a"), shot.Start)

	record := s.take(w)
	assert.Equal(s.t, saga("a"), record.Start)
	assert.EqualValues(s.t, 1, record.Rev)
	assert.Zero(s.t, record.Takeovers)
	assert.Empty(s.t, record.Journal)
	assert.Empty(s.t, record.Mail)
	shot = s.lookup("a")
	assert.Equal(s.t, broker.Owned, shot.State)
	assert.Equal(s.t, "worker", shot.Owner)
	s.nothing(w)
}

func repeatedStart(s *suite) {
	w := s.worker()
	s.start("a")
	s.assertExists("a", broker.Ready)
	s.take(w)
	s.assertExists("a", broker.Owned)
	s.commit(w, broker.Transition{ID: "a", Rev: 1, Next: broker.Park})
	s.assertExists("a", broker.Parked)
	s.nothing(w)
	s.deliver("a", "e")
	s.take(w)
	s.commit(w, broker.Transition{ID: "a", Rev: 2, Next: broker.Finish, Consume: []string{"e"}, Keep: s.h.Patience})
	s.assertExists("a", broker.Finished)
	s.nothing(w)
}

// assertExists starts a saga that was started before, in both ways.
func (s *suite) assertExists(id string, state broker.State) {
	s.t.Helper()
	local := saga(id)
	local.By = s.join(broker.Member{Name: "other", Flows: []broker.Served{{Flow: "other"}}})
	for _, start := range []broker.Start{saga(id), local} {
		started, err := s.tryStart(start)
		require.NoError(s.t, err)
		assert.Equal(s.t, broker.Started{Existed: true, State: state}, started)
	}
	require.NoError(s.t, s.leave(local.By))
}

func conflict(s *suite) {
	s.start("a")
	flow, version, digest := saga("a"), saga("a"), saga("a")
	flow.Flow = "other"
	version.Version = 2
	digest.Digest[31] = 1
	for _, other := range []broker.Start{flow, version, digest} {
		_, err := s.tryStart(other)
		assert.ErrorIs(s.t, err, broker.ErrConflict)
	}
	assert.Equal(s.t, saga("a"), s.lookup("a").Start)
}

func localStart(s *suite) {
	first, second := s.worker(), s.worker()
	s.own(first, "local")
	s.start("queued")
	assert.Equal(s.t, "queued", s.take(second).ID)
	s.nothing(second)
	s.nothing(first)
	ack := s.commit(first, broker.Transition{ID: "local", Rev: 1})
	assert.Equal(s.t, broker.Ack{Rev: 2, Owned: true}, ack)
}

func startOfTheDead(s *suite) {
	left, dead, living := s.worker(), s.worker(), s.worker()
	require.NoError(s.t, s.leave(left))
	s.takeOver(dead, living)
	for id, by := range map[string]broker.Worker{"of the left": left, "of the dead": dead} {
		start := saga(id)
		start.By = by
		started, err := s.tryStart(start)
		require.NoError(s.t, err)
		assert.False(s.t, started.Owned)
		assert.Equal(s.t, broker.Ready, started.State)
		assert.Equal(s.t, id, s.take(living).ID)
	}
}

func backlog(s *suite) {
	w := s.worker()
	s.start("a", "b")
	_, err := s.tryStart(saga("c"))
	require.ErrorIs(s.t, err, broker.ErrOverload)
	_, err = s.tryLookup("c")
	assert.ErrorIs(s.t, err, broker.ErrUnknown)
	s.assertExists("a", broker.Ready)
	s.own(w, "owned at once")

	s.take(w)
	s.start("c")
}

func copies(s *suite) {
	w := s.worker()
	start, ev, facts, outcome := saga("a"), event("e"), entries("p"), []byte("outcome")
	_, err := s.tryStart(start)
	require.NoError(s.t, err)
	clear(start.Record)
	record := s.take(w)
	clear(record.Record)
	require.NoError(s.t, s.tryDeliver("a", ev))
	clear(ev.Data)
	s.commit(w, broker.Transition{ID: "a", Rev: 1, Append: facts, Outcome: outcome, Next: broker.Bury})
	clear(facts[0].Data)
	clear(outcome)

	for range 2 {
		shot := s.lookup("a")
		brief, err := s.b.Lookup(s.ctx, "a", false)
		if err == nil {
			clear(brief.Record.Record)
		}
		assert.Equal(s.t, saga("a").Record, shot.Record.Record)
		assert.Equal(s.t, entries("p"), shot.Journal)
		assert.Equal(s.t, []broker.Event{event("e")}, shot.Mail)
		assert.Equal(s.t, []byte("outcome"), shot.Outcome)
		clear(shot.Record.Record)
		clear(shot.Journal[0].Data)
		clear(shot.Mail[0].Data)
		clear(shot.Outcome)
	}
}
