package flow_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

var (
	double  = flow.Ref[int, int]{Service: "math", Name: "double"}
	doubles = flow.New[int]("double").Map(func(n int) int { return 2 * n })
)

func TestAServiceThatIsDownForAnHourIsOnlyLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, began := inmem.NewNetwork(), time.Now()
		f := flow.New[int]("f").Then(double)
		e := running(t, network.Broker("shop"), flow.Options{}, f)
		future := start(t, f, e, 21)
		time.Sleep(time.Hour)
		require.ErrorContains(t, e.Health(t.Context()), fmt.Sprintf(`service "math" has not answered since %s: saga %q waits at "double"`,
			began.UTC().Format(time.RFC3339), future.ID()))
		running(t, network.Broker("math"), flow.Options{}, doubles)
		require.Equal(t, 42, done(t, future))
		require.Equal(t, time.Hour, time.Since(began))
		require.NoError(t, e.Health(t.Context()))
	})
}

func TestTheTimeoutOfACallSurvivesItsEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := inmem.NewNetwork()
		f := flow.New[int]("f").Then(double.Timeout(time.Hour))
		first := newEngine(network.Broker("shop"), flow.Options{}, f)
		stop := run(first)
		settle()
		future := start(t, f, first, 21)
		settle()
		time.Sleep(30 * time.Minute)
		require.NoError(t, stop())
		began := time.Now()
		second := running(t, network.Broker("shop"), flow.Options{}, f)
		_, err := f.Attach(second, future.ID()).Decided(within(t, 2*time.Hour))
		require.ErrorIs(t, err, flow.ErrNoAnswer)
		require.Less(t, time.Since(began), 31*time.Minute)
		require.ErrorContains(t, second.Health(t.Context()), `service "math" has not answered`)
		running(t, network.Broker("math"), flow.Options{}, doubles)
		_, err = f.Attach(second, future.ID()).Await(within(t, time.Hour))
		require.ErrorIs(t, err, flow.ErrNoAnswer)
		require.NoError(t, second.Health(t.Context()))
	})
}

func TestACallThatWaitsHoldsNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := inmem.NewNetwork()
		f := flow.New[int]("f").Then(double)
		e := newEngine(network.Broker("shop"), flow.Options{Concurrency: 2}, f)
		stop := run(e)
		settle()
		for n := range 100 {
			start(t, f, e, n)
		}
		settle()
		require.Equal(t, 100, stats(t, network.Broker("shop")).Parked, "with room for two at a time")
		require.NoError(t, stop())
	})
}

func TestRefsAreCheckedWhereTheyAreUsed(t *testing.T) {
	for want, make := range map[string]func(){
		`flow: "Ref math:".Plan: it is empty`:               func() { flow.New[int]("f").Then(flow.Ref[int, int]{Service: "math"}) },
		`flow: "Ref :double".Plan: Service "": it is empty`: func() { flow.New[int]("f").Then(flow.Ref[int, int]{Name: "double"}) },
		`flow: "Ref a~b:double".Plan: Service "a~b": it contains '~', which paths are made with`: func() {
			flow.New[int]("f").Then(flow.Ref[int, int]{Service: "a~b", Name: "double"})
		},
		`flow: "Ref math:double".Plan: it contains '/', which paths are made with`: func() { flow.New[int]("f").Then(double.As("a/b")) },
		`flow: "Ref math:double".Timeout: 0s is no time to wait`:                   func() { double.Timeout(0) },
		`flow: "f".Then: two parts have the path "double", a child and a child: give one of them another name with As`: func() {
			flow.New[int]("f").Then(double).Then(double)
		},
	} {
		require.PanicsWithValue(t, want, make)
	}
	require.Panics(t, func() { flow.New[int]("f").Then(flow.Ref[int, chan int]{Service: "math", Name: "double"}) })
}

func TestAReferenceIsSeenInPictures(t *testing.T) {
	f := flow.New[int]("f").Then(double)
	require.Contains(t, f.Mermaid(), `[["math: double"]]`)
	require.Contains(t, f.Mermaid(), "undo: double")
	require.Equal(t, []string{"double"}, f.Steps())
	require.NotEqual(t, f.Fingerprint(), flow.New[int]("f").Then(flow.Ref[int, int]{Service: "maths", Name: "double"}).Fingerprint())
}

// The contract that orders and payments share: a package of its own, that both import.
var Charge = flow.Ref[int, string]{Service: "payments", Name: "charge"}

func ExampleRef() {
	network := inmem.NewNetwork() // in production: a redisx broker in each service, with Options.Service

	// Payments serves the flow with steps of its own.
	take := step.New("take", func(_ context.Context, cents int) (string, error) { return fmt.Sprintf("receipt for %d", cents), nil }).
		Compensate(func(_ context.Context, e step.Effect[int, string]) error {
			fmt.Println("payments pays back", e.In)
			return nil
		})
	payments := flow.NewEngine(network.Broker("payments"), flow.Options{})
	payments.Serve(flow.New[int]("charge").Then(take))

	// Orders uses it like a step. What it did is undone when a later step fails.
	ship := step.New("ship", func(context.Context, string) (string, error) { return "", step.Refused(fmt.Errorf("no van")) }).ReadOnly()
	order := flow.New[int]("order").Then(Charge.Timeout(time.Minute)).Then(ship)
	orders := flow.NewEngine(network.Broker("orders"), flow.Options{})
	orders.Serve(order)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go payments.Run(ctx)
	go orders.Run(ctx)

	future, _ := order.Start(ctx, orders, 250, flow.ID("order-42"))
	_, err := future.Await(ctx)
	fmt.Println(err)
	// Output:
	// payments pays back 250
	// flow: saga "order-42" of "order" is undone: step "ship" failed: no van
}

func ExampleRef_Start() {
	network := inmem.NewNetwork()
	payments := flow.NewEngine(network.Broker("payments"), flow.Options{})
	payments.Serve(flow.New[int]("charge").Map(func(cents int) string { return fmt.Sprintf("receipt for %d", cents) }))
	shop := flow.NewEngine(network.Broker("shop"), flow.Options{})
	shop.Serve(Charge.Flow()) // answers come to engines that serve the reference

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go payments.Run(ctx)
	go shop.Run(ctx)

	future, _ := Charge.Start(ctx, shop, 250, flow.ID("invoice-7"))
	fmt.Println(future.Await(ctx))
	// Output: receipt for 250 <nil>
}
