package inmem_test

import (
	"testing"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokertest"
	"github.com/skald-go/skald/inmem"
)

func busHarness() brokertest.BusHarness {
	return brokertest.BusHarness{
		New: func(_ *testing.T, l brokertest.BusLimits) broker.Broker {
			return inmem.New(inmem.OnBus(inmem.NewBus(inmem.KeepEvents(l.Age, l.Most), inmem.RememberEvents(l.Memory))))
		},
		Kill: func(_ *testing.T, b broker.Broker, s broker.Subscriber) { b.(*inmem.Broker).KillSubscriber(s) },
	}
}

func TestBus(t *testing.T) {
	h := busHarness()
	h.Virtual = true
	brokertest.RunBus(t, h)
}

func TestBusInRealTime(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	h := busHarness()
	h.Lease, h.Moment, h.Patience = 200*time.Millisecond, 20*time.Millisecond, 20*time.Second
	brokertest.RunBus(t, h)
}
