// Package createorder is three sagas with a pivot: a restaurant's customers create, cancel and revise
// orders over the services for orders, consumers, kitchen and cards. Until the card is authorized
// everything can be taken back; after that everything is finished, however long it takes.
//
// After the running example of "Microservices Patterns" (Chris Richardson, 2018).
package createorder

import (
	"context"
	"errors"
	"time"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/examples/internal/partner"
	"github.com/skald-go/skald/step"
)

// The refusals.
var (
	ErrConsumer = errors.New("consumer may not order")
	ErrCard     = errors.New("card is refused")
	ErrCooking  = errors.New("kitchen has begun to cook")
)

// Errors is how they travel.
var Errors = errcodec.New(
	errcodec.Sentinel("consumers.invalid", ErrConsumer),
	errcodec.Sentinel("cards.refused", ErrCard),
	errcodec.Sentinel("kitchen.cooking", ErrCooking),
	partner.Errors,
)

// Restaurant is the services, and what they hold.
type Restaurant struct {
	*partner.Partners
	Orders  map[string]string // status by ID
	Totals  map[string]int    // by order
	Tickets map[string]string // status by ID
	Cards   map[string]int    // what is authorized
	// UntilDone is how a pivot is asked for its outcome, and how steps after it are tried again.
	UntilDone step.Retry
}

// Open is a restaurant without orders.
func Open() *Restaurant {
	return &Restaurant{
		Partners: partner.New(), Orders: map[string]string{}, Totals: map[string]int{}, Tickets: map[string]string{}, Cards: map[string]int{},
		UntilDone: step.Retry{Delay: time.Second, MaxDelay: 10 * time.Minute},
	}
}

// order and ticket are steps' functions that give one a status, and orderBack and ticketBack their undos.
func (r *Restaurant) order[I placed](status string) func(context.Context, I) error {
	return r.set(r.Orders, I.orderID, status)
}

func (r *Restaurant) orderBack[I placed, O any](status string) func(context.Context, step.Effect[I, O]) error {
	return r.reset[I, O](r.Orders, I.orderID, status)
}

func (r *Restaurant) ticket[I ticketed](status string) func(context.Context, I) error {
	return r.set(r.Tickets, I.ticketID, status)
}

func (r *Restaurant) ticketBack[I ticketed, O any](status string) func(context.Context, step.Effect[I, O]) error {
	return r.reset[I, O](r.Tickets, I.ticketID, status)
}

type placed interface{ orderID() string }

type ticketed interface{ ticketID() string }

func (r *Restaurant) set[I any](of map[string]string, id func(I) string, status string) func(context.Context, I) error {
	return func(ctx context.Context, in I) error {
		_, err := r.Do(ctx, func() (string, error) {
			of[id(in)] = status
			return status, nil
		})
		return err
	}
}

func (r *Restaurant) reset[I, O any](of map[string]string, id func(I) string, status string) func(context.Context, step.Effect[I, O]) error {
	return func(ctx context.Context, e step.Effect[I, O]) error {
		return r.Undo(ctx, e.Known, func() error {
			of[id(e.In)] = status
			return nil
		})
	}
}

func (r *Restaurant) verify(ctx context.Context, o Order) error {
	_, err := r.Do(ctx, func() (bool, error) {
		if o.Consumer == "nobody" {
			return false, ErrConsumer
		}
		return true, nil
	})
	return err
}

func (r *Restaurant) createTicket(ctx context.Context, o Order) (Ticket, error) {
	return r.Do(ctx, func() (Ticket, error) {
		t := Ticket{ID: "ticket-of-" + o.ID}
		r.Tickets[t.ID] = "pending"
		return t, nil
	})
}

// cancelTicket does not know the ticket if its reply was lost.
func (r *Restaurant) cancelTicket(ctx context.Context, e step.Effect[Order, Ticket]) error {
	return r.Undo(ctx, e.Known, func() error {
		r.Tickets["ticket-of-"+e.In.ID] = "cancelled"
		return nil
	})
}

// authorize lets a card pay a total, instead of what it paid before.
func (r *Restaurant) authorize(ctx context.Context, card string, total int) error {
	_, err := r.Do(ctx, func() (int, error) {
		if card == "expired" {
			return 0, ErrCard
		}
		r.Cards[card] = total
		return total, nil
	})
	return err
}
