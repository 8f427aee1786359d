package servicetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

var calls = []testCase{
	{"a remote step is a saga of the other service, held until the caller has ended", func(t *testing.T, k *kit) {
		l, gate := &ledger{}, make(chan struct{})
		waits := step.New("pack", func(ctx context.Context, p Payment) (string, error) {
			select {
			case <-gate:
			case <-ctx.Done():
				return "", ctx.Err()
			}
			return "packed " + p.ID, nil
		}).ReadOnly()
		f := ordering(charge, waits)
		orders, _ := k.running("orders", f)
		payments, _ := k.running("payments", charging(l))
		future := start(k, orders, f, order)
		k.eventually(func() bool { return k.stats("payments").Held == 1 }, "holding the payment")
		s, err := payments.Snapshot(k.ctx(), "orders~o1/charge")
		require.NoError(t, err)
		require.Equal(t, "orders~o1", s.Parent)
		close(gate)
		require.Equal(t, "packed p-ada", done(k, future))
		require.Equal(t, []string{"debit 250"}, l.all())
		k.released("payments")
		k.states(orders, map[string]flow.State{"o1": flow.StateDone})
		k.states(payments, map[string]flow.State{"orders~o1/charge": flow.StateDone})
	}},
	{"references stand wherever parts do", func(t *testing.T, k *kit) {
		double := flow.Ref[int, int]{Service: "math", Name: "double"}
		math, _ := k.running("math", flow.New[int]("double").Map(func(n int) int { return 2 * n }))
		_ = math
		add := func(a, b int) int { return a + b }
		f := flow.New[int]("sum").
			Also(double, add).                                                                     // 3 + 6
			Use(double.As("used"), func(n int) int { return n + 1 }, add).                         // 9 + 20
			Both("both", double, double.As("other"), func(n, a, b int) int { return n + a + b }).  // 29 + 58 + 58
			If("big", func(n int) bool { return n > 100 }, double.As("twice"), double.As("four")). // 290
			Each("each", func(n int) []int { return []int{n, 1} }, double, func(_ int, all []int) int { return all[0] + all[1] }).
			Loop("loop", 3, double.As("again"), func(n int) bool { return n > 1000 })
		orders, _ := k.running("orders", f)
		require.Equal(t, 1164, done(k, start(k, orders, f, 3)))
		k.released("math")
	}},
	{"the error that happened arrives as itself", func(t *testing.T, k *kit) {
		l := &ledger{}
		f := ordering(charge, pack)
		orders, _ := k.running("orders", f)
		payments, _ := k.running("payments", charging(l))
		failed := fails(k, start(k, orders, f, Order{"ada", 5000}))
		require.ErrorIs(t, failed, errDeclined)
		require.Equal(t, flow.StateUndone, failed.State)
		require.Equal(t, "charge", failed.Step)
		var theirs *flow.Error
		require.ErrorAs(t, failed.Cause, &theirs)
		require.Equal(t, "orders~o1/charge", theirs.SagaID)
		require.Equal(t, "debit", theirs.Step)
		require.Contains(t, failed.Error(), "5000 cents of ada")
		k.released("payments")
		k.states(payments, map[string]flow.State{"orders~o1/charge": flow.StateUndone})
	}},
	{"a service in the middle passes on an error that it does not know", func(t *testing.T, k *kit) {
		bank := flow.Ref[Order, Payment]{Service: "bank", Name: "transfer"}
		debits := flow.New[Order]("transfer").Then(debit(&ledger{}))
		through := flow.New[Order]("charge").Then(bank)
		f := ordering(charge, pack)
		orders, _ := k.running("orders", f)
		k.run(k.engine("payments", flow.Options{Errors: errcodec.New()}, through))
		k.running("bank", debits)
		failed := fails(k, start(k, orders, f, Order{"ada", 5000}))
		require.ErrorIs(t, failed, errDeclined)
		k.released("payments")
		k.released("bank")
	}},
	{"a reference is started by itself, once for an ID", func(t *testing.T, k *kit) {
		l := &ledger{}
		orders, _ := k.running("orders", charge.Flow())
		k.running("payments", charging(l))
		for range 2 {
			future, err := charge.Start(k.ctx(), orders, order, flow.ID("o1"))
			require.NoError(t, err)
			require.Equal(t, Payment{"p-ada", 250}, done(k, future))
		}
		require.Equal(t, Payment{"p-ada", 250}, done(k, charge.Attach(orders, "o1")))
		require.Equal(t, []string{"debit 250"}, l.all())
		future, err := charge.Start(k.ctx(), orders, Order{"bob", 9000})
		require.NoError(t, err)
		require.ErrorIs(t, fails(k, future), errDeclined)
		_, err = charge.Start(k.ctx(), orders, Order{"bob", 1}, flow.ID("o1"))
		require.ErrorIs(t, err, flow.ErrConflict)
		k.released("payments")
	}},
	{"headers and propagated values reach remote steps and their undos", func(t *testing.T, k *kit) {
		l := &ledger{}
		o := flow.Options{Propagators: []flow.Propagator{userPropagator{}}}
		seen := step.New("debit", func(ctx context.Context, o Order) (Payment, error) {
			l.note("debit by %v", ctx.Value(userKey{}))
			return Payment{}, nil
		}).Compensate(func(ctx context.Context, _ step.Effect[Order, Payment]) error {
			l.note("credit by %v", ctx.Value(userKey{}))
			return nil
		})
		f := ordering(charge, soldOut)
		orders, _ := k.run(k.engine("orders", o, f))
		payments, _ := k.run(k.engine("payments", o, flow.New[Order]("charge").Then(seen)))
		future, err := f.Start(context.WithValue(k.ctx(), userKey{}, "ada"), orders, order, flow.ID("o1"), flow.WithHeaders(flow.Headers{"plan": "gold"}))
		require.NoError(t, err)
		require.ErrorIs(t, fails(k, future), errStock)
		require.Equal(t, []string{"debit by ada", "credit by ada"}, l.all())
		k.released("payments")
		_ = payments
	}},
	{"a saga keeps to the version that it was begun in", func(t *testing.T, k *kit) {
		answer := flow.NewSignal[string]("answer")
		version := func(n int) flow.Flow[Order, Payment] {
			return flow.New[Order]("charge").Wait(answer, func(o Order, by string) Payment { return Payment{ID: by, Cents: n} }).Version(n)
		}
		f := flow.New[Order]("order").Then(charge)
		orders, _ := k.running("orders", f)
		_, stop := k.running("payments", version(1))
		future := start(k, orders, f, order)
		k.eventually(func() bool { return k.stats("payments").Parked == 1 }, "waiting for the answer")
		stop()
		payments, _ := k.running("payments", version(1), version(2))
		require.NoError(t, answer.Send(k.ctx(), payments, "orders~o1/charge", "first"))
		require.Equal(t, Payment{"first", 1}, done(k, future))
		second, err := f.Start(k.ctx(), orders, order, flow.ID("o2"))
		require.NoError(t, err)
		require.NoError(t, answer.Send(k.ctx(), payments, "orders~o2/charge", "second"))
		require.Equal(t, Payment{"second", 2}, done(k, second))
		k.released("payments")
	}},
	{"a service calls itself", func(t *testing.T, k *kit) {
		l := &ledger{}
		f := ordering(charge, pack)
		both, _ := k.running("payments", f, charging(l))
		require.Equal(t, "packed p-ada", done(k, start(k, both, f, order)))
		k.released("payments")
		k.states(both, map[string]flow.State{"o1": flow.StateDone, "payments~o1/charge": flow.StateDone})
	}},
	{"many sagas at once", func(t *testing.T, k *kit) {
		l := &ledger{}
		f := ordering(charge, pack)
		orders, _ := k.running("orders", f)
		k.running("payments", charging(l))
		k.running("payments", charging(l))
		var futures []flow.Future[string]
		for n := range 100 {
			future, err := f.Start(k.ctx(), orders, Order{fmt.Sprint("c", n), n}, flow.ID(fmt.Sprint("o", n)))
			require.NoError(t, err)
			futures = append(futures, future)
		}
		all, err := flow.All(k.ctx(), futures...)
		require.NoError(t, err)
		require.Equal(t, "packed p-c7", all[7])
		require.Len(t, l.all(), 100)
		k.released("payments")
	}},
}

type userKey struct{}

// userPropagator carries a user's name.
type userPropagator struct{}

func (userPropagator) Inject(ctx context.Context, h flow.Headers) {
	if user, ok := ctx.Value(userKey{}).(string); ok {
		h.Set("user", user)
	}
}

func (userPropagator) Extract(ctx context.Context, h flow.Headers) context.Context {
	return context.WithValue(ctx, userKey{}, h.Get("user"))
}

var errAny = errors.New("some error")
