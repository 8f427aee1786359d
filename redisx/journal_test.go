package redisx_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
)

// A journal that has outgrown its saga's line must be whole after every owner, and gone when the saga is.
func TestAJournalThatOutgrowsItsLine(t *testing.T) {
	client := redistest.Start(t).Client()
	b := newBroker(t, client, redisx.Options{})
	served := broker.Served{Flow: "order", Version: 1}
	w, err := b.Join(t.Context(), broker.Member{Build: "b", Flows: []broker.Served{served}, Lease: time.Minute})
	require.NoError(t, err)
	_, err = b.Start(t.Context(), broker.Start{ID: "a", Served: served, Record: []byte("record")})
	require.NoError(t, err)
	var facts []string
	for rev := uint64(1); rev < 12; {
		got, err := w.Receive(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, rev, got[0].Saga.Rev)
		require.Equal(t, facts, factsIn(got[0].Saga.Journal))
		require.Equal(t, "record", string(got[0].Saga.Record))
		for _, next := range []broker.Next{broker.Keep, broker.Keep, broker.GiveBack} {
			entry := broker.Entry{Path: fmt.Sprint(rev), Data: make([]byte, 300*(rev%4))}
			facts = append(facts, factsIn([]broker.Entry{entry})...)
			_, err = w.Commit(t.Context(), broker.Transition{ID: "a", Rev: rev, Next: next, Append: []broker.Entry{entry}})
			require.NoError(t, err)
			rev++
		}
	}
	_, err = w.Receive(t.Context(), 1)
	require.NoError(t, err)
	_, err = w.Commit(t.Context(), broker.Transition{ID: "a", Rev: 13, Next: broker.Finish, Keep: time.Minute})
	require.NoError(t, err)
	for _, key := range []string{"m", "s", "j"} {
		assert.Zero(t, client.Exists(t.Context(), "{skald:00}:"+key).Val(), key)
	}
}

// factsIn tells the facts of a journal in short.
func factsIn(journal []broker.Entry) (facts []string) {
	for _, e := range journal {
		facts = append(facts, fmt.Sprintf("%s of %d bytes", e.Path, len(e.Data)))
	}
	return facts
}
