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

// A journal must be whole after every owner, and gone when the saga is.
func TestAJournalIsWholeAfterEveryOwner(t *testing.T) {
	for name, bytes := range map[string]int{"one chunk": 30, "several chunks": 300} {
		t.Run(name, func(t *testing.T) {
			client := redistest.Start(t).Client()
			b := newBroker(t, client, redisx.Options{})
			w, err := b.Join(t.Context(), broker.Member{Build: "b", Flows: []broker.Served{orders}, Lease: time.Minute})
			require.NoError(t, err)
			_, err = b.Start(t.Context(), broker.Start{ID: "a", Served: orders, Record: []byte("record")})
			require.NoError(t, err)
			passesOn(t, w, bytes)
			_, err = w.Commit(t.Context(), broker.Transition{ID: "a", Rev: 13, Next: broker.Finish, Keep: time.Minute})
			require.NoError(t, err)
			for _, key := range []string{"m", "s", "j"} {
				assert.Zero(t, client.Exists(t.Context(), "{skald:00}:"+key).Val(), key)
			}
		})
	}
}

// passesOn has a saga owned four times, by whoever receives it, and looks each time what its journal is.
func passesOn(t *testing.T, w broker.Worker, bytes int) {
	t.Helper()
	var facts []string
	for rev := uint64(1); ; {
		got, err := w.Receive(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, rev, got[0].Saga.Rev)
		require.Equal(t, facts, factsIn(got[0].Saga.Journal))
		require.Equal(t, "record", string(got[0].Saga.Record))
		if rev == 13 {
			return
		}
		for _, next := range []broker.Next{broker.Keep, broker.Keep, broker.GiveBack} {
			entry := broker.Entry{Path: fmt.Sprint(rev), Data: make([]byte, bytes*int(rev%4))}
			facts = append(facts, factsIn([]broker.Entry{entry})...)
			_, err = w.Commit(t.Context(), broker.Transition{ID: "a", Rev: rev, Next: next, Append: []broker.Entry{entry}})
			require.NoError(t, err)
			rev++
		}
	}
}

// factsIn tells the facts of a journal in short.
func factsIn(journal []broker.Entry) (facts []string) {
	for _, e := range journal {
		facts = append(facts, fmt.Sprintf("%s of %d bytes", e.Path, len(e.Data)))
	}
	return facts
}
