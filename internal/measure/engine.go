package measure

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
)

// Engine is an engine that runs until Stop.
type Engine struct {
	*flow.Engine
	cancel context.CancelFunc
	ended  chan error
}

// discard is where engines log: what goes wrong comes back as an error.
var discard = slog.New(slog.DiscardHandler)

// RunEngine makes an engine run sagas, and returns when the broker has it as a worker: from then on it owns what it starts.
func RunEngine(ctx context.Context, b broker.Broker, opts flow.Options, flows ...flow.Definition) (*Engine, error) {
	e := &Engine{Engine: flow.NewEngine(b, opts), ended: make(chan error, 1)}
	e.Serve(flows...)
	before, err := b.Stats(ctx)
	if err != nil {
		return nil, fmt.Errorf("measure: run an engine: %w", err)
	}
	var run context.Context
	run, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go func() { e.ended <- e.Run(run) }()
	if err := e.joined(ctx, b, before.Workers); err != nil {
		return nil, errors.Join(fmt.Errorf("measure: run an engine: %w", err), e.Stop())
	}
	return e, nil
}

// joined waits until there are more workers than before.
func (e *Engine) joined(ctx context.Context, b broker.Broker, before int) error {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for {
		stats, err := b.Stats(ctx)
		if err != nil || stats.Workers > before {
			return err
		}
		select {
		case <-look.C:
		case err := <-e.ended:
			e.ended <- err
			return errors.Join(errors.New("it ended before it had joined"), err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Stop ends the engine and waits until it has.
func (e *Engine) Stop() error {
	e.cancel()
	err := <-e.ended
	e.ended <- err
	return err
}
