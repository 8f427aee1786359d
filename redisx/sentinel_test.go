package redisx_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/redisserver"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
)

// ha is a master with a replica and three Sentinels.
type ha struct {
	master, replica *redistest.Server
	sentinels       *redisserver.Sentinels
}

func startHA(t *testing.T) *ha {
	h := &ha{master: redistest.Start(t)}
	h.replica = redistest.Replica(t, h.master)
	h.sentinels = redistest.Sentinels(t, 3, "main", h.master)
	return h
}

func (h *ha) client(t *testing.T) redis.UniversalClient {
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: "main", SentinelAddrs: h.sentinels.Addrs(),
		DialTimeout: 500 * time.Millisecond, ReadTimeout: time.Second, ContextTimeoutEnabled: true, DisableIdentity: true,
	})
	t.Cleanup(func() { client.Close() })
	return client
}

// promoted waits until the Sentinels name the replica as the master.
func (h *ha) promoted(t *testing.T) {
	t.Helper()
	eventually(t, func() bool {
		addr, err := h.sentinels.Master(t.Context())
		return err == nil && addr == h.replica.Addr
	}, "the replica is promoted")
}

func parkedOn(t *testing.T, b broker.Broker) func() uint64 {
	return func() uint64 {
		stats, err := b.Stats(t.Context())
		require.NoError(t, err)
		return uint64(stats.Parked)
	}
}

// What the replica had when the master was killed is there, and work goes on by itself.
func TestSagasOutliveAMasterThatIsKilled(t *testing.T) {
	verifyNone(t)
	h := startHA(t)
	b := newBroker(t, h.client(t), redisx.Options{})
	e := work(t, b, options(), waiting)
	waiters := crowd(t, e, parkedOn(t, b), 50)
	callAll(t, e, 200)
	master := h.master.Client()
	require.Equal(t, int64(1), master.Wait(t.Context(), 1, patience).Val(), "the replica has all writes")

	h.master.Kill()
	tr := begin(t, e)
	h.promoted(t)
	tr.flows(t, 100)
	tr.finish(t)
	awake(t, e, waiters)
	assert.NoError(t, e.Health(t.Context()))

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	h.master.Restart()
	require.NoError(t, h.master.Linked(ctx), "the old master is a replica")
	callAll(t, e, 100)
}

// With Replicated(1) nothing that was acknowledged is lost, whether the master is killed or replaced under load.
func TestReplicatedSagasOutliveTheirMaster(t *testing.T) {
	for name, replace := range map[string]func(t *testing.T, h *ha){
		"killed": func(t *testing.T, h *ha) {
			h.master.Kill()
			h.promoted(t)
			h.master.Restart() // the new master needs a replica
		},
		"replaced": func(t *testing.T, h *ha) {
			require.NoError(t, h.sentinels.Failover(t.Context()))
			h.promoted(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			verifyNone(t)
			h := startHA(t)
			b := newBroker(t, h.client(t), redisx.Options{Durability: redisx.Replicated(1)})
			e := work(t, b, options(), waiting)
			waiters := crowd(t, e, parkedOn(t, b), 50)
			tr := begin(t, e)
			tr.flows(t, 200)
			replace(t, h)
			tr.flows(t, 200)
			tr.finish(t)
			awake(t, e, waiters)
			require.NoError(t, e.Health(t.Context()))
		})
	}
}
