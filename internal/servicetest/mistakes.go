package servicetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/saga"
)

var mistakes = []testCase{
	{"a reference that nobody serves is seen by its error, and ends when somebody does", func(t *testing.T, k *kit) {
		l := &ledger{}
		f := ordering(charge.Timeout(50*time.Millisecond), pack)
		orders, _ := k.running("orders", f)
		future := start(k, orders, f, order)
		_, err := future.Decided(k.ctx())
		require.ErrorIs(t, err, flow.ErrNoAnswer)
		require.ErrorContains(t, err, `service "payments" did not say within 50ms`)
		short, cancel := context.WithTimeout(k.ctx(), 10*time.Millisecond)
		defer cancel()
		failed := &flow.Error{}
		_, err = future.Await(short)
		require.ErrorAs(t, err, &failed)
		require.ErrorIs(t, failed, flow.ErrNoAnswer, "the cause wins over the clock")
		require.Equal(t, flow.StateCompensating, failed.State)
		s, err := orders.Snapshot(k.ctx(), "o1")
		require.NoError(t, err)
		require.Len(t, s.Waits, 1)

		k.running("payments", charging(l))
		failed = fails(k, future)
		require.ErrorIs(t, failed, flow.ErrNoAnswer)
		require.Equal(t, flow.StateUndone, failed.State)
		require.Empty(t, l.all(), "it was undone before it began")
		k.released("payments")
	}},
	{"a service that takes other values refuses, and nothing was done", func(t *testing.T, k *kit) {
		type other struct{ Weight float64 }
		l := &ledger{}
		f := ordering(charge, pack)
		orders, _ := k.running("orders", f)
		k.running("payments", flow.New[other]("charge").Map(func(other) Payment { l.note("ran"); return Payment{} }))
		failed := fails(k, start(k, orders, f, order))
		require.ErrorIs(t, failed, flow.ErrContract)
		require.ErrorContains(t, failed, `service "orders" calls flow "charge" of service "payments"`)
		require.ErrorContains(t, failed, "they have no field in common")
		require.Equal(t, flow.StateUndone, failed.State)
		require.Empty(t, l.all())
		k.released("payments")
	}},
	{"a service that gives other values refuses, and nothing was done", func(t *testing.T, k *kit) {
		type other struct {
			ID    string
			Cents string
		}
		f := ordering(charge, pack)
		orders, _ := k.running("orders", f)
		k.running("payments", flow.New[Order]("charge").Map(func(Order) other { return other{} }))
		failed := fails(k, start(k, orders, f, order))
		require.ErrorIs(t, failed, flow.ErrContract)
		require.ErrorContains(t, failed, "the output is")
		require.ErrorContains(t, failed, ".Cents it is int here and text there")
	}},
	{"fields that only one side knows do no harm", func(t *testing.T, k *kit) {
		type newer struct {
			Customer string
			Cents    int64
			Coupon   string
		}
		f := ordering(charge, pack)
		orders, _ := k.running("orders", f)
		k.running("payments", flow.New[newer]("charge").Map(func(o newer) Payment { return Payment{ID: o.Customer, Cents: int(o.Cents)} }))
		require.Equal(t, "packed ada", done(k, start(k, orders, f, order)))
	}},
	{"an input that cannot be read is an error for the caller", func(t *testing.T, k *kit) {
		f := ordering(charge, pack)
		orders, _ := k.run(k.engine("orders", flow.Options{Codec: flow.JSON()}, f))
		k.running("payments", charging(&ledger{}))
		failed := fails(k, start(k, orders, f, order))
		require.ErrorIs(t, failed, flow.ErrContract)
		require.ErrorContains(t, failed, "decode")
		k.released("payments")
	}},
	{"a reply for a saga that nobody knows changes nothing", func(t *testing.T, k *kit) {
		f := ordering(charge, pack)
		orders, _ := k.running("orders", f)
		k.running("payments", charging(&ledger{}))
		o := saga.Outcome{End: saga.Succeeded, Value: []byte{0xc1}}
		require.NoError(t, k.net(t, "orders").Deliver(k.ctx(), "nobody", broker.Event{ID: "e1", Kind: saga.EventReply, Name: "charge", Data: o.Append(nil)}))
		require.Equal(t, "packed p-ada", done(k, start(k, orders, f, order)))
		k.states(orders, map[string]flow.State{"o1": flow.StateDone})
	}},
	{"a service without a network says what is missing", func(t *testing.T, k *kit) {
		alone := lonely{k.net(t, "orders")}
		e := k.on(alone, flow.Options{})
		_, err := charge.Start(k.ctx(), e, order)
		require.ErrorIs(t, err, flow.ErrNoService)
		require.PanicsWithValue(t, `flow: Serve: "order" calls other services: `+err.Error()[len("flow: start payments:charge: "):], func() {
			e.Serve(ordering(charge, pack))
		})
	}},
}

// lonely is a broker of no service.
type lonely struct{ broker.Broker }
