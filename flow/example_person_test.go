package flow_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

func ExampleEngine_Relay() {
	var stockIsUp atomic.Bool
	release := func(_ context.Context, e step.Effect[string, string]) error {
		if !stockIsUp.Load() {
			return step.GiveUp(errors.New("stock: down for maintenance"))
		}
		fmt.Println("released", e.In)
		return nil
	}
	buy := flow.New[string]("buy").
		Then(step.Do("reserve", func(context.Context, string) error { return nil }).Compensate(release)).
		Then(step.Do("charge", func(context.Context, string) error { return step.Refused(errors.New("bank: declined")) }))

	dead := make(chan flow.DeadLetter, 1)
	engine, stop := exampleEngine(flow.Options{OnDeadLetter: func(_ context.Context, d flow.DeadLetter) { dead <- d }}, buy)
	defer stop()
	ctx := context.Background()
	future, _ := buy.Start(ctx, engine, "Dune", flow.ID("order-42"))

	letter := <-dead
	fmt.Println(letter.Err)

	// The cause is repaired: what is open is tried again, and nothing else.
	stockIsUp.Store(true)
	_ = engine.Relay(ctx, letter.SagaID, flow.By{Who: "ada", Why: "stock is up again"})
	_, err := future.Await(ctx)
	fmt.Println(err)
	// Output:
	// flow: saga "order-42" of "buy" is a dead letter: step "charge" failed: bank: declined; the undo of "reserve" failed: stock: down for maintenance
	// released Dune
	// flow: saga "order-42" of "buy" is undone: step "charge" failed: bank: declined
}

func ExampleEngine_Skip() {
	release := func(context.Context, step.Effect[string, string]) error {
		return step.GiveUp(errors.New("stock: no such hold"))
	}
	buy := flow.New[string]("buy").
		Then(step.Do("reserve", func(context.Context, string) error { return nil }).Compensate(release)).
		Then(step.Do("charge", func(context.Context, string) error { return step.Refused(errors.New("bank: declined")) }))

	dead := make(chan flow.DeadLetter, 1)
	engine, stop := exampleEngine(flow.Options{OnDeadLetter: func(_ context.Context, d flow.DeadLetter) { dead <- d }}, buy)
	defer stop()
	ctx := context.Background()
	future, _ := buy.Start(ctx, engine, "Dune", flow.ID("order-42"))
	<-dead

	// Somebody has looked: the hold is gone, so that undo may count as done.
	_ = engine.Skip(ctx, "order-42", "reserve", flow.By{Who: "ada", Why: "released in the stock's own console"})

	_, err := future.Await(ctx)
	undone, _ := errors.AsType[*flow.Error](err)
	fmt.Println(undone.State, undone.Undone[0].Step, undone.Undone[0].ByHand)
	// Output: undone reserve true
}

func ExampleFlow_SettleDone() {
	charge := step.New("charge", func(context.Context, string) (string, error) { return "payment-1", nil }).Pivot()
	ship := step.New("ship", func(context.Context, string) (string, error) {
		return "", step.Permanent(errors.New("post: on strike"))
	})
	order := flow.New[string]("order").Then(charge).Then(ship)

	dead := make(chan flow.DeadLetter, 1)
	engine, stop := exampleEngine(flow.Options{OnDeadLetter: func(_ context.Context, d flow.DeadLetter) { dead <- d }}, order)
	defer stop()
	ctx := context.Background()
	future, _ := order.Start(ctx, engine, "Dune", flow.ID("order-42"))
	fmt.Println((<-dead).Err.Cause)

	// Past the pivot nothing is undone. A person has brought the parcel, and ends the saga with what ship would have given.
	_ = order.SettleDone(ctx, engine, "order-42", "by hand", flow.By{Who: "ada", Why: "brought by bike"})
	fmt.Println(future.Await(ctx))
	// Output:
	// post: on strike
	// by hand <nil>
}

func ExampleEngine_SettleFailed() {
	release := func(context.Context, step.Effect[string, string]) error {
		return step.GiveUp(errors.New("stock: gone"))
	}
	buy := flow.New[string]("buy").
		Then(step.Do("reserve", func(context.Context, string) error { return nil }).Compensate(release)).
		Then(step.Do("charge", func(context.Context, string) error { return step.Refused(errors.New("bank: declined")) }))

	dead := make(chan flow.DeadLetter, 1)
	engine, stop := exampleEngine(flow.Options{OnDeadLetter: func(_ context.Context, d flow.DeadLetter) { dead <- d }}, buy)
	defer stop()
	ctx := context.Background()
	future, _ := buy.Start(ctx, engine, "Dune", flow.ID("order-42"))
	<-dead

	// Nothing more is run: the saga is over. What was said of it is kept.
	_ = engine.SettleFailed(ctx, "order-42", errors.New("written off"), flow.By{Who: "ada", Why: "the stock closed"})
	_, err := future.Await(ctx)
	settled, _ := errors.AsType[*flow.Error](err)
	fmt.Println(settled.State, settled.Cause, settled.Also, settled.Kept)
	// Output: undone bank: declined [written off] [reserve]
}
