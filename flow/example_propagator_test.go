package flow_test

import (
	"context"
	"fmt"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

type userKey struct{}

// userPropagator carries the user of a request into every step and undo of the sagas that the request starts.
type userPropagator struct{}

func (userPropagator) Inject(ctx context.Context, h flow.Headers) {
	if user, ok := ctx.Value(userKey{}).(string); ok {
		h.Set("user", user)
	}
}

func (userPropagator) Extract(ctx context.Context, h flow.Headers) context.Context {
	return context.WithValue(ctx, userKey{}, h.Get("user"))
}

func audit(ctx context.Context, action string) (string, error) {
	return fmt.Sprintf("%v did %s", ctx.Value(userKey{}), action), nil
}

func ExamplePropagator() {
	record := flow.New[string]("record").Then(step.New("audit", audit))
	engine := flow.NewEngine(inmem.New(), flow.Options{Propagators: []flow.Propagator{userPropagator{}}})
	engine.Serve(record)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go engine.Run(ctx)

	request := context.WithValue(ctx, userKey{}, "ada")
	future, err := record.Start(request, engine, "a transfer")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(future.Await(ctx))
	// Output: ada did a transfer <nil>
}
