// Package fulfilment allocates what was ordered, waits for the payment, and ships.
package fulfilment

import (
	"context"
	"errors"
	"time"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/examples/internal/partner"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// ErrCard refuses a payment.
var ErrCard = errors.New("card is refused")

// Errors is how it travels.
var Errors = errcodec.New(partner.Errors, errcodec.Sentinel("payment.card", ErrCard))

// Order is for some pieces of one thing.
type Order struct {
	ID, Account string
	Pieces      int
}

// Cleared is the event that an order may be paid, with a card.
type Cleared struct{ Card string }

// CardChosen tells a saga of an order with which card it is paid.
var CardChosen = flow.NewSignal[Cleared]("card-chosen")

// Allocation is a part of the stock that waits for its order.
type Allocation struct {
	Order Order
	Shelf string
	Card  string
}

// Warehouse is the services of the warehouse, and what they hold.
type Warehouse struct {
	*partner.Partners
	Stock int
}

func (w *Warehouse) allocate(ctx context.Context, o Order) (string, error) {
	return w.Do(ctx, func() (string, error) {
		w.Stock -= o.Pieces
		return "shelf-7", nil
	})
}

func (w *Warehouse) release(ctx context.Context, e step.Effect[Order, string]) error {
	return w.Undo(ctx, e.Known, func() error {
		w.Stock += e.In.Pieces
		return nil
	})
}

func (w *Warehouse) pay(ctx context.Context, a Allocation) error {
	_, err := w.Do(ctx, func() (string, error) {
		if a.Card == "refused" {
			return "", ErrCard
		}
		return "paid", nil
	})
	return err
}

func (w *Warehouse) refund(ctx context.Context, e step.Effect[Allocation, Allocation]) error {
	return w.Undo(ctx, e.Known, func() error { return nil })
}

func (w *Warehouse) ship(ctx context.Context, a Allocation) (string, error) {
	return w.Do(ctx, func() (string, error) { return "parcel of " + a.Order.ID, nil })
}

// Fulfil is the saga of an order. It ends with the parcel.
func (w *Warehouse) Fulfil() flow.Flow[Order, string] {
	return flow.New[Order]("fulfil").
		Also(step.New("allocate", w.allocate).Compensate(w.release), func(o Order, shelf string) Allocation { return Allocation{Order: o, Shelf: shelf} }).
		Wait(CardChosen, func(a Allocation, c Cleared) Allocation {
			a.Card = c.Card
			return a
		}).
		Then(step.Do("pay", w.pay).Compensate(w.refund).Refuses(ErrCard).Retry(step.Retry{Attempts: 3, Delay: time.Hour, MaxDelay: time.Hour})).
		Then(step.New("ship", w.ship).Pivot())
}
