package sagatest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/sagatest"
	"github.com/skald-go/skald/step"
)

func ExampleRecorder() {
	order := flow.New[string]("order").
		Then(step.Do("reserve", func(context.Context, string) error { return nil }).
			Compensate(func(context.Context, step.Effect[string, string]) error { return nil })).
		Then(step.Do("charge", func(context.Context, string) error { return step.Refused(errors.New("card declined")) }))

	var rec sagatest.Recorder
	engine := flow.NewEngine(inmem.New(), flow.Options{
		Interceptors: []flow.Interceptor{rec.Intercept}, Logger: slog.New(slog.DiscardHandler),
	})
	engine.Serve(order)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- engine.Run(ctx) }()
	defer func() {
		cancel()
		<-ended
	}()

	future, err := order.Start(ctx, engine, "lamp", flow.ID("order-1"))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = future.Await(ctx)
	fmt.Println(err)
	fmt.Print(&rec)
	fmt.Println(rec.Ran(), rec.Undid())
	// Output:
	// flow: saga "order-1" of "order" is undone: step "charge" failed: card declined
	// reserve
	// charge: card declined
	// undo reserve
	// [reserve] [reserve]
}
