package redisx_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokertest"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
)

// The suite runs as the user of least privilege that docs/redis.md describes.
func TestBroker(t *testing.T) {
	server := redistest.Start(t, aclUser(t, "test-*"))
	admin, client := server.Client(), asShop(t, server)
	require.NoError(t, admin.ConfigResetStat(t.Context()).Err())
	t.Cleanup(func() { sufficient(t, admin) })
	brokertest.Run(t, harness(client, 1))
}

// The suite, with sagas in several partitions.
func TestBrokerOfPartitions(t *testing.T) {
	brokertest.Run(t, harness(redistest.Start(t).Client(), 4))
}

func harness(client redis.UniversalClient, partitions int) brokertest.Harness {
	const lease = 1500 * time.Millisecond
	var brokers atomic.Int64
	return brokertest.Harness{
		New: func(_ *testing.T, l brokertest.Limits) broker.Broker {
			return redisx.New(client, redisx.Options{
				Namespace: fmt.Sprint("test-", brokers.Add(1)), Partitions: partitions,
				Backlog: l.Backlog, EarlyFor: l.EarlyFor, EarlyMail: l.EarlyMail,
			})
		},
		Kill:     func(_ *testing.T, _ broker.Broker, w broker.Worker) { redisx.Kill(w) },
		Spread:   partitions > 1,
		Lease:    lease,
		Slack:    lease/4 + 100*time.Millisecond,
		Patience: 30 * time.Second,
		Moment:   100 * time.Millisecond,
	}
}
