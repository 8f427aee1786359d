package brokertest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
)

func readCases() []testCase {
	return []testCase{
		{name: "read/lookup", run: lookup},
		{name: "read/list in order", run: listInOrder},
		{name: "read/list selected", run: listSelected},
		{name: "read/list in part", run: listInPart},
		{name: "read/statistics", run: statistics},
	}
}

func lookup(s *suite) {
	_, err := s.tryLookup("a")
	require.ErrorIs(s.t, err, broker.ErrUnknown)
	begin := time.Now().Add(-time.Second)
	w := s.worker()
	s.own(w, "a")
	s.deliver("a", "e")
	s.commit(w, broker.Transition{ID: "a", Rev: 1, Append: entries("p")})
	shot := s.lookup("a")
	assert.WithinRange(s.t, shot.Since, begin, time.Now().Add(time.Second))
	assert.Len(s.t, shot.Journal, 1)
	assert.Len(s.t, shot.Mail, 1)

	brief, err := insist(func() (broker.Snapshot, error) { return s.b.Lookup(s.ctx, "a", false) })
	require.NoError(s.t, err)
	assert.Empty(s.t, brief.Journal)
	assert.Empty(s.t, brief.Mail)
	brief.Journal, brief.Mail = shot.Journal, shot.Mail
	assert.Equal(s.t, shot, brief)
}

func listInOrder(s *suite) {
	var ids []string
	for i := range 300 {
		ids = append(ids, fmt.Sprintf("saga-%03d", (i*7)%300))
	}
	s.start(ids...)
	slices.Sort(ids)
	assert.Equal(s.t, ids, s.list(broker.Filter{}))
	assert.Equal(s.t, ids[101:], s.list(broker.Filter{After: ids[100]}))
	assert.Equal(s.t, ids[101:], s.list(broker.Filter{After: ids[100] + "!"}))
	assert.Empty(s.t, s.list(broker.Filter{After: ids[299]}))
}

// oneOfEach makes a saga in each state, which is its ID.
func (s *suite) oneOfEach(w broker.Worker) {
	s.t.Helper()
	for state, next := range map[broker.State]broker.Next{
		broker.Parked: broker.Park, broker.Held: broker.Hold, broker.Buried: broker.Bury, broker.Finished: broker.Finish,
	} {
		s.own(w, state.String())
		s.commit(w, broker.Transition{ID: state.String(), Rev: 1, Next: next, Keep: time.Hour})
	}
	s.own(w, "owned")
	s.start("ready")
}

func listSelected(s *suite) {
	s.oneOfEach(s.worker())
	other := saga("another flow")
	other.Flow = "other"
	_, err := s.tryStart(other)
	require.NoError(s.t, err)
	for state := broker.Ready; state <= broker.Finished; state++ {
		assert.Equal(s.t, []string{state.String()}, s.list(broker.Filter{State: state, Flow: "order"}))
	}
	assert.Equal(s.t, []string{"another flow"}, s.list(broker.Filter{Flow: "other"}))
	assert.Equal(s.t, []string{"another flow", "ready"}, s.list(broker.Filter{State: broker.Ready}))
	assert.Equal(s.t, []string{"parked", "ready"}, s.list(broker.Filter{Flow: "order", After: "owned"}))
	assert.Empty(s.t, s.list(broker.Filter{Flow: "unknown"}))
}

func listInPart(s *suite) {
	s.start("a", "b", "c")
	var seen []string
	for shot, err := range s.bare.List(s.ctx, broker.Filter{}) {
		require.NoError(s.t, err)
		assert.Equal(s.t, saga(shot.ID), shot.Start)
		assert.Equal(s.t, broker.Ready, shot.State)
		seen = append(seen, shot.ID)
		if len(seen) == 2 {
			break
		}
	}
	assert.Equal(s.t, []string{"a", "b"}, seen)

	ended, cancel := context.WithCancel(s.ctx)
	cancel()
	for _, err := range s.bare.List(ended, broker.Filter{}) {
		assert.ErrorIs(s.t, err, context.Canceled)
	}
}

func statistics(s *suite) {
	assert.Equal(s.t, broker.Stats{}, s.stats())
	w := s.worker()
	s.oneOfEach(w)
	s.elapse(s.h.Moment)
	stats := s.stats()
	want := broker.Stats{Ready: 1, Owned: 1, Parked: 1, Held: 1, Buried: 1, Finished: 1, Workers: 1}
	assert.Equal(s.t, want, withoutOldest(stats))
	assert.GreaterOrEqual(s.t, stats.Oldest, s.h.Moment)
	s.take(w)
	assert.Zero(s.t, s.stats().Oldest)
	assert.Equal(s.t, 2, s.stats().Owned)
}
