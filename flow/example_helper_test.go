package flow_test

import (
	"context"
	"log/slog"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
)

// exampleEngine gives an engine that runs sagas of these flows in memory, and a function that ends it.
func exampleEngine(opts flow.Options, flows ...flow.Definition) (*flow.Engine, func()) {
	return exampleEngineOn(inmem.New(), opts, flows...)
}

// exampleEngineOn is exampleEngine on a broker that there is already.
func exampleEngineOn(b broker.Broker, opts flow.Options, flows ...flow.Definition) (*flow.Engine, func()) {
	opts.Logger = slog.New(slog.DiscardHandler)
	engine := flow.NewEngine(b, opts)
	engine.Serve(flows...)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- engine.Run(ctx) }()
	return engine, func() {
		cancel()
		<-ended
	}
}

// runExample runs one saga, "example", in memory, and gives what it ends with.
func runExample[I, O any](f flow.Flow[I, O], in I) (O, error) {
	engine, stop := exampleEngine(flow.Options{}, f)
	defer stop()
	future, err := f.Start(context.Background(), engine, in, flow.ID("example"))
	if err != nil {
		return *new(O), err
	}
	return future.Await(context.Background())
}
