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

// manyKeys are in several partitions of four.
var manyKeys = []string{"k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8"}

func claimer(id string, refuse bool, keys ...string) broker.Start {
	return broker.Start{ID: id, Served: orders, Claims: keys, Refuse: refuse}
}

// claimKeys are the server's keys that have to do with claims, and with messages between partitions.
func claimKeys(t *testing.T, client *redis.Client) (found []string) {
	t.Helper()
	for _, key := range client.Keys(t.Context(), "{skald:*").Val() {
		_, name, _ := strings.Cut(key, "}:")
		if strings.HasPrefix(name, "k:") || name == "lc" || name == "lp" || name == "ob" {
			found = append(found, key)
		}
	}
	return found
}

func claimants(t *testing.T, b broker.Broker, key string) []string {
	t.Helper()
	ids, err := b.Claimants(t.Context(), key, 10)
	require.NoError(t, err)
	return ids
}

func TestClaimsLeaveNothing(t *testing.T) {
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprint(partitions, " partitions"), func(t *testing.T) {
			verifyNone(t)
			client := redistest.Start(t).Client()
			b := newBroker(t, client, redisx.Options{Partitions: partitions})
			w := joinQuietly(t, b)
			for n, start := range []broker.Start{
				claimer("a", false, manyKeys...), claimer("b", false, manyKeys[2:5]...), claimer("refused", true, manyKeys[:3]...), claimer("c", false, "other"),
			} {
				_, err := b.Start(t.Context(), start)
				if n == 2 {
					require.ErrorIs(t, err, broker.ErrLocked)
					continue
				}
				require.NoError(t, err)
			}
			for left := 3; left > 0; {
				got, err := w.Receive(soon(t), 1)
				require.NoError(t, err)
				for _, d := range got {
					if d.Saga == nil {
						continue
					}
					next := broker.Finish
					if d.Saga.Waits && len(d.Saga.Mail) == 0 && d.ID != "b" { // b ends while it waits
						next = broker.Park
					}
					ack, err := w.Commit(t.Context(), broker.Transition{ID: d.ID, Rev: d.Saga.Rev, Next: next, Keep: time.Millisecond})
					require.NoError(t, err)
					if ack.Owned {
						_, err = w.Commit(t.Context(), broker.Transition{ID: d.ID, Rev: ack.Rev, Next: broker.Finish, Keep: time.Millisecond})
						require.NoError(t, err)
					}
					if ack.Owned || next == broker.Finish {
						left--
					}
				}
			}
			eventually(t, func() bool { return len(claimKeys(t, client)) == 0 }, "nothing is left of claims")
		})
	}
}

// A starter that holds keys in other partitions and dies before it stores the saga holds them for some seconds.
func TestKeysOfASagaThatWasNeverStoredAreGivenUp(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	b := newBroker(t, client, redisx.Options{Partitions: 4})
	joinQuietly(t, b)
	_, err := redisx.HoldKeys(t.Context(), b, claimer("dies", true, manyKeys...))
	require.NoError(t, err)
	for _, key := range manyKeys {
		require.Equal(t, []string{"dies"}, claimants(t, b, key))
	}
	_, err = b.Start(t.Context(), claimer("refused", true, manyKeys[3:]...))
	require.ErrorIs(t, err, broker.ErrLocked)
	_, err = b.Start(t.Context(), claimer("waits", false, "k1"))
	require.NoError(t, err)

	doubt(t, client)
	for _, key := range manyKeys[1:] {
		eventually(t, func() bool { return len(claimants(t, b, key)) == 0 }, key)
	}
	assert.Equal(t, []string{"waits"}, claimants(t, b, "k1"))
}

// Where the keys' partitions have not heard that the saga is stored, they ask.
func TestKeysOfASagaThatWasStoredAreKept(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	b := newBroker(t, client, redisx.Options{Partitions: 4})
	joinQuietly(t, b)
	s := claimer("lives", true, manyKeys...)
	until, err := redisx.HoldKeys(t.Context(), b, s)
	require.NoError(t, err)
	started, err := redisx.StoreHeld(t.Context(), b, s, until)
	require.NoError(t, err)
	require.False(t, started.Waits)
	doubt(t, client)
	eventually(t, func() bool { return len(client.Keys(t.Context(), "{skald:*}:lp").Val()) == 0 }, "they were told")
	for _, key := range manyKeys {
		assert.Equal(t, []string{"lives"}, claimants(t, b, key))
	}
	_, err = redisx.HoldKeys(t.Context(), b, claimer("another", true, manyKeys...))
	assert.ErrorIs(t, err, broker.ErrLocked)
}

// Whoever was stopped while it held keys stores nothing afterwards.
func TestASagaWhoseKeysWereHeldTooLongAgoIsNotStored(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	b := newBroker(t, client, redisx.Options{Partitions: 4})
	_, err := redisx.StoreHeld(t.Context(), b, claimer("late", true, manyKeys...), []byte{0, 0, 0, 0, 0, 1})
	require.Error(t, err)
	_, err = b.Lookup(t.Context(), "late", false)
	assert.ErrorIs(t, err, broker.ErrUnknown)
}

// doubt lets the time pass after which keys that are held for nobody are asked for.
func doubt(t *testing.T, client *redis.Client) {
	t.Helper()
	held := client.Keys(t.Context(), "{skald:*}:lp").Val()
	require.NotEmpty(t, held)
	for _, key := range held {
		for _, claim := range client.ZRange(t.Context(), key, 0, -1).Val() {
			require.NoError(t, client.ZAdd(t.Context(), key, redis.Z{Score: 1, Member: claim}).Err())
		}
	}
}

// A claim that arrives when its saga has ended goes through all of its keys, and gives them up.
func TestAClaimThatComesTooLateGivesItsKeysUp(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	b := newBroker(t, client, redisx.Options{Partitions: 4})
	w := joinQuietly(t, b)
	require.NoError(t, redisx.SendClaim(t.Context(), b, claimer("gone", false, manyKeys...)))
	startBy(t, b, w, "here") // with that ID, but without claims
	require.NoError(t, redisx.SendClaim(t.Context(), b, claimer("here", false, manyKeys...)))
	eventually(t, func() bool { return len(claimKeys(t, client)) == 0 }, "nothing is held")
}
