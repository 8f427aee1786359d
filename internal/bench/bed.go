package main

import (
	"context"
	"time"

	"github.com/skald-go/skald/internal/floor"
	"github.com/skald-go/skald/internal/measure"
	"github.com/skald-go/skald/internal/workload"
)

// bed prepares what is measured, on an empty server.
type bed interface {
	open(ctx context.Context, addr string, callers int, keep time.Duration) (measure.Site, error)
}

// bare is a design of the floor.
type bare floor.Design

func (d bare) open(ctx context.Context, addr string, callers int, keep time.Duration) (measure.Site, error) {
	f, err := floor.Open(ctx, addr, floor.Design(d), floor.Work{Steps: 3, Input: 300, Output: 64, Callers: callers, Keep: keep})
	if err != nil {
		return measure.Site{}, err
	}
	client := measure.Connect(addr)
	return measure.Site{Run: measure.Run{Call: f.Call, Server: client}, Close: func() error {
		f.Close()
		return client.Close()
	}}, nil
}

// local is an engine that starts the sagas that it runs.
type local struct{ saga workload.Saga }

func (l local) open(ctx context.Context, addr string, callers int, keep time.Duration) (measure.Site, error) {
	return measure.Place{Addr: addr, Callers: callers, Keep: keep}.Local(ctx, l.saga)
}

// remote is an engine that starts sagas, and a process that runs them.
type remote struct{ saga workload.Saga }

func (r remote) open(_ context.Context, addr string, callers int, keep time.Duration) (measure.Site, error) {
	return measure.Place{Addr: addr, Callers: callers, Keep: keep, Steps: 1}.Remote(r.saga, workerCommand)
}
