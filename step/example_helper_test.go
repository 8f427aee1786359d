package step_test

import (
	"context"
	"log/slog"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
)

// runExample runs one saga, "example", in memory, and gives what it ends with.
func runExample[I, O any](f flow.Flow[I, O], in I) (O, error) {
	engine := flow.NewEngine(inmem.New(), flow.Options{
		Errors: errcodec.New(errcodec.Sentinel("bank.declined", errDeclined)),
		Logger: slog.New(slog.DiscardHandler),
	})
	engine.Serve(f)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- engine.Run(ctx) }()
	defer func() {
		cancel()
		<-ended
	}()
	future, err := f.Start(ctx, engine, in, flow.ID("example"))
	if err != nil {
		return *new(O), err
	}
	return future.Await(ctx)
}
