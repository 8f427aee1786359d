package flow_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

func ExampleFuture_Await() {
	errDeclined := errors.New("bank: card declined")
	charge := step.New("charge", func(context.Context, string) (string, error) { return "", errDeclined }).Refuses(errDeclined)
	buy := flow.New[string]("buy").Then(charge)

	engine, stop := exampleEngine(flow.Options{Errors: errcodec.New(errcodec.Sentinel("bank.declined", errDeclined))}, buy)
	defer stop()
	future, _ := buy.Start(context.Background(), engine, "Dune", flow.ID("order-42"))

	_, err := future.Await(context.Background())
	failed, _ := errors.AsType[*flow.Error](err)
	fmt.Println(failed.State, failed.Step, errors.Is(err, errDeclined))
	// Output: undone charge true
}

func ExampleError() {
	done := func(context.Context, string) error { return nil }
	undo := func(context.Context, step.Effect[string, string]) error { return nil }
	buy := flow.New[string]("buy").
		Then(step.Do("look", done).ReadOnly()).
		Then(step.Do("reserve", done).Compensate(undo)).
		Then(step.Do("mail", done)). // has an effect and no compensation: it stays
		Then(step.Do("charge", func(context.Context, string) error { return step.Refused(errors.New("bank: declined")) }))

	_, err := runExample(buy, "Dune")
	e, _ := errors.AsType[*flow.Error](err)
	fmt.Println(e.Step, e.Cause)
	fmt.Println("undone:", e.Undone[0].Step)
	fmt.Println("kept:", e.Kept)
	// Output:
	// charge bank: declined
	// undone: reserve
	// kept: [mail]
}

// A caller whose time is over learns that the saga goes on, and under which ID it finds the result.
func ExampleRunningError() {
	approved := flow.NewSignal[string]("approved")
	loan := flow.New[string]("loan").Wait(approved, func(who, by string) string { return who + " by " + by })
	engine, stop := exampleEngine(flow.Options{}, loan)
	defer stop()
	future, _ := loan.Start(context.Background(), engine, "ada", flow.ID("loan-7"))

	impatient, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := future.Await(impatient)
	running, ok := errors.AsType[*flow.RunningError](err)
	fmt.Println(ok, running.SagaID)

	_ = approved.Send(context.Background(), engine, running.SagaID, "Grace")
	fmt.Println(loan.Attach(engine, running.SagaID).Await(context.Background()))
	// Output:
	// true loan-7
	// ada by Grace <nil>
}

func ExampleFuture_Decided() {
	mayRelease := make(chan struct{})
	reserve := step.Do("reserve", func(context.Context, string) error { return nil }).
		Compensate(func(context.Context, step.Effect[string, string]) error { <-mayRelease; return nil })
	charge := step.Do("charge", func(context.Context, string) error { return step.Refused(errors.New("bank: card declined")) })
	buy := flow.New[string]("buy").Then(reserve).Then(charge)

	engine, stop := exampleEngine(flow.Options{}, buy)
	defer stop()
	ctx := context.Background()
	future, _ := buy.Start(ctx, engine, "Dune", flow.ID("order-42"))

	_, err := future.Decided(ctx) // tell the customer at once
	fmt.Println(err)
	close(mayRelease)
	_, err = future.Await(ctx) // everything is undone
	fmt.Println(err)
	// Output:
	// flow: saga "order-42" of "buy" is compensating: step "charge" failed: bank: card declined
	// flow: saga "order-42" of "buy" is undone: step "charge" failed: bank: card declined
}

func ExampleFuture_Done() {
	greet := step.New("greet", func(_ context.Context, name string) (string, error) { return "Hello, " + name, nil })
	welcome := flow.New[string]("welcome").Then(greet)
	engine, stop := exampleEngine(flow.Options{}, welcome)
	defer stop()
	future, _ := welcome.Start(context.Background(), engine, "Ada")

	select {
	case <-future.Done():
		greeting, _, _ := future.Result()
		fmt.Println(greeting)
	case <-future.Failed():
		_, err, _ := future.Result()
		fmt.Println("it failed:", err)
	}
	// Output: Hello, Ada
}

func ExampleFuture_Failed() {
	refuse := step.Do("refuse", func(context.Context, string) error { return step.Refused(errors.New("sold out")) })
	buy := flow.New[string]("buy").Then(refuse)
	engine, stop := exampleEngine(flow.Options{}, buy)
	defer stop()
	future, _ := buy.Start(context.Background(), engine, "Dune", flow.ID("order-42"))

	<-future.Failed()
	_, err, settled := future.Result()
	fmt.Println(err, settled)
	// Output: flow: saga "order-42" of "buy" is undone: step "refuse" failed: sold out true
}

func ExampleFuture_Result() {
	paid := flow.NewSignal[int]("paid")
	bill := flow.New[string]("bill").Wait(paid, func(who string, cents int) string { return fmt.Sprint(who, " paid ", cents) })
	engine, stop := exampleEngine(flow.Options{}, bill)
	defer stop()
	ctx := context.Background()
	future, _ := bill.Start(ctx, engine, "ada", flow.ID("bill-1"))

	_, _, settled := future.Result() // it does not block
	fmt.Println(settled)

	_ = paid.Send(ctx, engine, "bill-1", 1290)
	<-future.Done()
	fmt.Println(future.Result())
	// Output:
	// false
	// ada paid 1290 <nil> true
}

func ExampleFuture_Cancel() {
	paid := flow.NewSignal[int]("paid")
	bill := flow.New[string]("bill").Wait(paid, func(who string, cents int) string { return who })
	engine, stop := exampleEngine(flow.Options{}, bill)
	defer stop()
	ctx := context.Background()
	future, _ := bill.Start(ctx, engine, "ada", flow.ID("bill-1"))

	fmt.Println(future.Cancel(ctx, "the customer moved away"))
	_, err := future.Await(ctx)
	fmt.Println(err)
	fmt.Println(errors.Is(err, flow.ErrCancelled))

	err = future.Cancel(ctx, "again")
	fmt.Println(errors.Is(err, flow.ErrSettled)) // it has ended: nothing is left to cancel
	// Output:
	// <nil>
	// flow: saga "bill-1" of "bill" is undone: flow: the saga was cancelled: the customer moved away
	// true
	// true
}

func ExampleFuture_Progress() {
	shown := make(chan struct{})
	pack := step.Do("pack", func(context.Context, string) error { return nil })
	ship := step.Do("ship", func(context.Context, string) error { <-shown; return nil })
	order := flow.New[string]("order").Then(pack).Then(ship)

	engine, stop := exampleEngine(flow.Options{}, order)
	defer stop()
	future, _ := order.Start(context.Background(), engine, "Dune", flow.ID("order-42"))

	for e := range future.Progress(context.Background()) {
		switch {
		case e.Path == "pack":
			fmt.Println(e.Path, "is", e.Kind)
			close(shown) // ship may go on
		case e.Kind == "settled":
			fmt.Println(e.SagaID, "is", e.State)
		}
	}
	// Output:
	// pack is done
	// order-42 is done
}

func ExampleAll() {
	square := flow.New[int]("square").
		Then(step.New("multiply", func(_ context.Context, n int) (int, error) { return n * n, nil }))
	engine, stop := exampleEngine(flow.Options{}, square)
	defer stop()
	ctx := context.Background()

	var futures []flow.Future[int]
	for n := range 5 {
		future, err := square.Start(ctx, engine, n)
		if err != nil {
			fmt.Println(err)
			return
		}
		futures = append(futures, future)
	}
	fmt.Println(flow.All(ctx, futures...)) // in the order of the futures
	// Output: [0 1 4 9 16] <nil>
}

func ExampleFirst() {
	offer := flow.NewSignal[int]("offer")
	ask := flow.New[string]("ask").Wait(offer, func(shop string, cents int) string { return fmt.Sprint(shop, ": ", cents) })
	engine, stop := exampleEngine(flow.Options{}, ask)
	defer stop()
	ctx := context.Background()
	east, _ := ask.Start(ctx, engine, "east", flow.ID("ask-east"))
	west, _ := ask.Start(ctx, engine, "west", flow.ID("ask-west"))

	_ = offer.Send(ctx, engine, "ask-west", 1290)
	fmt.Println(flow.First(ctx, east, west))
	fmt.Println(east.Cancel(ctx, "west was faster")) // First cancels nobody
	// Output:
	// west: 1290 <nil>
	// <nil>
}

func ExampleFlow_Attach() {
	greet := step.New("greet", func(_ context.Context, name string) (string, error) { return "Hello, " + name, nil })
	welcome := flow.New[string]("welcome").Then(greet)
	engine, stop := exampleEngine(flow.Options{}, welcome)
	defer stop()
	ctx := context.Background()
	_, _ = welcome.Start(ctx, engine, "Ada", flow.ID("welcome-ada"))

	// In another request, or another process: the ID is enough.
	future := welcome.Attach(engine, "welcome-ada")
	fmt.Println(future.Await(ctx))
	// Output: Hello, Ada <nil>
}
