package inmem_test

import (
	"cmp"
	"testing"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokertest"
	"github.com/skald-go/skald/inmem"
)

func TestBroker(t *testing.T) {
	brokertest.Run(t, brokertest.Harness{
		New: func(_ *testing.T, l brokertest.Limits) broker.Broker {
			return inmem.New(inmem.Backlog(l.Backlog),
				inmem.EarlyMail(cmp.Or(l.EarlyFor, time.Hour), cmp.Or(l.EarlyMail, 1000)))
		},
		Kill:    func(_ *testing.T, b broker.Broker, w broker.Worker) { b.(*inmem.Broker).Kill(w) },
		Virtual: true,
	})
}
