package flow_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

// The errors of the steps in the tests of engines.
var (
	errDeclined = errors.New("bank: declined")
	errBroken   = errors.New("stock: out of order")
	errKit      = errcodec.New(errcodec.Sentinel("declined", errDeclined), errcodec.Sentinel("broken", errBroken))
)

// fakeBroker is a broker in memory whose workers can be killed by name.
type fakeBroker struct {
	*inmem.Broker
	mu      sync.Mutex
	workers map[string]broker.Worker
	subs    map[string]broker.Subscriber
}

func newBroker(opts ...inmem.Option) *fakeBroker {
	return &fakeBroker{Broker: inmem.New(opts...), workers: map[string]broker.Worker{}, subs: map[string]broker.Subscriber{}}
}

func (b *fakeBroker) Subscribe(ctx context.Context, s broker.Subscription) (broker.Subscriber, error) {
	sub, err := b.Broker.Subscribe(ctx, s)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subs[s.Name] = sub
	return sub, err
}

// killSubscriber is kill for who listens to events.
func (b *fakeBroker) killSubscriber(name string) {
	b.mu.Lock()
	sub := b.subs[name]
	b.mu.Unlock()
	b.Broker.KillSubscriber(sub)
}

func (b *fakeBroker) Join(ctx context.Context, m broker.Member) (broker.Worker, error) {
	w, err := b.Broker.Join(ctx, m)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.workers[m.Name] = w
	return w, err
}

// kill lets the process of the worker that joined last under that name die, as far as the broker can see.
func (b *fakeBroker) kill(name string) {
	b.mu.Lock()
	w := b.workers[name]
	b.mu.Unlock()
	b.Broker.Kill(w)
}

// stats counts the sagas in the broker.
func stats(t *testing.T, b broker.Broker) broker.Stats {
	t.Helper()
	s, err := b.Stats(context.Background())
	require.NoError(t, err)
	return s
}

// stateOf is where the broker has a saga.
func stateOf(t *testing.T, b broker.Broker, id string) broker.State {
	t.Helper()
	s, err := b.Lookup(context.Background(), id, false)
	require.NoError(t, err)
	return s.State
}

func newEngine(b broker.Broker, o flow.Options, flows ...flow.Definition) *flow.Engine {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Errors == nil {
		o.Errors = errKit
	}
	e := flow.NewEngine(b, o)
	e.Serve(flows...)
	return e
}

// running gives an engine that runs until the test ends.
func running(t *testing.T, b broker.Broker, o flow.Options, flows ...flow.Definition) *flow.Engine {
	t.Helper()
	e := newEngine(b, o, flows...)
	stop := run(e)
	t.Cleanup(func() { assert.NoError(t, stop()) })
	settle()
	return e
}

// run runs e until stop is called, which gives what Run gives.
func run(e *flow.Engine) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	return sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
}

// settle lets everything in the bubble get as far as it can without time going by.
func settle() { synctest.Wait() }

// within gives a context for calls that are to end in that time.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func start[I, O any](t *testing.T, f flow.Flow[I, O], e *flow.Engine, in I, opts ...flow.StartOption) flow.Future[O] {
	t.Helper()
	future, err := f.Start(within(t, time.Hour), e, in, opts...)
	require.NoError(t, err)
	return future
}

// await gives the result of a saga that ends within a month.
func await[T any](t *testing.T, f flow.Future[T]) (T, error) {
	t.Helper()
	out, err := f.Await(within(t, 30*24*time.Hour))
	_, open := err.(*flow.RunningError)
	require.False(t, open, "%v", err)
	return out, err
}

func done[T any](t *testing.T, f flow.Future[T]) T {
	t.Helper()
	out, err := await(t, f)
	require.NoError(t, err)
	return out
}

func failed[T any](t *testing.T, f flow.Future[T]) *flow.Error {
	t.Helper()
	_, err := await(t, f)
	failure, ok := errors.AsType[*flow.Error](err)
	require.True(t, ok, "%v", err)
	return failure
}

// adds is a step that adds n.
func adds(name string, n int) step.Step[int, int] {
	return step.New(name, func(_ context.Context, in int) (int, error) { return in + n, nil })
}

// fails is a step that answers err.
func fails(name string, err error) step.Step[int, int] {
	return step.New(name, func(context.Context, int) (int, error) { return 0, err })
}

// gate holds up those who come to it until it is opened.
type gate struct {
	came atomic.Int64
	wide chan struct{}
}

func newGate() *gate { return &gate{wide: make(chan struct{})} }

func (g *gate) open() { close(g.wide) }

// pass waits for the gate or the end of ctx.
func (g *gate) pass(ctx context.Context) error {
	g.came.Add(1)
	select {
	case <-g.wide:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// at is a step that passes the gate and adds one.
func (g *gate) at(name string) step.Step[int, int] {
	return step.New(name, func(ctx context.Context, in int) (int, error) { return in + 1, g.pass(ctx) }).Timeout(time.Hour)
}

// logs collects what an engine logs.
type logs struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.String()
}

func (l *logs) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
