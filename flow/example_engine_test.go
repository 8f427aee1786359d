package flow_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

func ExampleEngine_List() {
	paid := flow.NewSignal[int]("paid")
	bill := flow.New[string]("bill").Wait(paid, func(who string, cents int) string { return who })
	engine, stop := exampleEngine(flow.Options{}, bill)
	defer stop()
	ctx := context.Background()
	_, _ = bill.Start(ctx, engine, "ada", flow.ID("bill-1"))
	_, _ = bill.Start(ctx, engine, "grace", flow.ID("bill-2"))
	_ = paid.Send(ctx, engine, "bill-1", 1290)
	_, _ = bill.Attach(engine, "bill-1").Await(ctx)

	for saga, err := range engine.List(ctx, flow.Filter{Flow: "bill", State: flow.StateRunning}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(saga.SagaID, saga.State)
	}
	// Output: bill-2 running
}

func ExampleEngine_Snapshot() {
	looked := make(chan struct{})
	pack := step.Do("pack", func(context.Context, string) error { return nil })
	ship := step.Do("ship", func(context.Context, string) error { <-looked; return nil })
	order := flow.New[string]("order").Then(pack).Then(ship)
	engine, stop := exampleEngine(flow.Options{}, order)
	defer stop()
	ctx := context.Background()
	future, _ := order.Start(ctx, engine, "Dune", flow.ID("order-42"))
	<-future.Progress(ctx) // pack is done

	saga, err := engine.Snapshot(ctx, "order-42")
	fmt.Println(saga.Flow, saga.State, err)
	for _, s := range saga.Steps {
		fmt.Println(s.Path, s.State)
	}
	close(looked)
	_, _ = future.Await(ctx)
	// Output:
	// order running <nil>
	// pack done
	// ship open
}

func ExampleEngine_Health() {
	broker := inmem.New()
	engine := flow.NewEngine(broker, flow.Options{})
	fmt.Println(engine.Health(context.Background()))

	_ = broker.Close()
	fmt.Println(engine.Health(context.Background()))
	// Output:
	// <nil>
	// flow: asking the broker: inmem: count sagas: broker is closed
}

func ExampleOptions() {
	alerts := make(chan flow.Alert, 1)
	engine := flow.NewEngine(inmem.New(), flow.Options{
		Logger:       slog.New(slog.DiscardHandler),
		SlowAfter:    time.Millisecond,
		OnAlert:      func(_ context.Context, a flow.Alert) { alerts <- a },
		OnDeadLetter: func(_ context.Context, d flow.DeadLetter) { fmt.Println("needs a person:", d.Err) },
	})
	done := make(chan struct{})
	slow := flow.New[string]("slow").Then(step.Do("nap", func(context.Context, string) error { <-done; return nil }))
	engine.Serve(slow)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go engine.Run(ctx)

	future, _ := slow.Start(ctx, engine, "", flow.ID("nap-1"))
	alert := <-alerts // the saga goes on
	fmt.Println(alert.Kind, alert.SagaID)
	close(done)
	_, err := future.Await(ctx)
	fmt.Println(err)
	// Output:
	// slow nap-1
	// <nil>
}

func ExampleEngine_Run() {
	greet := step.New("greet", func(_ context.Context, name string) (string, error) { return "Hello, " + name, nil })
	welcome := flow.New[string]("welcome").Then(greet)
	broker := inmem.New()

	// An engine that is not run starts sagas. One that runs, here or in another process, does the work.
	front := flow.NewEngine(broker, flow.Options{Name: "front"})
	future, _ := welcome.Start(context.Background(), front, "Ada")

	worker := flow.NewEngine(broker, flow.Options{Name: "worker"})
	worker.Serve(welcome)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- worker.Run(ctx) }()

	fmt.Println(future.Await(context.Background()))
	cancel()             // as at SIGTERM: running attempts end, everything else is given back
	fmt.Println(<-ended) // Run has cleaned up
	// Output:
	// Hello, Ada <nil>
	// <nil>
}

func ExampleEngine_Serve() {
	defer func() { fmt.Println(recover()) }()
	pack := step.Do("pack", func(context.Context, string) error { return errors.New("no box") })
	engine := flow.NewEngine(inmem.New(), flow.Options{})

	engine.Serve(flow.New[string]("order").Then(pack), flow.New[string]("order").Then(pack.As("wrap")))
	// Output: flow: Serve: two definitions of "order" in version 1: give one another name or Version
}
