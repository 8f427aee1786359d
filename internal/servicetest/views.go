package servicetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
)

var views = []testCase{
	{"a call that waits is seen in both services", func(t *testing.T, k *kit) {
		f := ordering(charge, pack)
		orders, _ := k.running("orders", f)
		begun := time.Now()
		future := start(k, orders, f, order)
		k.eventually(func() bool { return k.stats("orders").Parked == 1 }, "calling")
		var waits []flow.Call
		for s, err := range orders.List(k.ctx(), flow.Filter{}) {
			require.NoError(t, err)
			waits = append(waits, s.Waits...)
		}
		require.Len(t, waits, 1)
		require.WithinDuration(t, begun, waits[0].Since, patience)
		waits[0].Since = time.Time{}
		require.Equal(t, flow.Call{Path: "charge", Service: "payments", Flow: "charge"}, waits[0])

		// An engine of payments that serves another flow.
		payments, stop := k.running("payments", flow.New[int]("other"))
		k.eventually(func() bool { return k.stats("payments").Stranded == 1 }, "the call waiting at payments")
		require.ErrorContains(t, payments.Health(k.ctx()), "no living worker takes 1 sagas")
		k.states(payments, map[string]flow.State{"orders~o1/charge": flow.StateRunning})
		for s, err := range payments.List(k.ctx(), flow.Filter{}) {
			require.NoError(t, err)
			require.True(t, s.Stranded)
			require.Equal(t, "charge", s.Flow)
		}
		stop()
		k.running("payments", charging(&ledger{}))
		require.Equal(t, "packed p-ada", done(k, future))
	}},
	{"stats and snapshots of a remote saga know its flow, version and steps", func(t *testing.T, k *kit) {
		f := ordering(charge, pack)
		orders, _ := k.running("orders", f)
		payments, _ := k.running("payments", asking(&ledger{}))
		future := start(k, orders, f, order)
		k.eventually(func() bool { return k.stats("payments").Parked == 1 }, "waiting for the answer")
		s, err := payments.Snapshot(k.ctx(), "orders~o1/charge")
		require.NoError(t, err)
		require.Equal(t, "charge", s.Flow)
		require.Equal(t, []string{"debit", "answer"}, []string{s.Steps[0].Path, s.Steps[1].Path})
		raw, err := k.net(t, "payments").Lookup(k.ctx(), "orders~o1/charge", true)
		require.NoError(t, err)
		require.Equal(t, broker.Served{Flow: "charge"}, raw.Served)
		require.NoError(t, answer.Send(k.ctx(), payments, "orders~o1/charge", "yes"))
		require.Equal(t, "packed yes", done(k, future))
	}},
}
