package redisx_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
)

// orders is what the workers of these tests serve.
var orders = broker.Served{Flow: "order", Version: 1}

// joinQuietly makes a worker that gives no sign of life, and believes for a minute that it lives: what it knows, it has asked for or
// was told.
func joinQuietly(t *testing.T, b broker.Broker) broker.Worker {
	t.Helper()
	w, err := b.Join(t.Context(), broker.Member{Name: "w", Build: "b", Flows: []broker.Served{orders}, Lease: time.Minute})
	require.NoError(t, err)
	redisx.Kill(w)
	return w
}

// startBy starts a saga that w owns.
func startBy(t *testing.T, b broker.Broker, w broker.Worker, id string) {
	t.Helper()
	started, err := b.Start(t.Context(), broker.Start{ID: id, Served: orders, By: w})
	require.NoError(t, err)
	require.True(t, started.Owned)
}

// soon is a context that ends when what a test waits for will not happen any more.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// A takeover removes a worker's token. From then on the server obeys it in nothing, whatever is still stored as its own.
func TestAWorkerWithoutItsTokenIsNotObeyed(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	late := []broker.Entry{{Path: "late"}}
	calls := map[string]func(b broker.Broker, w broker.Worker) error{
		"small commit": func(_ broker.Broker, w broker.Worker) error {
			_, err := w.Commit(t.Context(), broker.Transition{ID: "a", Rev: 1, Append: late})
			return err
		},
		"commit with more to it": func(_ broker.Broker, w broker.Worker) error {
			_, err := w.Commit(t.Context(), broker.Transition{ID: "a", Rev: 1, Append: late, Consume: []string{"e"}})
			return err
		},
		"receive": func(b broker.Broker, w broker.Worker) error {
			_, err := w.Receive(soon(t), 1)
			return err
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, client, redisx.Options{Namespace: name})
			w := joinQuietly(t, b)
			startBy(t, b, w, "a")
			_, err := b.Start(t.Context(), broker.Start{ID: "ready", Served: orders})
			require.NoError(t, err)
			forgetWorkers(t, client, name)
			require.ErrorIs(t, call(b, w), broker.ErrFenced)
			shot, err := b.Lookup(t.Context(), "a", true)
			require.NoError(t, err)
			assert.Equal(t, uint64(1), shot.Rev)
			assert.Empty(t, shot.Journal)
			shot, err = b.Lookup(t.Context(), "ready", false)
			require.NoError(t, err)
			assert.Equal(t, broker.Ready, shot.State)
		})
	}
	for name, record := range map[string]int{"small start": 10, "large start": 10_000} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, client, redisx.Options{Namespace: name})
			w := joinQuietly(t, b)
			forgetWorkers(t, client, name)
			started, err := b.Start(t.Context(), broker.Start{ID: "a", Served: orders, Record: make([]byte, record), By: w})
			require.NoError(t, err)
			assert.Equal(t, broker.Started{State: broker.Ready}, started, "a saga of the dead waits for others")
		})
	}
}

func forgetWorkers(t *testing.T, client *redis.Client, namespace string) {
	t.Helper()
	require.NoError(t, client.Del(t.Context(), "{"+namespace+":00}:w").Err())
}

// A server that forgot a start, and got it again by another worker, has two who believe that they own the saga at revision 1.
func TestOnlyTheOwnerCommits(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	first, second := newBroker(t, client, redisx.Options{}), newBroker(t, client, redisx.Options{})
	stranger, owner := joinQuietly(t, first), joinQuietly(t, second)
	for _, next := range []broker.Next{broker.Keep, broker.Finish, broker.GiveBack} {
		id := fmt.Sprint("left by ", next)
		startBy(t, first, stranger, id)
		require.NoError(t, client.HDel(t.Context(), "{skald:00}:m", id).Err())
		startBy(t, second, owner, id)
		_, err := stranger.Commit(t.Context(), broker.Transition{ID: id, Rev: 1, Next: next, Keep: time.Minute})
		require.ErrorIs(t, err, broker.ErrStale)
		ack, err := owner.Commit(t.Context(), broker.Transition{ID: id, Rev: 1, Next: next, Keep: time.Minute})
		require.NoError(t, err)
		assert.Equal(t, uint64(2), ack.Rev)
	}
}

// Sagas move in chunks. Their dead owner must not be obeyed for those that come last.
func TestATokenGoesBeforeTheSagas(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	dead, idle := newBroker(t, client, redisx.Options{}), newBroker(t, client, redisx.Options{})
	w := joinQuietly(t, dead)
	const sagas = 250
	for i := range sagas {
		startBy(t, dead, w, fmt.Sprint(i))
	}
	require.NoError(t, dead.Deliver(t.Context(), "7", broker.Event{ID: "e"}))
	require.NoError(t, dead.Close())
	token := client.HKeys(t.Context(), "{skald:00}:w").Val()[0]
	require.NoError(t, client.ZAdd(t.Context(), "{skald:00}:hb", redis.Z{Member: token}).Err()) // its lease has ended
	more, err := redisx.Sweep(t.Context(), idle)
	require.NoError(t, err)
	require.True(t, more, "some sagas are still stored as its own")
	assert.Zero(t, client.HLen(t.Context(), "{skald:00}:w").Val(), "tokens")
	for more {
		more, err = redisx.Sweep(t.Context(), idle)
		require.NoError(t, err)
	}
	stats, err := idle.Stats(t.Context())
	require.NoError(t, err)
	assert.Equal(t, sagas, stats.Ready)
	assert.Zero(t, stats.Owned)
	for _, key := range client.Keys(t.Context(), "*").Val() {
		assert.NotContains(t, key, token)
		assert.NotContains(t, []string{"{skald:00}:hb", "{skald:00}:dw"}, key, "the dead leave nothing")
	}
}
