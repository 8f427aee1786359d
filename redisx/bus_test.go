package redisx_test

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokertest"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
)

// The suite runs as the user of least privilege that docs/redis.md describes.
func TestBus(t *testing.T) {
	server := redistest.Start(t, aclUser(t, "bus-*"))
	brokertest.RunBus(t, busHarness(asShop(t, server), 1))
}

// The suite, with events in several partitions and a namespace of their own.
func TestBusOfPartitions(t *testing.T) {
	brokertest.RunBus(t, busHarness(redistest.Start(t).Client(), 4))
}

func busHarness(client redis.UniversalClient, partitions int) brokertest.BusHarness {
	const lease = 1500 * time.Millisecond
	var buses atomic.Int64
	return brokertest.BusHarness{
		New: func(_ *testing.T, l brokertest.BusLimits) broker.Broker {
			o := redisx.Options{
				Logger:    slog.New(slog.DiscardHandler),
				Namespace: fmt.Sprint("bus-", buses.Add(1)), Partitions: partitions,
				Bus: redisx.BusOptions{Age: l.Age, Most: l.Most, Memory: l.Memory},
			}
			if partitions > 1 {
				o.Bus.Namespace, o.Bus.Partitions = o.Namespace+"-events", partitions
			}
			return redisx.New(client, o)
		},
		Kill:     func(_ *testing.T, _ broker.Broker, s broker.Subscriber) { redisx.KillSubscriber(s) },
		Spread:   partitions > 1,
		Lease:    lease,
		Slack:    lease/4 + 100*time.Millisecond,
		Patience: 30 * time.Second,
		Moment:   100 * time.Millisecond,
	}
}
