package redisx_test

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/internal/servicetest"
	"github.com/skald-go/skald/redisx"
)

func TestServices(t *testing.T) {
	client := redistest.Start(t).Client()
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprint("partitions ", partitions), func(t *testing.T) {
			servicetest.Run(t, func(t *testing.T) servicetest.Net { return serviceNet(t, client, partitions) },
				func(t *testing.T, test func(*testing.T)) { test(t) })
		})
	}
}

// serviceNet gives brokers of services that no other test has.
func serviceNet(t *testing.T, client redis.UniversalClient, partitions int) servicetest.Net {
	require.NoError(t, client.FlushDB(t.Context()).Err())
	return func(t *testing.T, service string) broker.Broker {
		return newBroker(t, client, redisx.Options{Namespace: "of-" + service, Service: service, Partitions: partitions})
	}
}

// inboxes lists the entries that wait in the streams of services.
func inboxes(t *testing.T, client redis.UniversalClient) (entries int64) {
	t.Helper()
	for _, key := range client.Keys(t.Context(), "*:inbox").Val() {
		entries += client.XLen(t.Context(), key).Val()
	}
	return entries
}
