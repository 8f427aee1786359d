package redisx_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokertest"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
)

func TestBroker(t *testing.T) {
	client := redistest.Start(t).Client()
	const lease = 1500 * time.Millisecond
	var brokers atomic.Int64
	brokertest.Run(t, brokertest.Harness{
		New: func(_ *testing.T, l brokertest.Limits) broker.Broker {
			return redisx.New(client, redisx.Options{
				Namespace: fmt.Sprint("test-", brokers.Add(1)),
				Backlog:   l.Backlog, EarlyFor: l.EarlyFor, EarlyMail: l.EarlyMail,
			})
		},
		Kill:     func(_ *testing.T, _ broker.Broker, w broker.Worker) { redisx.Kill(w) },
		Lease:    lease,
		Slack:    lease/4 + 100*time.Millisecond,
		Patience: 30 * time.Second,
		Moment:   100 * time.Millisecond,
	})
}
