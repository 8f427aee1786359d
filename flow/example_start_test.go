package flow_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

func ExampleID() {
	greet := step.New("greet", func(_ context.Context, name string) (string, error) { fmt.Println("run"); return "Hello, " + name, nil })
	welcome := flow.New[string]("welcome").Then(greet)
	engine, stop := exampleEngine(flow.Options{}, welcome)
	defer stop()
	ctx := context.Background()

	// A request that comes twice starts one saga.
	first, _ := welcome.Start(ctx, engine, "Ada", flow.ID("request-1"))
	second, _ := welcome.Start(ctx, engine, "Ada", flow.ID("request-1"))
	fmt.Println(first.Await(ctx))
	fmt.Println(second.Await(ctx))

	// The same ID with another input is a mistake.
	_, err := welcome.Start(ctx, engine, "Grace", flow.ID("request-1"))
	fmt.Println(errors.Is(err, flow.ErrConflict))
	// Output:
	// run
	// Hello, Ada <nil>
	// Hello, Ada <nil>
	// true
}

func ExampleWithHeaders() {
	greet := step.New("greet", func(ctx context.Context, name string) (string, error) {
		tenant := step.InfoFrom(ctx).Headers["tenant"]
		return tenant + " greets " + name, nil
	})
	welcome := flow.New[string]("welcome").Then(greet)
	engine, stop := exampleEngine(flow.Options{}, welcome)
	defer stop()

	// Headers reach every step, undo, child and listener.
	future, _ := welcome.Start(context.Background(), engine, "Ada", flow.WithHeaders(flow.Headers{"tenant": "acme"}))

	fmt.Println(future.Await(context.Background()))
	// Output: acme greets Ada <nil>
}
