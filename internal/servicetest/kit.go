// Package servicetest is the suite of what holds when services call each other with flow.Ref, for every broker that can connect them. It is for
// the tests of this module.
package servicetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// Net gives the broker of a service. All brokers of one Net reach each other; another one for the same service is another process of it.
type Net func(t *testing.T, service string) broker.Broker

// Run runs the suite. open makes a net for one test, and apart runs a test by itself: in a bubble of package synctest, for brokers in memory.
func Run(t *testing.T, open func(t *testing.T) Net, apart func(t *testing.T, test func(t *testing.T))) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			apart(t, func(t *testing.T) { c.test(t, &kit{t: t, net: open(t)}) })
		})
	}
}

var cases = slices.Concat(calls, undos, mistakes, outages, views)

type testCase struct {
	name string
	test func(*testing.T, *kit)
}

// What the services of the tests have in common.
var (
	errDeclined = errors.New("bank: declined")
	errStock    = errors.New("stock: sold out")
	codec       = errcodec.New(errcodec.Sentinel("bank.declined", errDeclined), errcodec.Sentinel("stock.out", errStock))

	charge = flow.Ref[Order, Payment]{Service: "payments", Name: "charge"}
	pack   = step.New("pack", func(_ context.Context, p Payment) (string, error) { return "packed " + p.ID, nil }).ReadOnly()
)

// Order and Payment are what orders and payments agree on.
type (
	Order struct {
		Customer string
		Cents    int
	}
	Payment struct {
		ID    string
		Cents int
	}
)

var order = Order{Customer: "ada", Cents: 250}

// kit is what a test is made with.
type kit struct {
	t     *testing.T
	net   Net
	looks map[string]broker.Broker // for those who look at a service
}

// engine makes an engine of a service that is not run.
func (k *kit) engine(service string, o flow.Options, flows ...flow.Definition) *flow.Engine {
	return k.on(k.net(k.t, service), o, flows...)
}

func (k *kit) on(b broker.Broker, o flow.Options, flows ...flow.Definition) *flow.Engine {
	if o.Errors == nil {
		o.Errors = codec
	}
	o.Logger = slog.New(slog.DiscardHandler)
	if o.Lease == 0 {
		o.Lease = 3 * time.Second
	}
	o.DecodeAll = true
	e := flow.NewEngine(b, o)
	e.Serve(flows...)
	return e
}

// running makes an engine that runs until the test ends, or until stop is called.
func (k *kit) running(service string, flows ...flow.Definition) (e *flow.Engine, stop func()) {
	return k.run(k.engine(service, flow.Options{}, flows...))
}

func (k *kit) run(e *flow.Engine) (*flow.Engine, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		assert.NoError(k.t, <-ended)
	})
	k.t.Cleanup(stop)
	return e, stop
}

// patience is how long anything may take, on a machine that has other work.
const patience = 40 * time.Second

func (k *kit) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	k.t.Cleanup(cancel)
	return ctx
}

// eventually waits until holds does.
func (k *kit) eventually(holds func() bool, what string) {
	k.t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		require.True(k.t, time.Now().Before(end), "%s did not happen", what)
	}
}

// start starts the saga "o1".
func start[I, O any](k *kit, e *flow.Engine, f flow.Flow[I, O], in I) flow.Future[O] {
	k.t.Helper()
	future, err := f.Start(k.ctx(), e, in, flow.ID("o1"))
	require.NoError(k.t, err)
	return future
}

func done[O any](k *kit, f flow.Future[O]) O {
	k.t.Helper()
	out, err := f.Await(k.ctx())
	require.NoError(k.t, err)
	return out
}

// fails waits for the end of a saga that fails, and gives its error.
func fails[O any](k *kit, f flow.Future[O]) *flow.Error {
	k.t.Helper()
	_, err := f.Await(k.ctx())
	var failed *flow.Error
	require.ErrorAs(k.t, err, &failed)
	return failed
}

// states waits until the sagas of a service are in these states, by their IDs.
func (k *kit) states(e *flow.Engine, want map[string]flow.State) {
	k.t.Helper()
	var got map[string]flow.State
	same := func() bool {
		got = map[string]flow.State{}
		for s, err := range e.List(k.ctx(), flow.Filter{}) {
			require.NoError(k.t, err)
			got[s.SagaID] = s.State
		}
		return assert.ObjectsAreEqual(want, got)
	}
	end := time.Now().Add(patience)
	for !same() {
		require.True(k.t, time.Now().Before(end), "sagas are %v, not %v", got, want)
		time.Sleep(20 * time.Millisecond)
	}
}

// stats gives the counts of a service's sagas.
func (k *kit) stats(service string) broker.Stats {
	k.t.Helper()
	if k.looks == nil {
		k.looks = make(map[string]broker.Broker)
	}
	if k.looks[service] == nil {
		k.looks[service] = k.net(k.t, service)
	}
	s, err := k.looks[service].Stats(k.ctx())
	require.NoError(k.t, err)
	return s
}

// released waits until no saga of a service is held any more.
func (k *kit) released(service string) {
	k.t.Helper()
	k.eventually(func() bool { return k.stats(service).Held == 0 }, service+" letting go of its sagas")
}

// ledger notes effects.
type ledger struct {
	mu    sync.Mutex
	lines []string
}

func (l *ledger) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *ledger) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// charging is the flow "charge" of payments, with its effects in a ledger.
func charging(l *ledger) flow.Flow[Order, Payment] {
	return flow.New[Order]("charge").Then(debit(l))
}

func debit(l *ledger) step.Step[Order, Payment] {
	return step.New("debit", func(ctx context.Context, o Order) (Payment, error) {
		if o.Cents > 1000 {
			return Payment{}, step.Refused(fmt.Errorf("%d cents of %s: %w", o.Cents, o.Customer, errDeclined))
		}
		l.note("debit %d", o.Cents)
		return Payment{ID: "p-" + o.Customer, Cents: o.Cents}, nil
	}).Compensate(func(_ context.Context, e step.Effect[Order, Payment]) error {
		l.note("credit %d", e.In.Cents)
		return nil
	})
}

// ordering is a flow of orders that calls payments, and then packs.
func ordering(call flow.Part[Order, Payment], after flow.Part[Payment, string]) flow.Flow[Order, string] {
	return flow.New[Order]("order").Then(call).Then(after)
}

// soldOut is a step that refuses.
var soldOut = step.New("pack", func(context.Context, Payment) (string, error) { return "", step.Refused(errStock) }).ReadOnly()
