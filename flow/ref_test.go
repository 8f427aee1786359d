package flow_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
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
