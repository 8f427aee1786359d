package flow_test

import (
	"context"
	"fmt"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// An interceptor that prints what every attempt came to.
func ExampleInterceptor() {
	log := func(ctx context.Context, next func(context.Context) error) error {
		err := next(ctx)
		info := step.InfoFrom(ctx)
		fmt.Println(info.Path, info.Attempt, info.Undo, err)
		return err
	}
	order := flow.New[string]("order").
		Then(step.New("reserve", func(_ context.Context, what string) (string, error) { return "hold of " + what, nil }).
			Compensate(func(context.Context, step.Effect[string, string]) error { return nil })).
		Then(step.Do("charge", func(context.Context, string) error { return step.Refused(fmt.Errorf("card declined")) }))
	engine, stop := exampleEngine(flow.Options{Interceptors: []flow.Interceptor{log}}, order)
	defer stop()

	future, err := order.Start(context.Background(), engine, "lamp", flow.ID("order-1"))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = future.Await(context.Background())
	fmt.Println(err)
	// Output:
	// reserve 1 false <nil>
	// charge 1 false card declined
	// reserve 1 true <nil>
	// flow: saga "order-1" of "order" is undone: step "charge" failed: card declined
}
