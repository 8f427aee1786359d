package main

import (
	"context"
	"errors"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/floor"
	"github.com/skald-go/skald/internal/measure"
	"github.com/skald-go/skald/internal/workload"
	"github.com/skald-go/skald/redisx"
)

// bed prepares what is measured, on an empty server.
type bed interface {
	open(ctx context.Context, addr string, callers int, keep time.Duration) (site, error)
}

// site is what a bed has prepared.
type site struct {
	measure.Run
	broker broker.Broker // of those that run engines
	close  func() error
}

// bare is a design of the floor.
type bare floor.Design

func (d bare) open(ctx context.Context, addr string, callers int, keep time.Duration) (site, error) {
	f, err := floor.Open(ctx, addr, floor.Design(d), floor.Work{Steps: 3, Input: 300, Output: 64, Callers: callers, Keep: keep})
	if err != nil {
		return site{}, err
	}
	client := measure.Connect(addr)
	return site{Run: measure.Run{Call: f.Call, Server: client}, close: func() error {
		f.Close()
		return client.Close()
	}}, nil
}

// local is an engine that starts the sagas that it runs.
type local struct{ saga workload.Saga }

func (l local) open(ctx context.Context, addr string, _ int, keep time.Duration) (site, error) {
	client := measure.Connect(addr)
	b := redisx.New(client, redisx.Options{})
	e, err := measure.RunEngine(ctx, b, measure.EngineOptions(keep), l.saga.Flow)
	if err != nil {
		return site{}, errors.Join(err, b.Close(), client.Close())
	}
	call := func(ctx context.Context) error { return l.saga.Call(ctx, e.Engine) }
	return site{Run: measure.Run{Call: call, Server: client}, broker: b, close: func() error {
		return errors.Join(e.Stop(), b.Close(), client.Close())
	}}, nil
}

// remote is an engine that starts sagas, and a process that runs them.
type remote struct{ saga workload.Saga }

func (r remote) open(_ context.Context, addr string, _ int, keep time.Duration) (site, error) {
	worker, err := measure.StartWorker(measure.Job{Addr: addr, Keep: keep, Steps: 1}, workerCommand)
	if err != nil {
		return site{}, err
	}
	client := measure.Connect(addr)
	b := redisx.New(client, redisx.Options{})
	e := flow.NewEngine(b, measure.EngineOptions(keep))
	call := func(ctx context.Context) error { return r.saga.Call(ctx, e) }
	return site{Run: measure.Run{Call: call, Server: client, Worker: worker}, broker: b, close: func() error {
		return errors.Join(b.Close(), client.Close(), worker.Stop())
	}}, nil
}
