package redisx_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
)

// A server that loses a part of what it stored must not lose sagas of which it still has the line.
func TestSagasOfWhichTheServerLosesSight(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	b := newBroker(t, client, redisx.Options{})
	served := broker.Served{Flow: "order", Version: 1}
	join := func(flow string) broker.Worker {
		w, err := b.Join(t.Context(), broker.Member{Build: "b", Flows: []broker.Served{{Flow: flow, Version: 1}}, Lease: 2 * time.Second})
		require.NoError(t, err)
		return w
	}
	dead, keeper := join("nothing"), join("nothing")
	start := func(id string, by broker.Worker) {
		_, err := b.Start(t.Context(), broker.Start{ID: id, Served: served, By: by})
		require.NoError(t, err)
	}
	commit := func(id string, next broker.Next) {
		_, err := keeper.Commit(t.Context(), broker.Transition{ID: id, Rev: 1, Next: next, Until: time.Now().Add(time.Hour)})
		require.NoError(t, err)
	}
	for i := range 300 {
		start("ready"+strconv.Itoa(i), nil)
	}
	start("owned", dead)
	for id, next := range map[string]broker.Next{"parked": broker.Park, "held": broker.Hold, "buried": broker.Bury} {
		start(id, keeper)
		commit(id, next)
	}
	prefix := "{skald:00}:"
	keys, err := client.Keys(t.Context(), prefix+"o:*").Result()
	require.NoError(t, err)
	require.Len(t, keys, 1)
	token := keys[0][len(prefix+"o:"):]
	require.NoError(t, client.Del(t.Context(), keys[0], prefix+"q:order@1", prefix+"pk", prefix+"hd", prefix+"dl").Err())
	require.NoError(t, client.HDel(t.Context(), prefix+"w", token).Err())
	require.NoError(t, client.ZRem(t.Context(), prefix+"hb", token).Err())

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	w := join("order")
	lost := map[string]int{}
	for len(lost) < 303 {
		got, err := w.Receive(ctx, 400)
		require.NoError(t, err)
		for _, d := range got {
			lost[d.ID] += 1 + 10*d.Saga.Takeovers
		}
	}
	for id, n := range lost {
		want := 1
		if id == "owned" {
			want = 11
		}
		assert.Equal(t, want, n, "how often %s was handed out, and ten times how often it was taken over", id)
	}
	require.Eventually(t, func() bool {
		stats, err := b.Stats(t.Context())
		return err == nil && stats.Buried == 1
	}, 20*time.Second, 10*time.Millisecond)
}
