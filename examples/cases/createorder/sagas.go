package createorder

import (
	"context"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// Order is what a consumer orders.
type Order struct {
	ID, Consumer, Card string
	Total              int
}

// Ticket is the kitchen's side of an order.
type Ticket struct{ ID string }

// Accepted is an order with its ticket.
type Accepted struct {
	Order  Order
	Ticket Ticket
}

// Revision asks for another total.
type Revision struct {
	Of      Accepted
	Percent int
}

// Revised is a revision with the total that the order service made of it.
type Revised struct {
	Of    Accepted
	Total int
}

func (o Order) orderID() string     { return o.ID }
func (a Accepted) orderID() string  { return a.Order.ID }
func (a Accepted) ticketID() string { return a.Ticket.ID }
func (r Revision) orderID() string  { return r.Of.Order.ID }
func (r Revised) ticketID() string  { return r.Of.Ticket.ID }

func accept(o Order, t Ticket) Accepted { return Accepted{o, t} }

// Create creates an order. Its ticket's ID is in the reply of the kitchen.
func (r *Restaurant) Create() flow.Flow[Order, Accepted] {
	return flow.New[Order]("create-order").
		Then(step.Do("create-order", r.order[Order]("pending")).Compensate(r.orderBack[Order, Order]("rejected"))).
		Then(step.Do("verify-consumer", r.verify).Refuses(ErrConsumer).ReadOnly()).
		Also(step.New("create-ticket", r.createTicket).Compensate(r.cancelTicket), accept).
		Then(step.Do("authorize-card", func(ctx context.Context, a Accepted) error {
			return r.authorize(ctx, a.Order.Card, a.Order.Total)
		}).Refuses(ErrCard).Pivot().Retry(r.UntilDone)).
		Then(step.Do("confirm-ticket", r.ticket[Accepted]("confirmed")).Retry(r.UntilDone)).
		Then(step.Do("approve-order", r.order[Accepted]("approved")).Retry(r.UntilDone))
}

// Cancel cancels an order, unless the kitchen has begun.
func (r *Restaurant) Cancel() flow.Flow[Accepted, Accepted] {
	return flow.New[Accepted]("cancel-order").
		Then(step.Do("begin-cancel-order", r.order[Accepted]("cancelling")).Compensate(r.orderBack[Accepted, Accepted]("approved"))).
		Then(step.Do("begin-cancel-ticket", r.ticket[Accepted]("cancelling")).Compensate(r.ticketBack[Accepted, Accepted]("confirmed")).Refuses(ErrCooking)).
		Then(step.Do("reverse-card", func(ctx context.Context, a Accepted) error {
			return r.authorize(ctx, a.Order.Card, 0)
		}).Pivot().Retry(r.UntilDone)).
		Then(step.Do("confirm-cancel-ticket", r.ticket[Accepted]("cancelled")).Retry(r.UntilDone)).
		Then(step.Do("confirm-cancel-order", r.order[Accepted]("cancelled")).Retry(r.UntilDone))
}

// Revise changes an order's total to what the order service says.
func (r *Restaurant) Revise() flow.Flow[Revision, Revised] {
	begin := func(ctx context.Context, v Revision) (int, error) {
		return r.Do(ctx, func() (int, error) {
			r.Orders[v.orderID()] = "revising"
			return v.Of.Order.Total * v.Percent / 100, nil
		})
	}
	confirm := func(ctx context.Context, v Revised) error {
		_, err := r.Do(ctx, func() (int, error) {
			r.Orders[v.Of.Order.ID], r.Totals[v.Of.Order.ID] = "approved", v.Total
			return v.Total, nil
		})
		return err
	}
	return flow.New[Revision]("revise-order").
		Also(step.New("begin-revise-order", begin).Compensate(r.orderBack[Revision, int]("approved")),
			func(v Revision, total int) Revised { return Revised{v.Of, total} }).
		Then(step.Do("begin-revise-ticket", r.ticket[Revised]("revising")).Compensate(r.ticketBack[Revised, Revised]("confirmed")).Refuses(ErrCooking)).
		Then(step.Do("revise-card", func(ctx context.Context, v Revised) error {
			return r.authorize(ctx, v.Of.Order.Card, v.Total)
		}).Refuses(ErrCard).Pivot().Retry(r.UntilDone)).
		Then(step.Do("confirm-revise-ticket", r.ticket[Revised]("confirmed")).Retry(r.UntilDone)).
		Then(step.Do("confirm-revise-order", confirm).Retry(r.UntilDone))
}
