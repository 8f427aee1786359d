package servicetest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

var answer = flow.NewSignal[string]("answer")

// asking is a flow "charge" that debits, and then waits for an answer.
func asking(l *ledger) flow.Flow[Order, Payment] {
	return charging(l).Wait(answer, func(p Payment, by string) Payment { return Payment{by, p.Cents} })
}

var undos = []testCase{
	{"a completed remote step is undone by its own compensations", func(t *testing.T, k *kit) {
		l := &ledger{}
		f := ordering(charge, soldOut)
		orders, _ := k.running("orders", f)
		payments, _ := k.running("payments", charging(l))
		failed := fails(k, start(k, orders, f, order))
		require.ErrorIs(t, failed, errStock)
		require.Equal(t, flow.StateUndone, failed.State)
		require.Equal(t, []flow.Undo{{Step: "charge"}}, failed.Undone)
		require.Empty(t, failed.Kept)
		require.Equal(t, []string{"debit 250", "credit 250"}, l.all())
		k.released("payments")
		k.states(payments, map[string]flow.State{"orders~o1/charge": flow.StateUndone})
	}},
	{"undo goes through a service in the middle", func(t *testing.T, k *kit) {
		l := &ledger{}
		bank := flow.Ref[Order, Payment]{Service: "bank", Name: "transfer"}
		f := ordering(charge, soldOut)
		orders, _ := k.running("orders", f)
		k.running("payments", flow.New[Order]("charge").Then(bank))
		k.running("bank", flow.New[Order]("transfer").Then(debit(l)))
		require.Equal(t, flow.StateUndone, fails(k, start(k, orders, f, order)).State)
		require.Equal(t, []string{"debit 250", "credit 250"}, l.all())
		k.released("payments")
		k.released("bank")
	}},
	{"a remote step that runs is cancelled", func(t *testing.T, k *kit) {
		l := &ledger{}
		f := ordering(charge, pack)
		orders, _ := k.running("orders", f)
		k.running("payments", asking(l))
		future := start(k, orders, f, order)
		k.eventually(func() bool { return k.stats("payments").Parked == 1 }, "waiting for the answer")
		require.NoError(t, future.Cancel(k.ctx(), "changed my mind"))
		failed := fails(k, future)
		require.ErrorIs(t, failed, flow.ErrCancelled)
		require.Equal(t, flow.StateUndone, failed.State)
		require.Equal(t, []string{"debit 250", "credit 250"}, l.all())
		k.released("payments")
	}},
	{"what a remote step keeps is kept by the caller", func(t *testing.T, k *kit) {
		f := ordering(charge, pack)
		orders, _ := k.running("orders", f)
		mail := step.New("mail", func(context.Context, Order) (Order, error) { return order, nil })
		k.running("payments", flow.New[Order]("charge").Then(mail).Then(debit(&ledger{}).As("debit")).
			Then(step.New("book", func(context.Context, Payment) (Payment, error) { return Payment{}, step.Refused(errDeclined) }).ReadOnly()))
		failed := fails(k, start(k, orders, f, order))
		require.ErrorIs(t, failed, errDeclined)
		require.Equal(t, []string{"charge/mail"}, failed.Kept)
		k.released("payments")
	}},
	{"a remote saga past its pivot is not undone, and the caller says so", func(t *testing.T, k *kit) {
		f := ordering(charge, soldOut)
		orders, _ := k.running("orders", f)
		wire := step.New("wire", func(context.Context, Order) (Payment, error) { return Payment{"w", 1}, nil }).Pivot()
		payments, _ := k.running("payments", flow.New[Order]("charge").Then(wire))
		failed := fails(k, start(k, orders, f, order))
		require.ErrorIs(t, failed, errStock)
		require.Equal(t, []string{"charge"}, failed.Kept)
		k.released("payments")
		k.states(payments, map[string]flow.State{"orders~o1/charge": flow.StateDone})
	}},
	{"past the caller's pivot a remote step only goes forward", func(t *testing.T, k *kit) {
		l := &ledger{}
		turn := step.New("turn", func(_ context.Context, o Order) (Order, error) { return o, nil }).Pivot()
		f := flow.New[Order]("order").Then(turn).Then(charge.Timeout(1))
		orders, _ := k.running("orders", f)
		tries := 0
		payments, _ := k.running("payments", flow.New[Order]("charge").Then(step.New("debit", func(context.Context, Order) (Payment, error) {
			if tries++; tries < 3 {
				return Payment{}, errAny
			}
			l.note("debit")
			return Payment{"p", 3}, nil
		}).ReadOnly().Retry(step.Retry{Attempts: 1, Delay: 1})))
		require.Equal(t, Payment{"p", 3}, done(k, start(k, orders, f, order)))
		k.released("payments")
		k.states(payments, map[string]flow.State{"orders~o1/charge": flow.StateDone})
	}},
	{"a remote dead letter keeps its caller open and visible, until a person has decided", func(t *testing.T, k *kit) {
		l, broken := &ledger{}, true
		f := ordering(charge, soldOut)
		orders, _ := k.running("orders", f)
		payments, _ := k.running("payments", flow.New[Order]("charge").Then(step.New("debit", func(context.Context, Order) (Payment, error) {
			l.note("debit")
			return Payment{}, nil
		}).Compensate(func(context.Context, step.Effect[Order, Payment]) error {
			if broken {
				return step.GiveUp(errDeclined)
			}
			l.note("credit")
			return nil
		})))
		future := start(k, orders, f, order)
		dead := func() bool {
			s, err := orders.Snapshot(k.ctx(), "o1")
			return err == nil && len(s.Steps) > 0 && s.Steps[0].Err != nil && s.State == flow.StateCompensating && s.Steps[0].Service == "payments"
		}
		k.eventually(dead, "hearing of the dead letter")
		s, err := orders.Snapshot(k.ctx(), "o1")
		require.NoError(t, err)
		require.ErrorContains(t, s.Steps[0].Err, `the undo of "debit" failed: bank: declined`)
		require.Len(t, s.Waits, 1)
		broken = false
		require.NoError(t, payments.Relay(k.ctx(), "orders~o1/charge", flow.By{Who: "eve", Why: "repaired"}))
		require.Equal(t, flow.StateUndone, fails(k, future).State)
		require.Equal(t, []string{"debit", "credit"}, l.all())
		k.released("payments")
	}},
	{"a caller that a person has settled leaves nothing behind", func(t *testing.T, k *kit) {
		l, gate := &ledger{}, make(chan struct{})
		ship := step.New("ship", func(ctx context.Context, _ Order) (string, error) {
			select {
			case <-gate:
			case <-ctx.Done():
			}
			return "", errStock
		}).Compensate(func(context.Context, step.Effect[Order, string]) error { return step.GiveUp(errStock) })
		f := flow.New[Order]("order").Both("both", charge, ship, func(_ Order, p Payment, s string) string { return p.ID + s })
		orders, _ := k.running("orders", f)
		_, stop := k.running("payments", asking(l))
		future := start(k, orders, f, order)
		k.eventually(func() bool { return k.stats("payments").Parked == 1 }, "waiting for the answer")
		stop()
		close(gate)
		require.Equal(t, flow.StateDeadLetter, fails(k, future).State)
		require.NoError(t, orders.SettleFailed(k.ctx(), "o1", errStock, flow.By{Who: "eve", Why: "enough"}))
		k.states(orders, map[string]flow.State{"o1": flow.StateUndone})
		payments, _ := k.running("payments", asking(l))
		k.states(payments, map[string]flow.State{"orders~o1/both/charge": flow.StateUndone})
		require.Equal(t, []string{"debit 250", "credit 250"}, l.all())
		k.released("payments")
	}},
}
