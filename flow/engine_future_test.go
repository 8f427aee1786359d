package flow_test

import (
	"context"
	"errors"
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
	"github.com/skald-go/skald/step"
)

// undoing is a flow whose first step is undone through the gate, because its second one refuses.
func undoing(g *gate) flow.Flow[int, int] {
	return flow.New[int]("undoing").
		Then(adds("reserve", 1).Compensate(func(ctx context.Context, _ step.Effect[int, int]) error { return g.pass(ctx) }).Timeout(time.Hour)).
		Then(fails("charge", step.Refused(fmt.Errorf("card 7: %w", errDeclined))))
}

func TestAFutureIsUsedByMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		f := flow.New[int]("f").Then(g.at("held"))
		e := running(t, newBroker(), flow.Options{}, f)
		future := start(t, f, e, 1, flow.ID("s"))
		require.Equal(t, "s", future.ID())
		_, _, ok := future.Result()
		require.False(t, ok)
		var all sync.WaitGroup
		for range 50 {
			copied := future
			all.Go(func() { assert.Equal(t, 2, done(t, copied)) })
			all.Go(func() {
				out, err := copied.Decided(within(t, time.Hour))
				assert.NoError(t, err)
				assert.Equal(t, 2, out)
			})
			all.Go(func() {
				select {
				case <-copied.Done():
				case <-copied.Failed():
					assert.Fail(t, "it did not fail")
				}
			})
		}
		settle()
		g.open()
		all.Wait()
		out, err, ok := future.Result()
		require.True(t, ok)
		require.NoError(t, err)
		require.Equal(t, 2, out)
	})
}

func TestFailedIsClosedWithTheResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flow.New[int]("f").Then(fails("no", step.Refused(errDeclined)))
		e := running(t, newBroker(), flow.Options{}, f)
		future := start(t, f, e, 1)
		select {
		case <-future.Done():
			require.Fail(t, "it is not done")
		case <-future.Failed():
		}
		_, err, ok := future.Result()
		require.True(t, ok)
		require.ErrorIs(t, err, errDeclined)
		<-future.Failed()
	})
}

func TestTheCauseWinsOverTheClock(t *testing.T) {
	for name, all := range map[string]bool{"live values": false, "decoded": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, g := newBroker(), newGate()
				f := undoing(g)
				e := running(t, b, flow.Options{DecodeAll: all}, f)
				future := start(t, f, e, 1, flow.ID("s"))
				settle()
				for _, each := range []flow.Future[int]{future, f.Attach(e, "s"), f.Attach(newEngine(b, flow.Options{}), "s")} {
					_, err := each.Await(within(t, time.Second))
					require.ErrorIs(t, err, errDeclined)
					require.NotErrorIs(t, err, context.DeadlineExceeded)
					failure, ok := errors.AsType[*flow.Error](err)
					require.True(t, ok)
					require.Equal(t, flow.StateCompensating, failure.State)
					require.Equal(t, "charge", failure.Step)
					require.Equal(t, "undoing", failure.Flow)
					require.Equal(t, "s", failure.SagaID)
					require.Empty(t, failure.Undone)
				}
				_, err := future.Decided(within(t, time.Hour))
				require.ErrorIs(t, err, errDeclined)
				g.open()
				err = failed(t, future)
				require.ErrorIs(t, err, errDeclined)
				require.Equal(t, []flow.Undo{{Step: "reserve"}}, err.(*flow.Error).Undone)
			})
		})
	}
}

// As long as the undo of the step that failed is open, the outcome is: it may answer Proceed. Yet a caller who
// gives up is told what failed.
func TestDecidedWaitsForTheUndoThatMayProceed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		f := flow.New[int]("f").Then(fails("charge", errDeclined).Compensate(func(ctx context.Context, e step.Effect[int, int]) error {
			if err := g.pass(ctx); err != nil {
				return err
			}
			return e.Proceed(7)
		}).Timeout(time.Hour))
		e := running(t, newBroker(), flow.Options{}, f)
		future := start(t, f, e, 1)
		settle()
		_, err := future.Await(within(t, time.Second))
		require.ErrorIs(t, err, errDeclined)
		decided := make(chan int, 1)
		go func() {
			out, err := future.Decided(within(t, time.Hour))
			assert.NoError(t, err)
			decided <- out
		}()
		time.Sleep(time.Minute)
		require.Empty(t, decided)
		g.open()
		require.Equal(t, 7, <-decided)
		require.Equal(t, 7, done(t, future))
	})
}

func TestACallerWhoGivesUpEarlyGetsTheIDAndTheResultLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g := newBroker(), newGate()
		f := flow.New[int]("f").Then(g.at("held"))
		e := running(t, b, flow.Options{}, f)
		future := start(t, f, e, 1, flow.ID("order-7"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, wait := range []func(context.Context) (int, error){future.Await, future.Decided, f.Attach(newEngine(b, flow.Options{}), "order-7").Await} {
			_, err := wait(ctx)
			open, ok := errors.AsType[*flow.RunningError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, "order-7", open.SagaID)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, `flow: saga "order-7" of "f" still runs`)
		}
		g.open()
		require.Equal(t, 2, done(t, future))
		out, err := future.Await(ctx)
		require.NoError(t, err, "a result that is known needs no time")
		require.Equal(t, 2, out)
	})
}

// The store may know the outcome already when a caller gives up that nobody has told it to.
func TestACallerWhoGivesUpGetsAResultThatIsInTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		f := flow.New[int]("f").Then(adds("one", 1))
		e := running(t, b, flow.Options{}, f)
		require.Equal(t, 2, done(t, start(t, f, e, 1, flow.ID("s"))))
		client := newEngine(deafBroker{b}, flow.Options{})
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		out, err := f.Attach(client, "s").Await(ended)
		require.NoError(t, err)
		require.Equal(t, 2, out)
	})
}

// deafBroker never tells how a saga ends.
type deafBroker struct{ broker.Broker }

func (deafBroker) Watch(string, func(broker.Snapshot)) func() { return func() {} }

func TestAttach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g := newBroker(), newGate()
		f := flow.New[int]("f").Then(g.at("held"))
		e := running(t, b, flow.Options{DecodeAll: true, Retention: time.Hour}, f)
		client := newEngine(b, flow.Options{})
		early := f.Attach(client, "s")
		waiting := make(chan int, 1)
		go func() { waiting <- done(t, early) }()
		settle()
		mine := start(t, f, e, 1, flow.ID("s"))
		before := f.Attach(client, "s")
		settle()
		select {
		case <-before.Done():
			require.Fail(t, "it is not done")
		default:
		}
		g.open()
		require.Equal(t, 2, <-waiting, "it may be attached to before it is started")
		<-before.Done()
		require.Equal(t, 2, done(t, mine))
		require.Equal(t, 2, done(t, f.Attach(client, "s")), "and after it has ended")
		require.Equal(t, 2, done(t, f.Attach(e, "s")))

		time.Sleep(2 * time.Hour)
		_, err := f.Attach(client, "s").Await(within(t, time.Second))
		require.ErrorIs(t, err, flow.ErrUnknown, "but not for ever")
	})
}

func TestAwaitOfAnIDThatNobodyStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		f := flow.New[int]("f").Then(adds("one", 1))
		future := f.Attach(newEngine(b, flow.Options{}), "nobody")
		for _, wait := range []func(context.Context) (int, error){future.Await, future.Decided} {
			_, err := wait(within(t, time.Second))
			require.ErrorIs(t, err, flow.ErrUnknown)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, `saga "nobody" of "f"`)
		}
		require.ErrorIs(t, future.Cancel(t.Context(), ""), flow.ErrUnknown)
	})
}

func TestASagaOfAnotherFlowIsNoFutureOfThisOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g := newBroker(), newGate()
		number := flow.New[int]("number").Then(g.at("held"))
		text := flow.New[int]("text").Map(func(n int) string { return fmt.Sprint(n) })
		e := running(t, b, flow.Options{}, number, text)
		start(t, number, e, 1, flow.ID("s"))
		settle()
		for _, at := range []*flow.Engine{e, newEngine(b, flow.Options{})} {
			future := text.Attach(at, "s")
			_, err := future.Await(within(t, time.Hour))
			require.EqualError(t, err, `flow: saga "s" is one of "number", not of "text": flow: the id belongs to another saga`)
			require.ErrorIs(t, err, flow.ErrConflict)
			_, err = future.Decided(within(t, time.Hour))
			require.ErrorIs(t, err, flow.ErrConflict)
			require.ErrorIs(t, future.Cancel(within(t, time.Hour), ""), flow.ErrConflict)
			_, err = flow.First(within(t, time.Hour), future)
			require.ErrorIs(t, err, flow.ErrConflict)
		}
		asked := text.Attach(e, "s")
		failed := asked.Failed()
		g.open()
		<-failed
		_, err, ok := asked.Result()
		require.True(t, ok)
		require.ErrorIs(t, err, flow.ErrConflict)
	})
}

// Two processes may have definitions of one name that give different types.
func TestAFutureOfAnotherTypeReadsWhatWasStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g := newBroker(), newGate()
		small := flow.New[int]("f").Then(g.at("held"))
		large := flow.New[int]("f").Map(func(n int) int64 { return int64(n) })
		e := running(t, b, flow.Options{}, small)
		start(t, small, e, 1, flow.ID("s"))
		settle()
		future := large.Attach(e, "s")
		g.open()
		require.Equal(t, int64(2), done(t, future))

		other, err := large.Start(t.Context(), e, 1)
		require.NoError(t, err, "the definition that is served runs it")
		require.Equal(t, int64(2), done(t, other))
	})
}

func TestZeroFutures(t *testing.T) {
	var zero flow.Future[int]
	ctx := t.Context()
	require.Empty(t, zero.ID())
	_, err := zero.Await(ctx)
	require.EqualError(t, err, "Await of a Future that no Start or Attach gave: flow: a zero value was used")
	_, err = zero.Decided(ctx)
	require.ErrorIs(t, err, flow.ErrZero)
	_, err, ok := zero.Result()
	require.True(t, ok)
	require.ErrorIs(t, err, flow.ErrZero)
	require.ErrorIs(t, zero.Cancel(ctx, ""), flow.ErrZero)
	<-zero.Failed()
	select {
	case <-zero.Done():
		require.Fail(t, "it is not done")
	default:
	}
	_, open := <-zero.Progress(ctx)
	require.False(t, open)
	_, err = flow.All(ctx, zero)
	require.ErrorIs(t, err, flow.ErrZero)
	_, err = flow.First(ctx, zero)
	require.ErrorIs(t, err, flow.ErrZero)
	_, err = flow.First[int](ctx)
	require.ErrorIs(t, err, flow.ErrZero)
	outs, err := flow.All[int](ctx)
	require.NoError(t, err)
	require.Empty(t, outs)

	f := flow.New[int]("f").Then(adds("one", 1))
	for name, future := range map[string]flow.Future[int]{
		"nil engine": f.Attach(nil, "s"), "zero engine": f.Attach(new(flow.Engine), "s"),
		"zero flow": flow.Flow[int, int]{}.Attach(newEngine(newBroker(), flow.Options{}), "s"),
	} {
		_, err := future.Await(ctx)
		require.ErrorIs(t, err, flow.ErrZero, name)
	}
}

func TestAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := flow.New[int]("slow").Delay("rest", func(n int) time.Duration { return time.Duration(n) * time.Minute })
		bad := flow.New[int]("bad").Then(fails("no", step.Refused(errDeclined)))
		e := running(t, newBroker(), flow.Options{}, slow, bad)
		ctx := within(t, time.Hour)
		outs, err := flow.All(ctx, start(t, slow, e, 3), start(t, slow, e, 1), start(t, slow, e, 2))
		require.NoError(t, err)
		require.Equal(t, []int{3, 1, 2}, outs)
		_, err = flow.All(ctx, start(t, slow, e, 3), start(t, bad, e, 1), start(t, slow, e, 2))
		require.ErrorIs(t, err, errDeclined)
		_, err = flow.All(within(t, time.Second), start(t, slow, e, 3), start(t, bad, e, 1))
		require.ErrorIs(t, err, context.DeadlineExceeded, "the first in their order that has no result")
	})
}

func TestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := flow.New[int]("slow").Delay("rest", func(n int) time.Duration { return time.Duration(n) * time.Minute })
		bad := flow.New[int]("bad").Delay("rest", func(n int) time.Duration { return time.Duration(n) * time.Minute }).
			Then(step.New("no", func(_ context.Context, n int) (int, error) {
				return 0, step.Refused(fmt.Errorf("%d: %w", n, errDeclined))
			}))
		e := running(t, newBroker(), flow.Options{}, slow, bad)
		ctx := within(t, 24*time.Hour)
		futures := []flow.Future[int]{start(t, slow, e, 3), start(t, bad, e, 1), start(t, slow, e, 2)}
		settle()
		before := runtime.NumGoroutine()
		result := make(chan int, 1)
		go func() {
			out, err := flow.First(ctx, futures...)
			assert.NoError(t, err)
			result <- out
		}()
		settle()
		require.LessOrEqual(t, runtime.NumGoroutine(), before+1, "it holds no goroutine per future")
		require.Equal(t, 2, <-result)

		_, err := flow.First(ctx, start(t, bad, e, 3), start(t, bad, e, 1))
		require.ErrorContains(t, err, "3: bank: declined", "the one that failed last")
		_, err = flow.First(within(t, time.Second), start(t, slow, e, 3), start(t, bad, e, 1))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.IsType(t, &flow.RunningError{}, err)
	})
}

func TestADeadLetterThatIsRelayedIsAwaitedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var repaired atomic.Bool
		f := flow.New[int]("f").
			Then(adds("reserve", 1).Compensate(func(context.Context, step.Effect[int, int]) error {
				if !repaired.Load() {
					return step.GiveUp(errBroken)
				}
				time.Sleep(time.Minute)
				return nil
			}).Timeout(time.Hour)).
			Then(fails("charge", step.Refused(errDeclined)))
		e := running(t, b, flow.Options{}, f)
		mine := start(t, f, e, 1, flow.ID("s"))
		theirs := f.Attach(newEngine(b, flow.Options{}), "s")
		for _, future := range []flow.Future[int]{mine, theirs} {
			err := failed(t, future)
			require.Equal(t, flow.StateDeadLetter, err.State)
			require.ErrorIs(t, err, errDeclined)
			require.Len(t, err.Undone, 1)
			require.ErrorIs(t, err.Undone[0].Err, errBroken)
		}
		repaired.Store(true)
		require.NoError(t, e.Relay(t.Context(), "s", flow.By{Who: "ada"}))
		for _, future := range []flow.Future[int]{mine, theirs} {
			_, err := future.Await(within(t, time.Second))
			require.Equal(t, flow.StateCompensating, err.(*flow.Error).State)
			_, err = future.Decided(within(t, time.Hour))
			require.Equal(t, flow.StateCompensating, err.(*flow.Error).State)
		}
		for _, future := range []flow.Future[int]{mine, theirs} {
			_, err := flow.First(within(t, time.Hour), future)
			require.Equal(t, flow.StateUndone, err.(*flow.Error).State)
			require.Equal(t, flow.StateUndone, failed(t, future).State)
			_, err, ok := future.Result()
			require.True(t, ok)
			require.Equal(t, flow.StateUndone, err.(*flow.Error).State)
		}
	})
}

func TestTheFutureOfADroppedSagaHearsHowItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var calls atomic.Int64
		f := flow.New[int]("f").Then(step.New("work", func(ctx context.Context, in int) (int, error) {
			if calls.Add(1) == 1 {
				<-ctx.Done()
			}
			return in + 1, ctx.Err()
		}))
		first := newEngine(b, flow.Options{Name: "first"}, f)
		stop := run(first)
		settle()
		future := start(t, f, first, 1)
		waiting := make(chan int, 1)
		go func() { waiting <- done(t, future) }()
		failed := future.Failed()
		settle()
		b.kill("first")
		require.NoError(t, stop())
		running(t, b, flow.Options{Name: "second"}, f)
		require.Equal(t, 2, <-waiting)
		select {
		case <-failed:
			require.Fail(t, "it did not fail")
		default:
		}
	})
}

// countingBroker counts the watches that are open.
type countingBroker struct {
	*fakeBroker
	open atomic.Int64
}

func (b *countingBroker) Watch(id string, fn func(broker.Snapshot)) func() {
	b.open.Add(1)
	var once sync.Once
	end := func() { once.Do(func() { b.open.Add(-1) }) }
	stop := b.fakeBroker.Watch(id, func(s broker.Snapshot) { end(); fn(s) })
	return func() { end(); stop() }
}

func TestAWatchEndsWithItsLastCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &countingBroker{fakeBroker: newBroker()}
		client := newEngine(b, flow.Options{})
		f := flow.New[int]("f").Then(adds("one", 1))
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				future := f.Attach(client, fmt.Sprint("s", i))
				for k := range 5 {
					all.Go(func() {
						_, err := future.Await(within(t, time.Duration(k)*time.Second))
						assert.ErrorIs(t, err, flow.ErrUnknown)
					})
				}
			})
		}
		time.Sleep(3500 * time.Millisecond)
		require.EqualValues(t, 10, b.open.Load())
		all.Wait()
		require.Zero(t, b.open.Load())
		ctx, cancel := context.WithCancel(t.Context())
		events := f.Attach(client, "s").Progress(ctx)
		settle()
		require.EqualValues(t, 1, b.open.Load())
		cancel()
		_, more := <-events
		require.False(t, more)
		settle()
		require.Zero(t, b.open.Load())
	})
}

func TestAnOutputThatCannotBeReadIsNoSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		text := flow.New[int]("f").Map(func(n int) string { return fmt.Sprint("n", n) })
		number := flow.New[int]("f").Then(adds("one", 1))
		e := running(t, b, flow.Options{}, text)
		require.Equal(t, "n1", done(t, start(t, text, e, 1, flow.ID("s"))))
		_, err := number.Attach(newEngine(b, flow.Options{}), "s").Await(within(t, time.Hour))
		require.ErrorContains(t, err, `flow: saga "s" of "f" is done, but its output cannot be read`)
	})
}

// Whoever waits for a saga that was there, and of whose end nobody tells, hears soon that it is gone: not only when his context ends.
func TestAwaitOfASagaThatIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		f := flow.New[int]("f").Then(adds("one", 1))
		starter := newEngine(deafBroker{b}, flow.Options{})
		future := start(t, f, starter, 1, flow.ID("s"))
		waiting := make(chan error, 1)
		go func() {
			_, err := future.Await(within(t, 24*time.Hour))
			waiting <- err
		}()
		time.Sleep(time.Hour) // it waits for a worker
		running(t, b, flow.Options{Retention: time.Second}, f)
		begun := time.Now()
		err := <-waiting
		require.ErrorIs(t, err, flow.ErrUnknown)
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, `flow: saga "s" of "f": flow: no such saga: its result was kept too short to be heard of`)
		require.Less(t, time.Since(begun), 10*time.Minute)
	})
}
