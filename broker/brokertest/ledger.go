package brokertest

import (
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
)

func ledgerCases() []busCase {
	var all []busCase
	for _, c := range []busCase{
		{name: "ledger/an entry and its events", run: ledgerAdds},
		{name: "ledger/of two that add, one does", run: ledgerRaces},
		{name: "ledger/is forgotten", run: ledgerForgotten},
	} {
		run := c.run
		c.run = func(s *busSuite) {
			if _, able := s.b.Broker.(broker.Ledger); able {
				run(s)
			}
		}
		all = append(all, c)
	}
	return all
}

func (s *busSuite) tryAdd(key, id string, after int, keep time.Duration, events ...broker.Publication) error {
	return insisted(func() error {
		return s.b.Add(s.ctx, "news", key, after, broker.LedgerEntry{ID: id, Data: []byte("data of " + id)}, keep, events...)
	})
}

func (s *busSuite) entries(key string) (ids []string) {
	s.t.Helper()
	all, err := insist(func() ([]broker.LedgerEntry, error) { return s.b.Entries(s.ctx, "news", key) })
	require.NoError(s.t, err)
	for _, e := range all {
		assert.Equal(s.t, "data of "+e.ID, string(e.Data))
		ids = append(ids, e.ID)
	}
	return ids
}

func ledgerAdds(s *busSuite) {
	sub := s.join("one", reads("a"))
	assert.Empty(s.t, s.entries("k"))
	require.NoError(s.t, s.tryAdd("k", "one", 0, time.Hour, news("news", "e1", "k"), news("news", "e2", "k")))
	require.NoError(s.t, s.tryAdd("k", "two", 1, time.Hour))
	require.NoError(s.t, s.tryAdd("k", "one", 0, time.Hour, news("news", "e3", "k")), "it was added before")
	assert.Equal(s.t, []string{"one", "two"}, s.entries("k"))
	first := s.take(sub, 1)
	assert.Equal(s.t, []string{"e1"}, idsOf(first))
	s.settle(sub, broker.Done, first...)
	assert.Equal(s.t, []string{"e2"}, idsOf(s.take(sub, 1)))
	assert.Empty(s.t, s.entries("another"))
}

func ledgerRaces(s *busSuite) {
	sub := s.join("one", reads("a"))
	require.NoError(s.t, s.tryAdd("k", "commit", 0, time.Hour, news("news", "e1", "k")))
	assert.ErrorIs(s.t, s.tryAdd("k", "rollback", 0, time.Hour, news("news", "e2", "k")), broker.ErrStale)
	assert.ErrorIs(s.t, s.tryAdd("k", "rollback", 2, time.Hour), broker.ErrStale)
	s.settle(sub, broker.Done, s.take(sub, 1)...)
	s.nothing(sub)
	assert.Equal(s.t, []string{"commit"}, s.entries("k"))
}

func ledgerForgotten(s *busSuite) {
	require.NoError(s.t, s.tryAdd("k", "one", 0, s.h.Moment))
	s.elapse(2 * s.h.Moment)
	assert.Empty(s.t, s.entries("k"))
	require.NoError(s.t, s.tryAdd("k", "two", 0, time.Hour))
	assert.Equal(s.t, []string{"two"}, s.entries("k"))
}
