package inmem_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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

func TestServicesOfANetworkHearEachOther(t *testing.T) {
	n := inmem.NewNetwork()
	shop, mail := n.Broker("shop"), n.Broker("mail")
	sub, err := mail.Subscribe(t.Context(), broker.Subscription{Lease: time.Minute, Reads: []broker.Read{{Topic: "news", Group: "mail", Room: 1}}})
	require.NoError(t, err)
	require.NoError(t, shop.Publish(t.Context(), broker.Publication{Topic: "news", ID: "e1"}))
	got, err := sub.Receive(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "e1", got[0].ID)
}

// What a broker had that is closed without a word goes to others that share its bus.
func TestASharedBusOutlivesABroker(t *testing.T) {
	bus := inmem.NewBus()
	one, two := inmem.New(inmem.OnBus(bus)), inmem.New(inmem.OnBus(bus))
	subscribe := func(b *inmem.Broker) broker.Subscriber {
		sub, err := b.Subscribe(t.Context(), broker.Subscription{Lease: time.Minute, Reads: []broker.Read{{Topic: "news", Group: "mail", Room: 1}}})
		require.NoError(t, err)
		return sub
	}
	require.NoError(t, two.Publish(t.Context(), broker.Publication{Topic: "news", ID: "e1"}))
	_, err := subscribe(one).Receive(t.Context())
	require.NoError(t, err)
	require.NoError(t, one.Close())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := subscribe(two).Receive(ctx)
	require.NoError(t, err)
	assert.Equal(t, "e1", got[0].ID)
	assert.Equal(t, 2, got[0].Attempt)
}
