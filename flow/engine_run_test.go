package flow_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

func TestRunRefuses(t *testing.T) {
	plus := flow.New[int]("plus").Then(adds("one", 1))
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		require.EqualError(t, newEngine(newBroker(), flow.Options{}).Run(ctx),
			"flow: Run: the engine serves no flows and listens to nothing: call Serve or Topic.On before")
		require.ErrorIs(t, new(flow.Engine).Run(ctx), flow.ErrZero)
		e := running(t, newBroker(), flow.Options{}, plus)
		require.EqualError(t, e.Run(ctx), "flow: Run was called before: an engine runs once")
		cancel()
		require.NoError(t, newEngine(newBroker(), flow.Options{}, plus).Run(ctx), "a context that has ended is no mistake")
	})
}

func TestAnEngineThatServesNothingYetMayBeServedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plus := flow.New[int]("plus").Then(adds("one", 1))
		e := newEngine(newBroker(), flow.Options{})
		require.Error(t, e.Run(t.Context()))
		e.Serve(plus)
		stop := run(e)
		require.Equal(t, 2, done(t, start(t, plus, e, 1)))
		require.NoError(t, stop())
	})
}

func TestServePanics(t *testing.T) {
	one := flow.New[int]("f").Then(adds("one", 1))
	for name, tt := range map[string]struct {
		serve func(*flow.Engine)
		want  string
	}{
		"nil":           {func(e *flow.Engine) { e.Serve(nil) }, "flow: Serve(nil)"},
		"zero":          {func(e *flow.Engine) { e.Serve(flow.Flow[int, int]{}) }, "flow: Serve: flow: a zero flow.Flow[int,int] was used: make it with flow.New"},
		"another shape": {func(e *flow.Engine) { e.Serve(one, flow.New[int]("f").Then(adds("two", 2))) }, `flow: Serve: two definitions of "f" in version 1: give one another name or Version`},
		"zero engine":   {func(*flow.Engine) { new(flow.Engine).Serve(one) }, "flow: Serve on an Engine that NewEngine did not make"},
		"after Run": {func(e *flow.Engine) {
			e.Serve(one)
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_ = e.Run(ctx)
			e.Serve(one)
		}, "flow: Serve after Run: say what an engine serves before it runs"},
	} {
		t.Run(name, func(t *testing.T) {
			require.PanicsWithValue(t, tt.want, func() { tt.serve(newEngine(newBroker(), flow.Options{})) })
		})
	}
	require.NotPanics(t, func() {
		newEngine(newBroker(), flow.Options{}, one, one.Version(2), flow.New[int]("f").Then(adds("one", 1)))
	})
}

func TestNewEnginePanics(t *testing.T) {
	require.PanicsWithValue(t, "flow: NewEngine(nil, …): an engine needs a broker, such as inmem.New()", func() { flow.NewEngine(nil, flow.Options{}) })
	for name, o := range map[string]flow.Options{
		"Concurrency": {Concurrency: -1}, "Lease": {Lease: -1}, "Grace": {Grace: -1}, "AbandonAfter": {AbandonAfter: -1},
		"Retention": {Retention: -1}, "NotYetLimit": {NotYetLimit: -1}, "TakeoverLimit": {TakeoverLimit: -1},
		"MaxPayload": {MaxPayload: -1}, "MaxRecord": {MaxRecord: -1}, "SlowAfter": {SlowAfter: -1},
	} {
		require.PanicsWithValue(t, "flow: Options."+name+" is negative", func() { flow.NewEngine(inmem.New(), o) })
	}
}

func TestDrainLetsRunningAttemptsFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g := newBroker(), newGate()
		two := flow.New[int]("two").Then(g.at("held")).Then(adds("more", 10))
		e := newEngine(b, flow.Options{Grace: time.Minute}, two)
		stop := run(e)
		settle()
		future := start(t, two, e, 1, flow.ID("s"))
		settle()
		time.AfterFunc(10*time.Second, g.open)
		began := time.Now()
		require.NoError(t, stop())
		require.Equal(t, 10*time.Second, time.Since(began))

		snap, err := e.Snapshot(t.Context(), "s")
		require.NoError(t, err)
		require.Equal(t, "done", snap.Steps[0].State, "what was finished in time is recorded")
		require.Equal(t, broker.Ready, stateOf(t, b, "s"), "the rest is given back at once")
		running(t, b, flow.Options{}, two)
		require.Equal(t, 12, done(t, future), "and the first engine's future hears of it")
		require.EqualValues(t, 1, g.came.Load())
	})
}

func TestDrainCutsOffWhatDoesNotFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g := newBroker(), newGate()
		var undone atomic.Int64
		one := flow.New[int]("one").Then(g.at("held").Compensate(func(context.Context, step.Effect[int, int]) error {
			undone.Add(1)
			return nil
		}))
		e := newEngine(b, flow.Options{Grace: 5 * time.Second}, one)
		stop := run(e)
		settle()
		future := start(t, one, e, 1, flow.ID("s"))
		settle()
		began := time.Now()
		require.NoError(t, stop(), "the attempt heeds its context")
		require.Equal(t, 5*time.Second, time.Since(began))
		require.Equal(t, broker.Ready, stateOf(t, b, "s"))

		running(t, b, flow.Options{}, one)
		settle()
		g.open()
		require.Equal(t, 2, done(t, future), "a deployment is no reason to fail: the attempt was made once more")
		require.EqualValues(t, 2, g.came.Load())
		require.Zero(t, undone.Load())
	})
}

func TestDrainTakesAnswersThatComeInTheLastMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		one := flow.New[int]("one").Then(step.New("slow", func(ctx context.Context, in int) (int, error) {
			<-ctx.Done()
			if in == 1 {
				return 0, step.Refused(errDeclined)
			}
			return in + 1, nil
		}))
		e := newEngine(b, flow.Options{Grace: time.Second}, one)
		stop := run(e)
		settle()
		refused, finished := start(t, one, e, 1), start(t, one, e, 2)
		settle()
		require.NoError(t, stop())
		_, err, ok := refused.Result()
		require.True(t, ok)
		require.ErrorIs(t, err, errDeclined)
		out, err, ok := finished.Result()
		require.True(t, ok)
		require.NoError(t, err)
		require.Equal(t, 3, out)
	})
}

func TestDrainGivesBackWhatIgnoresItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		wake := make(chan struct{})
		var calls atomic.Int64
		deaf := flow.New[int]("deaf").Then(step.New("deaf", func(context.Context, int) (int, error) {
			if calls.Add(1) == 1 {
				<-wake
			}
			return 7, nil
		}))
		e := newEngine(b, flow.Options{Grace: time.Second}, deaf)
		stop := run(e)
		settle()
		future := start(t, deaf, e, 1, flow.ID("s"))
		settle()
		err := stop()
		require.EqualError(t, err, "flow: Run: attempts or listeners still run that did not return when their context ended; their sagas were given back")
		require.Equal(t, broker.Ready, stateOf(t, b, "s"))
		running(t, b, flow.Options{}, deaf)
		require.Equal(t, 7, done(t, future))
		require.EqualValues(t, 2, calls.Load())
		close(wake)
	})
}

func TestDrainGivesBackAttemptsThatHaveNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g := newBroker(), newGate()
		var began atomic.Int64
		each := flow.New[int]("each").Each("all", func(n int) []int { return make([]int, n) }, step.New("item", func(ctx context.Context, in int) (int, error) {
			began.Add(1)
			return in, g.pass(ctx)
		}), func(int, []int) int { return 0 })
		e := newEngine(b, flow.Options{Concurrency: 4, Grace: time.Minute}, each)
		stop := run(e)
		settle()
		start(t, each, e, 100, flow.ID("s"))
		settle()
		require.EqualValues(t, 4, began.Load(), "no more attempts at once than Options.Concurrency")
		time.AfterFunc(time.Second, g.open)
		require.NoError(t, stop())
		require.EqualValues(t, 4, began.Load(), "the others were not begun when the engine was told to end")
		require.Equal(t, broker.Ready, stateOf(t, b, "s"))
	})
}

func TestAttemptsWithoutAPlaceDoNotHoldUpCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		one := flow.New[int]("one").Then(g.at("held"))
		e := running(t, newBroker(), flow.Options{Concurrency: 1}, one)
		future := start(t, one, e, 1)
		settle()
		require.NoError(t, future.Cancel(within(t, time.Minute), "enough"))
		require.ErrorIs(t, failed(t, future), flow.ErrCancelled)
	})
}

// A part that was cut off before it got a place to run has had no effect: there is nothing to undo.
func TestAnAttemptThatWasCutOffBeforeItBeganIsNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made, undone atomic.Int64
		item := step.New("item", func(ctx context.Context, in int) (int, error) {
			if made.Add(1) > 1 {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			return 0, step.Refused(errDeclined)
		}).Compensate(func(context.Context, step.Effect[int, int]) error {
			undone.Add(1)
			return nil
		})
		each := flow.New[int]("each").Each("all", func(n int) []int { return make([]int, n) }, item, func(int, []int) int { return 0 })
		e := running(t, newBroker(), flow.Options{Concurrency: 1}, each)
		err := failed(t, start(t, each, e, 10))
		require.ErrorIs(t, err, errDeclined)
		require.Equal(t, flow.StateUndone, err.State)
		require.Empty(t, err.Also)
		require.LessOrEqual(t, made.Load(), int64(2), "the next in line may have begun before the first was heard")
		require.Equal(t, made.Load()-1, undone.Load())
	})
}

func TestConcurrencyBoundsWhatAnEngineOwns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, sagas = 8, 100
		b := newBroker()
		var now, most atomic.Int64
		f := flow.New[int]("f").Then(step.New("work", func(_ context.Context, in int) (int, error) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Second)
			now.Add(-1)
			return in, nil
		}))
		client := newEngine(b, flow.Options{})
		e := running(t, b, flow.Options{Concurrency: limit}, f)
		var futures []flow.Future[int]
		for i := range sagas { // half of them here, half of them elsewhere
			at := e
			if i%2 == 0 {
				at = client
			}
			futures = append(futures, start(t, f, at, i))
			settle()
			require.LessOrEqual(t, stats(t, b).Owned, limit)
		}
		require.Equal(t, limit, stats(t, b).Owned)
		began := time.Now()
		for i, future := range futures {
			require.Equal(t, i, done(t, future))
		}
		require.LessOrEqual(t, most.Load(), int64(limit))
		require.Less(t, time.Since(began), 2*sagas/limit*time.Second, "no place stays empty")
	})
}

// Starts in the engine's own process may not shut out the sagas of others.
func TestLocalStartsLeaveRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		f := flow.New[int]("f").Then(step.New("work", func(_ context.Context, in int) (int, error) {
			time.Sleep(time.Second)
			return in, nil
		}))
		e := running(t, b, flow.Options{Concurrency: 4}, f)
		ctx, stop := context.WithCancel(t.Context())
		for range 20 {
			go func() {
				for ctx.Err() == nil {
					if future, err := f.Start(ctx, e, 1); err == nil {
						_, _ = future.Await(ctx)
					}
				}
			}()
		}
		time.Sleep(10 * time.Second)
		began := time.Now()
		require.Equal(t, 5, done(t, start(t, f, newEngine(b, flow.Options{}), 5)))
		require.Less(t, time.Since(began), 20*time.Second)
		stop()
	})
}

func TestEnginesShareABroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var mu sync.Mutex
		ran := map[string]int{}
		f := flow.New[int]("f").Then(step.New("work", func(ctx context.Context, in int) (int, error) {
			mu.Lock()
			ran[step.InfoFrom(ctx).Namespace]++ // names the engine here
			mu.Unlock()
			time.Sleep(time.Second)
			return in, nil
		}))
		client := newEngine(b, flow.Options{})
		for i := range 3 {
			running(t, b, flow.Options{Name: fmt.Sprint(i), Namespace: fmt.Sprint(i), Concurrency: 4}, f)
		}
		var futures []flow.Future[int]
		for i := range 60 {
			futures = append(futures, start(t, f, client, i))
		}
		for i, future := range futures {
			require.Equal(t, i, done(t, future))
		}
		require.Len(t, ran, 3)
		require.Equal(t, 60, ran["0"]+ran["1"]+ran["2"])
		for name, n := range ran {
			require.Greater(t, n, 10, name)
		}
	})
}

func TestParkedSagasAndTheirCallersHoldNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sagas = 10_000
		b := newBroker()
		wait := flow.New[int]("wait").Then(adds("one", 1)).Delay("tomorrow", func(int) time.Duration { return 24 * time.Hour })
		e := running(t, b, flow.Options{}, wait)
		futures := make([]flow.Future[int], sagas)
		for i := range futures {
			future, err := wait.Start(context.Background(), e, i)
			require.NoError(t, err)
			futures[i] = future
		}
		settle()
		require.Equal(t, sagas, stats(t, b).Parked)
		require.Less(t, runtime.NumGoroutine(), 400)

		var waiting sync.WaitGroup
		for _, f := range futures[:1000] {
			waiting.Go(func() {
				_, err := f.Await(context.Background())
				assert.NoError(t, err)
			})
		}
		settle()
		require.Less(t, runtime.NumGoroutine(), 1400, "a caller who waits has its own goroutine, and the library none for it")
		waiting.Wait()
		ctx := within(t, time.Hour)
		for i, f := range futures {
			out, err := f.Await(ctx)
			require.NoError(t, err)
			require.Equal(t, i+1, out)
		}
	})
}

func TestABrokerThatIsClosedEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g := newBroker(), newGate()
		one := flow.New[int]("one").Then(g.at("held"))
		e := newEngine(b, flow.Options{}, one)
		stop := run(e)
		settle()
		future := start(t, one, e, 1, flow.ID("s"))
		waiting := make(chan error, 1)
		go func() {
			_, err := future.Await(context.Background())
			waiting <- err
		}()
		settle()
		require.NoError(t, b.Close())
		err := <-waiting
		var running *flow.RunningError
		require.ErrorAs(t, err, &running, "a caller is told, although nobody will ever tell how the saga ends")
		require.ErrorIs(t, err, broker.ErrClosed)
		require.ErrorIs(t, stop(), broker.ErrClosed)
		require.Error(t, e.Health(t.Context()))
		_, err = one.Start(t.Context(), e, 1)
		require.ErrorIs(t, err, flow.ErrEnded)
	})
}
