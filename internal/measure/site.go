package measure

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/internal/workload"
	"github.com/skald-go/skald/redisx"
)

// Place is where sagas are kept while they are measured, and how.
type Place struct {
	Addr    string         // of the Redis server; "": in memory
	Broker  redisx.Options // on Redis
	Keep    time.Duration  // how long results are kept
	Callers int            // how many sagas run at once, at most
	Steps   int            // of the sized flows, for a worker process
}

// Site is a place that is ready to run sagas.
type Site struct {
	Run
	Engine *flow.Engine // that sagas are started on
	Broker broker.Broker
	Close  func() error
}

// Local prepares an engine that starts the sagas that it runs.
func (p Place) Local(ctx context.Context, saga workload.Saga) (Site, error) {
	b, server, closeBroker := p.open()
	e, err := RunEngine(ctx, b, p.options(), saga.Flow)
	if err != nil {
		return Site{}, errors.Join(err, closeBroker())
	}
	run := Run{Call: func(ctx context.Context) error { return saga.Call(ctx, e.Engine) }, Server: server}
	return Site{Run: run, Engine: e.Engine, Broker: b, Close: func() error { return errors.Join(e.Stop(), closeBroker()) }}, nil
}

// Remote prepares an engine that only starts sagas, and a process that runs them: this program, called with args so that it calls
// ServeWorker. The place must be on Redis.
func (p Place) Remote(saga workload.Saga, args ...string) (Site, error) {
	worker, err := StartWorker(p, args...)
	if err != nil {
		return Site{}, err
	}
	site := p.Starter(saga)
	site.Worker = worker
	closeStarter := site.Close
	site.Close = func() error { return errors.Join(closeStarter(), worker.Stop()) }
	return site, nil
}

// Starter prepares an engine that only starts sagas.
func (p Place) Starter(saga workload.Saga) Site {
	b, server, closeBroker := p.open()
	e := flow.NewEngine(b, p.options())
	run := Run{Call: func(ctx context.Context) error { return saga.Call(ctx, e) }, Server: server}
	return Site{Run: run, Engine: e, Broker: b, Close: closeBroker}
}

func (p Place) open() (b broker.Broker, server redis.UniversalClient, close func() error) {
	if p.Addr == "" {
		b := inmem.New()
		return b, nil, b.Close
	}
	client := Connect(p.Addr)
	opts := p.Broker
	opts.ReadBack = min(time.Second, p.Keep/5) // a result whose push was lost must be read while it is kept
	opts.Logger = discard
	onRedis := redisx.New(client, opts)
	return onRedis, client, func() error { return errors.Join(onRedis.Close(), client.Close()) }
}

func (p Place) options() flow.Options {
	opts := workload.Options()
	opts.Retention = p.Keep
	opts.Logger = discard
	opts.Concurrency = max(1024, p.Callers)
	opts.Grace = time.Second // no step takes that long
	return opts
}
