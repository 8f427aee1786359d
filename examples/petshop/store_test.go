package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/examples/internal/brokers"
	"github.com/skald-go/skald/examples/petshop/participants"
	"github.com/skald-go/skald/examples/petshop/shop"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
)

func TestTheStoryOnARedisThatPetshopStarts(t *testing.T) {
	var opts storeOptions
	require.NoError(t, opts.setRedis("start"))
	b, err := openStore(t.Context(), opts)
	require.NoError(t, err)
	requireTheStory(t, b)
	require.NoError(t, b.Close())
}

func TestTheStoryLeavesNothingOnARedisOfOthers(t *testing.T) {
	client := redistest.Start(t).Client()
	require.NoError(t, client.Set(t.Context(), "of others", 1, 0).Err())
	var opts storeOptions
	require.NoError(t, opts.setRedis(client.Options().Addr))
	b, err := openStore(t.Context(), opts)
	require.NoError(t, err)
	requireTheStory(t, b)
	require.NoError(t, b.Close())
	assert.Equal(t, []string{"of others"}, client.Keys(t.Context(), "*").Val())
}

func TestTokensAreNotReadableInRedis(t *testing.T) {
	for _, c := range []struct {
		name     string
		cipher   func(*testing.T) func(*flow.Options)
		readable bool
	}{
		{"with a cipher", enciphering, false},
		{"without", func(*testing.T) func(*flow.Options) { return func(*flow.Options) {} }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := redistest.Start(t).Client()
			k := brokers.Kind{Name: "redis", Open: func(t testing.TB) broker.Broker {
				b := redisx.New(client, redisx.Options{Logger: slog.New(slog.DiscardHandler)})
				t.Cleanup(func() { assert.NoError(t, b.Close()) })
				return b
			}}
			w := openAt(t, k, noon(), c.cipher(t))
			in := shop.OnOffer{Caller: w.as("bob"), Offer: "o-1"}
			token := []byte(in.Caller.Token)
			w.town.Plan(
				participants.Fault{At: "sell-offer/do", Err: no},
				participants.Fault{At: "lock-offer/undo", Err: no},
			)
			gate := gateAt(t, w, "pay-seller/do")
			future, err := w.BuyPet.Start(soon(t), w.engine, in, flow.ID(sagaID))
			require.NoError(t, err)
			<-gate.reached
			assert.Equal(t, c.readable, bytes.Contains(allBytes(t, client), token), "while it runs")
			gate.open()
			_, err = future.Await(soon(t))
			require.Error(t, err)
			assert.Equal(t, c.readable, bytes.Contains(allBytes(t, client), token), "as a dead letter")
			require.NoError(t, w.engine.Relay(soon(t), sagaID, flow.By{Who: "support"}))
			_, err = future.Await(soon(t))
			require.Error(t, err)
			assert.NotContains(t, string(allBytes(t, client)), in.Caller.Token, "at its end nothing of the input is left")
		})
	}
}

// allBytes are all keys of a Redis with what they hold.
func allBytes(t *testing.T, client *redis.Client) []byte {
	t.Helper()
	var all bytes.Buffer
	ctx := t.Context()
	for _, key := range client.Keys(ctx, "*").Val() {
		read := map[string][]any{
			"string": {"GET", key}, "hash": {"HGETALL", key}, "list": {"LRANGE", key, 0, -1},
			"set": {"SMEMBERS", key}, "zset": {"ZRANGE", key, 0, -1, "WITHSCORES"}, "stream": {"XRANGE", key, "-", "+"},
		}[client.Type(ctx, key).Val()]
		require.NotEmpty(t, read, key)
		value, err := client.Do(ctx, read...).Result()
		require.NoError(t, err)
		fmt.Fprintln(&all, key, value)
	}
	require.NotZero(t, all.Len())
	return all.Bytes()
}
