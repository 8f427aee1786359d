package inmem_test

import (
	"testing"
	"testing/synctest"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/internal/servicetest"
)

func TestServices(t *testing.T) {
	servicetest.Run(t, func(*testing.T) servicetest.Net {
		network := inmem.NewNetwork()
		return func(_ *testing.T, service string) broker.Broker { return network.Broker(service) }
	}, synctest.Test)
}
