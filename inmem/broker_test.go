package inmem_test

import (
	"cmp"
	"testing"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokertest"
	"github.com/skald-go/skald/inmem"
)

func harness() brokertest.Harness {
	return brokertest.Harness{
		New: func(_ *testing.T, l brokertest.Limits) broker.Broker {
			return inmem.New(inmem.Backlog(l.Backlog),
				inmem.EarlyMail(cmp.Or(l.EarlyFor, time.Hour), cmp.Or(l.EarlyMail, 1000)))
		},
		Kill: func(_ *testing.T, b broker.Broker, w broker.Worker) { b.(*inmem.Broker).Kill(w) },
	}
}

func TestBroker(t *testing.T) {
	h := harness()
	h.Virtual = true
	brokertest.Run(t, h)
}

// Brokers on servers run the suite in real time; this shows that it works there too.
func TestBrokerInRealTime(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	h := harness()
	h.Lease, h.Moment, h.Patience = 200*time.Millisecond, 20*time.Millisecond, 20*time.Second
	brokertest.Run(t, h)
}
