package redisx_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
)

// Whatever a saga leaves when it has finished must end by itself, even if no broker runs any more.
func TestAllThatIsKeptOfAFinishedSagaEnds(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	b := newBroker(t, client, redisx.Options{})
	w := joinQuietly(t, b)
	startBy(t, b, w, "small")
	startBy(t, b, w, "with mail")
	startBy(t, b, w, "eventful")
	throughEverything(t, b, w, "eventful")
	require.NoError(t, b.Deliver(t.Context(), "with mail", broker.Event{ID: "e"}))
	require.NoError(t, b.Deliver(t.Context(), "to come", broker.Event{ID: "e"}))
	for _, id := range []string{"small", "with mail"} {
		_, err := w.Commit(t.Context(), broker.Transition{ID: id, Rev: 1, Next: broker.Keep, Append: []broker.Entry{{Path: "p"}}})
		require.NoError(t, err)
		_, err = w.Commit(t.Context(), broker.Transition{ID: id, Rev: 2, Next: broker.Finish, Keep: time.Hour, Outcome: []byte("o")})
		require.NoError(t, err)
	}
	var ends []string
	for _, key := range client.Keys(t.Context(), "{skald:00}:*").Val() {
		name := strings.TrimPrefix(key, "{skald:00}:")
		if name != "w" && name != "hb" { // of workers
			ends = append(ends, name)
			assert.Positive(t, client.PTTL(t.Context(), key).Val(), key)
		}
	}
	assert.ElementsMatch(t, []string{
		"r:small", "r:with mail", "r:eventful", "in:with mail", "in:eventful", "in:to come", "em", "fc",
	}, ends)
}

// throughEverything brings a saga through all states to its end, with a journal of several chunks.
func throughEverything(t *testing.T, b broker.Broker, w broker.Worker, id string) {
	t.Helper()
	for i, next := range []broker.Next{broker.Keep, broker.Park, broker.Hold, broker.Bury, broker.GiveBack, broker.Finish} {
		rev := uint64(i + 1)
		_, err := w.Commit(t.Context(), broker.Transition{
			ID: id, Rev: rev, Next: next, Append: []broker.Entry{{Path: "p", Data: make([]byte, 1000)}}, Keep: time.Hour,
			Consume: []string{"2", "3", "4"}, Outcome: []byte("o"), Until: time.Now().Add(time.Hour),
		})
		require.NoError(t, err)
		switch next {
		case broker.Park, broker.Hold:
			require.NoError(t, b.Deliver(t.Context(), id, broker.Event{ID: fmt.Sprint(rev)}))
		case broker.Bury:
			require.NoError(t, b.Resolve(t.Context(), id, rev+1, broker.Event{ID: fmt.Sprint(rev)}))
		}
		if next != broker.Keep && next != broker.Finish {
			got, err := w.Receive(soon(t), 1)
			require.NoError(t, err)
			require.Equal(t, id, got[0].ID)
			require.Len(t, got[0].Saga.Journal, i+1)
		}
	}
}

// What has no end of its own is tidied away by whoever works.
func TestWhatIsOutOfDateIsTidiedAway(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	const past, future = 1, 1 << 42
	for _, key := range []string{"em", "sn"} {
		marks := []redis.Z{{Score: past, Member: "old"}, {Score: future, Member: "new"}}
		require.NoError(t, client.ZAdd(t.Context(), "{skald:00}:"+key, marks...).Err())
	}
	require.NoError(t, client.HSet(t.Context(), "{skald:00}:fc", past, 3, future, 4).Err())
	b := newBroker(t, client, redisx.Options{})
	stats, err := b.Stats(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 4, stats.Finished)
	joinQuietly(t, b)
	left := func(key string) []string { return client.ZRange(t.Context(), "{skald:00}:"+key, 0, -1).Val() }
	require.Eventually(t, func() bool { return len(left("em")) == 1 && len(left("sn")) == 1 }, 10*time.Second, time.Millisecond)
	assert.Equal(t, []string{"new", "new"}, append(left("em"), left("sn")...))
	assert.Equal(t, []string{fmt.Sprint(future)}, client.HKeys(t.Context(), "{skald:00}:fc").Val())
}
