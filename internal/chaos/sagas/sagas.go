// Package sagas is what the chaos tests run: transfers of money, remittances, whose steps are sagas
// of another service, purchases of pets, and orders, which have a child and wait for a signal.
package sagas

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/chaos/town"
	"github.com/skald-go/skald/step"
)

// The errors that callers recognize.
var (
	ErrPoor     = errors.New("not enough in the purse")
	ErrTaken    = errors.New("somebody else has the pet")
	ErrDeclined = errors.New("the order was not approved")
	ErrBroken   = errors.New("the last step is broken")
	ErrLate     = errors.New("the step was undone before it was done")
)

// Errors are the errors that arrive as themselves.
func Errors() *errcodec.Codec {
	return errcodec.New(
		errcodec.Sentinel("chaos.poor", ErrPoor), errcodec.Sentinel("chaos.taken", ErrTaken), errcodec.Sentinel("chaos.declined", ErrDeclined),
		errcodec.Sentinel("chaos.broken", ErrBroken), errcodec.Sentinel("chaos.late", ErrLate),
	)
}

// Ask calls the town.
type Ask func(ctx context.Context, c town.Call) (town.Verdict, error)

// Book is the flows.
type Book struct {
	transfer   flow.Flow[Transfer, Transfer]
	remittance flow.Flow[Remittance, Remittance]
	purchase   flow.Flow[Purchase, Purchase]
	order      flow.Flow[Order, Order]
	approve    flow.Signal[Approval]
}

type shipping struct {
	Order string
	Price int
}

// New makes the flows, whose steps call the town through ask.
func New(ask Ask) *Book {
	b := &Book{approve: flow.NewSignal[Approval]("approval"), remittance: newRemittance()}
	b.transfer = flow.New[Transfer]("transfer").
		Then(effect(ask, "withdraw", func(t Transfer) town.Op { return pay("money", t.From, town.Till, t.Amount) })).
		Then(effect(ask, "deposit", func(t Transfer) town.Op { return pay("money", town.Till, t.To, t.Amount) })).
		Then(last("confirm", func(t Transfer) bool { return t.Broken }))
	pass := func(p Purchase, _, _ Purchase) Purchase { return p }
	b.purchase = flow.New[Purchase]("purchase").
		Then(effect(ask, "take-points", func(p Purchase) town.Op { return pay("points", p.Buyer, town.Till, p.Price) })).
		Both("hand-over",
			effect(ask, "move-pet", func(p Purchase) town.Op { return town.Op{Pet: p.Pet, From: p.Seller, To: p.Buyer} }),
			effect(ask, "pay-seller", func(p Purchase) town.Op { return pay("points", town.Till, p.Seller, p.Price) }), pass).
		Delay("quarantine", func(p Purchase) time.Duration { return p.Quarantine }).
		Then(last("stamp", func(p Purchase) bool { return p.Broken })).
		Then(stubborn(effect(ask, "free-pet", func(p Purchase) town.Op { return town.Op{Pet: p.Pet, From: p.Buyer} })))
	b.order = b.newOrder(ask)
	return b
}

func (b *Book) newOrder(ask Ask) flow.Flow[Order, Order] {
	pack := step.New("pack", func(ctx context.Context, s shipping) (string, error) {
		return "label of " + s.Order, call(ctx, ask, pay("points", town.Till, "courier", 1))
	}).Compensate(func(ctx context.Context, _ step.Effect[shipping, string]) error { return call(ctx, ask, town.Op{}) })
	parcel := flow.New[shipping]("parcel").Then(patient(pack))
	settle := step.Do("settle", func(ctx context.Context, o Order) error {
		if !o.Approved {
			return step.Refused(ErrDeclined)
		}
		return call(ctx, ask, pay("points", town.Till, o.Seller, o.Price))
	}).Compensate(func(ctx context.Context, _ step.Effect[Order, Order]) error { return call(ctx, ask, town.Op{}) })
	return flow.New[Order]("order").
		Then(effect(ask, "reserve", func(o Order) town.Op { return pay("points", o.Buyer, town.Till, o.Price+1) })).
		Use(flow.Child(parcel),
			func(o Order) shipping { return shipping{o.Buyer + " from " + o.Seller, o.Price} },
			func(o Order, label string) Order { o.Label = label; return o }).
		Wait(b.approve, func(o Order, a Approval) Order { o.Approved = a.Yes; return o }).
		Then(patient(settle))
}

func pay(ledger, from, to string, amount int) town.Op {
	return town.Op{Ledger: ledger, From: from, To: to, Amount: amount}
}

// effect is a step that has an effect in the town, and takes it back.
func effect[T any](ask Ask, name string, op func(T) town.Op) step.Step[T, T] {
	do := func(ctx context.Context, in T) error { return call(ctx, ask, op(in)) }
	undo := func(ctx context.Context, _ step.Effect[T, T]) error { return call(ctx, ask, town.Op{}) }
	return patient(step.Do(name, do).Compensate(undo))
}

// last is a step that may be broken, and has no effect.
func last[T any](name string, broken func(T) bool) step.Step[T, T] {
	return step.Do(name, func(_ context.Context, in T) error {
		if broken(in) {
			return step.Permanent(ErrBroken)
		}
		return nil
	}).ReadOnly()
}

// stubborn repeats a step until it works: once others may have what it let go, it cannot be taken back.
func stubborn[I, O any](s step.Step[I, O]) step.Step[I, O] {
	return s.Retry(step.Retry{Attempts: 1000, Delay: 40 * time.Millisecond, MaxDelay: 400 * time.Millisecond})
}

// patient repeats a step a few times, and its undo until it works.
func patient[I, O any](s step.Step[I, O]) step.Step[I, O] {
	return s.Timeout(10 * time.Second).
		Retry(step.Retry{Attempts: 4, Delay: 40 * time.Millisecond, MaxDelay: 400 * time.Millisecond}).
		RetryUndo(step.Retry{Attempts: 1000, Delay: 40 * time.Millisecond, MaxDelay: 400 * time.Millisecond})
}

// call asks the town to do op, or to take back what the step did.
func call(ctx context.Context, ask Ask, op town.Op) error {
	info := step.InfoFrom(ctx)
	v, err := ask(ctx, town.Call{Key: info.Key(), Saga: info.Saga, Path: info.Path, Undo: info.Undo, Op: op})
	switch {
	case err != nil:
		return err
	case v == town.Done:
		return nil
	case v == town.Poor:
		return step.Refused(ErrPoor)
	case v == town.Taken:
		return step.Refused(ErrTaken)
	case v == town.Late:
		return step.Permanent(ErrLate)
	}
	return fmt.Errorf("sagas: %s: the town says %q", info.Key(), v)
}
