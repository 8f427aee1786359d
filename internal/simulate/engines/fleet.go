package engines

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
)

// fleet is the engines that run, some of which end while others begin.
type fleet struct {
	broker  broker.Broker
	flows   []flow.Definition
	options flow.Options

	mu      sync.Mutex
	running []*ship
	made    int
	wrong   []string
}

// ship is an engine that runs.
type ship struct {
	engine *flow.Engine
	stop   context.CancelFunc
	ended  chan error
}

// launch lets one more engine run.
func (f *fleet) launch() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made++
	o := f.options
	o.Name = fmt.Sprintf("engine-%d", f.made)
	s := &ship{engine: flow.NewEngine(f.broker, o), ended: make(chan error, 1)}
	s.engine.Serve(f.flows...)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go func() { s.ended <- s.engine.Run(ctx) }()
	f.running = append(f.running, s)
}

// retire ends an engine, after another has taken its place.
func (f *fleet) retire(k int) {
	f.launch()
	f.mu.Lock()
	s := f.running[k]
	f.running = append(f.running[:k:k], f.running[k+1:]...)
	f.mu.Unlock()
	f.end(s)
}

func (f *fleet) end(s *ship) {
	s.stop()
	if err := <-s.ended; err != nil {
		f.mu.Lock()
		f.wrong = append(f.wrong, fmt.Sprintf("Run gave: %v", err))
		f.mu.Unlock()
	}
}

// endAll ends every engine.
func (f *fleet) endAll() {
	f.mu.Lock()
	all := f.running
	f.running = nil
	f.mu.Unlock()
	for _, s := range all {
		f.end(s)
	}
}

// any gives one of the engines that run.
func (f *fleet) any(k int) *flow.Engine {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.running[k%len(f.running)].engine
}

// churn replaces an engine now and then, until ctx ends.
func (f *fleet) churn(ctx context.Context, random *rand.Rand) {
	for wait(ctx, time.Duration(1+random.IntN(4000))*time.Millisecond) {
		f.retire(0)
	}
}

// wait says false if ctx ended meanwhile.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// options are those of all engines.
func (t *town) options(random *rand.Rand) flow.Options {
	return flow.Options{
		Namespace: "sim", Codec: flow.JSON(), Interceptors: []flow.Interceptor{t.intercept}, Logger: slog.New(slog.DiscardHandler),
		Concurrency: 8 + random.IntN(200), Lease: 5 * time.Second, Grace: time.Second, AbandonAfter: time.Second,
		TakeoverLimit: 1000, Retention: time.Hour, DecodeAll: random.IntN(2) == 0,
	}
}
