package redisx_test

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
)

func TestReplicatedWaitsForReplicas(t *testing.T) {
	verifyNone(t)
	master := redistest.Start(t)
	replica := redistest.Replica(t, master)
	client := master.Client()
	b := newBroker(t, client, redisx.Options{Durability: redisx.Replicated(1).Within(100 * time.Millisecond)})
	callAll(t, work(t, b, options()), 100)

	start := broker.Start{ID: "a", Served: broker.Served{Flow: "elsewhere"}}
	require.NoError(t, replica.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := b.Start(ctx, start)
	require.ErrorIs(t, err, context.DeadlineExceeded, "nobody has confirmed")
	require.NoError(t, replica.Resume())
	started, err := b.Start(t.Context(), start)
	require.NoError(t, err)
	assert.True(t, started.Existed, "the write was there, unconfirmed")
	assert.Equal(t, int64(1), replica.Client().Exists(t.Context(), "{skald:00}:m").Val())
}

// A failover right after acknowledgements must lose none of them.
func TestReplicatedOutlivesFailovers(t *testing.T) {
	verifyNone(t)
	h := startHA(t)
	b := newBroker(t, h.client(t), redisx.Options{Durability: redisx.Replicated(1), Logger: slog.New(slog.DiscardHandler)})
	var acknowledged sync.Map
	var count, next atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var starters errgroup.Group
	for range 16 {
		starters.Go(func() error {
			for ctx.Err() == nil {
				id := strconv.FormatInt(next.Add(1), 10)
				if _, err := b.Start(ctx, broker.Start{ID: id, Served: broker.Served{Flow: "elsewhere"}}); err == nil {
					acknowledged.Store(id, true)
					count.Add(1)
				}
			}
			return nil
		})
	}
	eventually(t, func() bool { return count.Load() > 500 }, "starts are acknowledged")
	h.master.Kill()
	h.promoted(t)
	cancel()
	require.NoError(t, starters.Wait())
	lost := 0
	acknowledged.Range(func(id, _ any) bool {
		_, err := b.Lookup(t.Context(), id.(string), false)
		if err != nil {
			lost++
		}
		return true
	})
	assert.Zero(t, lost, "of %d acknowledged starts", count.Load())
	t.Logf("%d acknowledged, none lost", count.Load())
}

func TestDurabilityThatTheServerDoesNotHave(t *testing.T) {
	s := redistest.Start(t)
	for name, client := range map[string]redis.UniversalClient{
		"a ring":    redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": s.Addr}}),
		"no append": s.Client(),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, client, redisx.Options{Durability: redisx.Fsynced(), Logger: slog.New(slog.DiscardHandler)})
			_, err := b.Stats(t.Context())
			require.Error(t, err)
			assert.Contains(t, err.Error(), "urability")
			if client, ok := client.(*redis.Ring); ok {
				require.NoError(t, client.Close())
			}
		})
	}
	assert.Panics(t, func() { redisx.Replicated(0) })
	assert.Equal(t, "Fsynced Replicated(2) the server's own", fmt.Sprintf("%v %v %v", redisx.Fsynced(), redisx.Replicated(2), redisx.Durability{}))
}

// What no replica has is told to nobody: a failover may take it back.
func TestReplicatedTellsOnlyOfWhatIsConfirmed(t *testing.T) {
	verifyNone(t)
	master := redistest.Start(t)
	replica := redistest.Replica(t, master)
	opts := redisx.Options{Durability: redisx.Replicated(1).Within(50 * time.Millisecond), Logger: slog.New(slog.DiscardHandler)}
	b, watcher := newBroker(t, master.Client(), opts), newBroker(t, master.Client(), opts)
	served := broker.Served{Flow: "order", Version: 1}
	w, err := b.Join(t.Context(), broker.Member{Build: "b", Flows: []broker.Served{served}, Lease: time.Minute})
	require.NoError(t, err)
	_, err = watcher.Start(t.Context(), broker.Start{ID: "a", Served: served})
	require.NoError(t, err)
	told := make(chan broker.Snapshot, 1)
	defer watcher.Watch("a", func(s broker.Snapshot) { told <- s })()
	got, err := w.Receive(t.Context(), 1)
	require.NoError(t, err)
	require.Len(t, got, 1)

	require.NoError(t, replica.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, err = w.Commit(ctx, broker.Transition{ID: "a", Rev: 1, Next: broker.Finish, Keep: time.Minute})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = watcher.Lookup(ctx, "a", false)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Empty(t, told)
	require.NoError(t, replica.Resume())
	select {
	case s := <-told:
		assert.Equal(t, broker.Finished, s.State)
	case <-time.After(patience):
		require.Fail(t, "the end is told when it is confirmed")
	}
}
