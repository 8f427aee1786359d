package flow_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

// The contract that orders and payments share: a package of its own, that both import.
var Charge = flow.Ref[int, string]{Service: "payments", Name: "charge"}

func ExampleRef() {
	network := inmem.NewNetwork() // in production: a redisx broker in each service, with Options.Service

	// Payments serves the flow with steps of its own.
	take := step.New("take", func(_ context.Context, cents int) (string, error) { return fmt.Sprintf("receipt for %d", cents), nil }).
		Compensate(func(_ context.Context, e step.Effect[int, string]) error {
			fmt.Println("payments pays back", e.In)
			return nil
		})
	payments := flow.NewEngine(network.Broker("payments"), flow.Options{})
	payments.Serve(flow.New[int]("charge").Then(take))

	// Orders uses it like a step. What it did is undone when a later step fails.
	ship := step.New("ship", func(context.Context, string) (string, error) { return "", step.Refused(fmt.Errorf("no van")) }).ReadOnly()
	order := flow.New[int]("order").Then(Charge.Timeout(time.Minute)).Then(ship)
	orders := flow.NewEngine(network.Broker("orders"), flow.Options{})
	orders.Serve(order)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go payments.Run(ctx)
	go orders.Run(ctx)

	future, _ := order.Start(ctx, orders, 250, flow.ID("order-42"))
	_, err := future.Await(ctx)
	fmt.Println(err)
	// Output:
	// payments pays back 250
	// flow: saga "order-42" of "order" is undone: step "ship" failed: no van
}

// services runs an engine of payments and one of shop, which serves flows that call payments, for the examples.
func services(flows ...flow.Definition) (shop *flow.Engine, stop func()) {
	network := inmem.NewNetwork()
	payments := flow.NewEngine(network.Broker("payments"), flow.Options{})
	payments.Serve(flow.New[int]("charge").Map(func(cents int) string { return fmt.Sprintf("receipt for %d", cents) }))
	shop = flow.NewEngine(network.Broker("shop"), flow.Options{})
	shop.Serve(flows...)
	ctx, stop := context.WithCancel(context.Background())
	go payments.Run(ctx)
	go shop.Run(ctx)
	return shop, stop
}

func ExampleRef_Start() {
	shop, stop := services(Charge.Flow()) // answers come to engines that serve the reference
	defer stop()
	ctx := context.Background()
	future, _ := Charge.Start(ctx, shop, 250, flow.ID("invoice-7"))
	fmt.Println(future.Await(ctx))
	// Output: receipt for 250 <nil>
}

func ExampleRef_Flow() {
	f := Charge.Flow()
	fmt.Println(f.Name(), f.Steps())
	// Output: payments:charge [charge]
}

func ExampleRef_Attach() {
	shop, stop := services(Charge.Flow())
	defer stop()
	ctx := context.Background()
	_, _ = Charge.Start(ctx, shop, 250, flow.ID("invoice-7"))
	fmt.Println(Charge.Attach(shop, "invoice-7").Await(ctx)) // in any process of the service
	// Output: receipt for 250 <nil>
}

func ExampleRef_As() {
	first := func(both int) int { return both / 2 }
	join := func(_ int, receipt string) string { return receipt }
	halves := flow.New[int]("halves").Use(Charge, first, join).
		Use(Charge.As("charge-rest"), func(string) int { return 125 }, func(a, b string) string { return a + ", " + b })
	shop, stop := services(halves)
	defer stop()
	ctx := context.Background()
	future, _ := halves.Start(ctx, shop, 250)
	fmt.Println(future.Await(ctx))
	// Output: receipt for 125, receipt for 125 <nil>
}

func ExampleRef_Timeout() {
	nobody := flow.Ref[int, string]{Service: "stock", Name: "reserve"}
	order := flow.New[int]("order").Then(nobody.Timeout(10 * time.Millisecond))
	shop, stop := services(order)
	defer stop()
	ctx := context.Background()
	future, _ := order.Start(ctx, shop, 250)
	_, err := future.Decided(ctx) // the saga ends when stock has been asked to undo whatever it may have begun
	fmt.Println(errors.Is(err, flow.ErrNoAnswer))
	// Output: true
}
