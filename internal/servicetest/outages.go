package servicetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokerfault"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

var outages = []testCase{
	{"a service that is down is only late", func(t *testing.T, k *kit) {
		l := &ledger{}
		f := ordering(charge, pack)
		orders, stop := k.running("orders", f)
		start(k, orders, f, order)
		k.eventually(func() bool { return k.stats("orders").Parked == 1 }, "calling")
		stop()
		k.running("payments", charging(l))
		k.eventually(func() bool { return k.stats("payments").Held == 1 }, "charging")
		again, _ := k.running("orders", f)
		require.Equal(t, "packed p-ada", done(k, f.Attach(again, "o1")))
		require.Equal(t, []string{"debit 250"}, l.all())
		k.released("payments")
	}},
	{"a service that is down while it is asked to undo is only late", func(t *testing.T, k *kit) {
		l, gate := &ledger{}, make(chan struct{})
		fail := step.New("pack", func(ctx context.Context, _ Payment) (string, error) {
			select {
			case <-gate:
			case <-ctx.Done():
			}
			return "", step.Refused(errStock)
		}).ReadOnly()
		f := ordering(charge, fail)
		orders, _ := k.running("orders", f)
		_, stop := k.running("payments", charging(l))
		future := start(k, orders, f, order)
		k.eventually(func() bool { return k.stats("payments").Held == 1 }, "charging")
		stop()
		close(gate)
		_, err := future.Decided(k.ctx())
		require.ErrorIs(t, err, errStock)
		require.Equal(t, []string{"debit 250"}, l.all())
		k.running("payments", charging(l))
		require.Equal(t, flow.StateUndone, fails(k, future).State)
		require.Equal(t, []string{"debit 250", "credit 250"}, l.all())
		k.released("payments")
	}},
	{"lost, repeated and failing calls: every effect once, or undone", func(t *testing.T, k *kit) {
		faulty(t, k, brokerfault.Odds{brokerfault.Lose: 0.05, brokerfault.Fail: 0.05, brokerfault.Repeat: 0.05})
	}},
	{"dying workers of both services: every effect once, or undone", func(t *testing.T, k *kit) {
		if _, mortal := k.net(t, "orders").(brokerfault.Killer); !mortal {
			t.Skip("workers of this broker do not die on request")
		}
		faulty(t, k, brokerfault.Odds{brokerfault.KillBefore: 0.03, brokerfault.KillAfter: 0.03})
	}},
}

// faulty runs sagas over brokers that fail. A third of them fail and are undone.
func faulty(t *testing.T, k *kit, odds brokerfault.Odds) {
	const sagas = 40
	l, want := &ledger{}, 0
	on := func(service string, seed uint64) broker.Broker {
		return brokerfault.Wrap(k.net(t, service), brokerfault.Options{Odds: odds, Seed: seed})
	}
	f := flow.New[Order]("order").Then(charge).Then(step.New("pack", func(_ context.Context, p Payment) (string, error) {
		if p.Cents%3 == 0 {
			return "", step.Refused(errStock)
		}
		return "packed " + p.ID, nil
	}).ReadOnly())
	o := flow.Options{Lease: 300 * time.Millisecond, TakeoverLimit: 1000}
	client := k.engine("orders", flow.Options{}, f)
	k.run(k.on(on("orders", 1), o, f))
	k.run(k.on(on("payments", 2), o, charging(l)))
	k.run(k.on(on("payments", 3), o, charging(l)))
	var futures []flow.Future[string]
	for n := range sagas {
		future, err := f.Start(k.ctx(), client, Order{fmt.Sprint("c", n), n}, flow.ID(fmt.Sprint("o", n)))
		require.NoError(t, err)
		futures = append(futures, future)
	}
	for n, future := range futures {
		out, err := future.Await(k.ctx())
		if n%3 == 0 {
			require.ErrorIs(t, err, errStock)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("packed p-c", n), out)
		want += n
	}
	require.Equal(t, want, sum(l), "each debit is there or was credited")
	k.released("payments")
}

// sum adds up debits and credits, each of which is counted once for an amount: attempts may be made again.
func sum(l *ledger) (total int) {
	counted := map[string]bool{}
	for _, line := range l.all() {
		var cents int
		var what string
		fmt.Sscan(line, &what, &cents)
		if counted[line] {
			continue
		}
		counted[line] = true
		if what == "debit" {
			total += cents
		} else {
			total -= cents
		}
	}
	return total
}
