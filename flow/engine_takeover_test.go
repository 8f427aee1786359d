package flow_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

func TestAFencedEngineDropsItsSagasAndJoinsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var calls, cut atomic.Int64
		f := flow.New[int]("f").Then(step.New("work", func(ctx context.Context, in int) (int, error) {
			if calls.Add(1) == 1 {
				<-ctx.Done()
				cut.Add(1)
				return 0, ctx.Err()
			}
			return in + 1, nil
		}))
		first := running(t, b, flow.Options{Name: "first", Lease: 10 * time.Second}, f)
		future := start(t, f, first, 1, flow.ID("s"))
		settle()
		b.kill("first")
		settle()
		require.EqualValues(t, 1, cut.Load(), "its attempt is cut off at once")
		second := running(t, b, flow.Options{Name: "second", Lease: 10 * time.Second}, f)
		require.NoError(t, first.Health(t.Context()), "it is a member again")
		require.Equal(t, broker.Owned, stateOf(t, b, "s"), "nobody takes it over before the lease is over")

		began := time.Now()
		require.Equal(t, 2, done(t, f.Attach(second, "s")))
		require.Equal(t, 10*time.Second, time.Since(began))
		require.Equal(t, 2, done(t, future), "the future of the engine that dropped it hears of it")
		require.EqualValues(t, 2, calls.Load())

		other := start(t, f, first, 5)
		require.Equal(t, 6, done(t, other), "and it starts and runs sagas as before")
	})
}

func TestAnEngineTakesItsOwnSagasOverOnceTheOldAttemptHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var calls, running2 atomic.Int64
		f := flow.New[int]("f").Then(step.New("deaf", func(context.Context, int) (int, error) {
			require.EqualValues(t, 1, running2.Add(1), "two attempts of a step at once in one process")
			defer running2.Add(-1)
			if calls.Add(1) == 1 {
				time.Sleep(25 * time.Second)
			}
			return 7, nil
		}))
		e := running(t, b, flow.Options{Name: "e", Lease: 10 * time.Second}, f)
		future := start(t, f, e, 1)
		settle()
		b.kill("e")
		began := time.Now()
		require.Equal(t, 7, done(t, future))
		require.Equal(t, 25*time.Second, time.Since(began))
		require.EqualValues(t, 2, calls.Load())
	})
}

func TestAnOldAttemptThatNeverReturnsIsAbandonedForTheNewOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var calls atomic.Int64
		never := make(chan struct{})
		f := flow.New[int]("f").Then(step.New("deaf", func(context.Context, int) (int, error) {
			if calls.Add(1) == 1 {
				<-never
			}
			return 7, nil
		}))
		e := running(t, b, flow.Options{Name: "e", Lease: 10 * time.Second, AbandonAfter: time.Minute}, f)
		future := start(t, f, e, 1)
		settle()
		b.kill("e")
		began := time.Now()
		require.Equal(t, 7, done(t, future))
		require.Equal(t, time.Minute, time.Since(began))
		close(never)
	})
}

// An owner that is only told by its next commit that it was fenced drops the saga then.
func TestACommitThatIsFencedDropsTheSaga(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var calls atomic.Int64
		f := flow.New[int]("f").Then(step.New("work", func(_ context.Context, in int) (int, error) {
			if calls.Add(1) == 1 {
				b.kill("e")
			}
			return in + 1, nil
		}))
		e := running(t, b, flow.Options{Name: "e"}, f)
		require.Equal(t, 2, done(t, start(t, f, e, 1)))
		require.EqualValues(t, 2, calls.Load())
	})
}

func TestWorkersThatDieOverASagaAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var calls atomic.Int64
		var deadly atomic.Bool
		deadly.Store(true)
		f := flow.New[int]("f").Then(step.New("deadly", func(ctx context.Context, in int) (int, error) {
			calls.Add(1)
			if !deadly.Load() {
				return in + 1, nil
			}
			b.kill("e")
			<-ctx.Done()
			return 0, ctx.Err()
		}))
		dead := make(chan flow.DeadLetter, 10)
		e := running(t, b, flow.Options{
			Name: "e", TakeoverLimit: 4, OnDeadLetter: func(_ context.Context, d flow.DeadLetter) { dead <- d },
		}, f)
		future := start(t, f, e, 1, flow.ID("s"))
		err := failed(t, future)
		require.ErrorIs(t, err, flow.ErrTakeovers)
		require.Equal(t, flow.StateDeadLetter, err.State)
		require.EqualValues(t, 4, calls.Load())
		require.ErrorIs(t, (<-dead).Err, flow.ErrTakeovers)
		require.Empty(t, dead)

		require.NoError(t, e.Relay(t.Context(), "s", flow.By{Who: "ada"}))
		require.ErrorIs(t, failed(t, future), flow.ErrTakeovers)
		require.EqualValues(t, 8, calls.Load(), "a relay begins to count anew")
		deadly.Store(false)
		require.NoError(t, e.Relay(t.Context(), "s", flow.By{Who: "ada"}))
		require.Equal(t, 2, done(t, future))
	})
}

func TestOnlyTakeoversAtAnUnchangedRevisionCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var mu sync.Mutex
		killed := map[string]bool{}
		f := flow.New[int]("f")
		for i := range 20 {
			f = f.Then(step.New(fmt.Sprint("s", i), func(ctx context.Context, in int) (int, error) {
				mu.Lock()
				defer mu.Unlock()
				if path := step.InfoFrom(ctx).Path; !killed[path] {
					killed[path] = true
					b.kill("e")
				}
				return in + 1, nil
			}))
		}
		e := running(t, b, flow.Options{Name: "e", TakeoverLimit: 2}, f)
		require.Equal(t, 20, done(t, start(t, f, e, 0)))
		require.Len(t, killed, 20)
	})
}

func TestAttemptsAreNumberedOnAfterATakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var mu sync.Mutex
		var attempts []int
		var keys []string
		f := flow.New[int]("f").Then(step.New("work", func(ctx context.Context, in int) (int, error) {
			info := step.InfoFrom(ctx)
			mu.Lock()
			attempts, keys = append(attempts, info.Attempt), append(keys, info.Key())
			mu.Unlock()
			if len(attempts) == 4 {
				return in, nil
			}
			return 0, errBroken
		}).Retry(step.Retry{Attempts: 4, Delay: time.Hour, MaxDelay: time.Hour}))
		e := running(t, b, flow.Options{Name: "e"}, f)
		future := start(t, f, e, 1, flow.ID("s"))
		time.Sleep(time.Millisecond)
		b.kill("e")
		require.Equal(t, 1, done(t, future))
		require.Equal(t, []int{1, 2, 3, 4}, attempts)
		require.Equal(t, []string{"skald/s/work/do", "skald/s/work/do", "skald/s/work/do", "skald/s/work/do"}, keys)
	})
}

// A step that kills its process may not take the sagas beside it down with it: see quarantineFrom.
func TestASagaThatKillsItsProcessRunsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, innocents = 8, 20
		b := newBroker()
		var deaths, beside atomic.Int64
		culprit := flow.New[int]("culprit").Then(step.New("deadly", func(ctx context.Context, in int) (int, error) {
			deaths.Add(1)
			if owned := stats(t, b).Owned - 1; deaths.Load() > 3 {
				beside.Add(int64(owned))
			}
			b.kill("e")
			<-ctx.Done()
			return 0, ctx.Err()
		}).Timeout(time.Hour))
		// Innocents take longer than the culprit needs to kill them again.
		var interrupted atomic.Int64
		innocent := flow.New[int]("innocent").Then(step.New("long", func(ctx context.Context, in int) (int, error) {
			select {
			case <-time.After(10 * time.Minute):
				return in + 1, nil
			case <-ctx.Done():
				interrupted.Add(1)
				return 0, ctx.Err()
			}
		}).Timeout(time.Hour))
		e := running(t, b, flow.Options{Name: "e", TakeoverLimit: limit, Retention: 24 * time.Hour}, culprit, innocent)
		var futures []flow.Future[int]
		for i := range innocents {
			futures = append(futures, start(t, innocent, e, i))
		}
		settle()
		err := failed(t, start(t, culprit, e, 0))
		require.ErrorIs(t, err, flow.ErrTakeovers)
		for i, f := range futures {
			require.Equal(t, i+1, done(t, f))
		}
		require.EqualValues(t, limit, deaths.Load())
		require.Zero(t, beside.Load(), "from the third takeover on nothing else dies with it")
		require.LessOrEqual(t, interrupted.Load(), int64(4*innocents))
	})
}

func TestTheEngineGoesOnWhenAPatientHasRecovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var deaths atomic.Int64
		g := newGate()
		shaky := flow.New[int]("shaky").Then(step.New("shaky", func(ctx context.Context, in int) (int, error) {
			if deaths.Add(1) <= 3 {
				b.kill("e")
				<-ctx.Done()
				return 0, ctx.Err()
			}
			return in + 1, g.pass(ctx)
		}).Timeout(time.Hour)).Delay("rest", func(int) time.Duration { return time.Hour })
		plus := flow.New[int]("plus").Then(adds("one", 1))
		e := running(t, b, flow.Options{Name: "e", Lease: time.Second}, shaky, plus)
		patient := start(t, shaky, e, 0)
		time.Sleep(10 * time.Second)
		require.EqualValues(t, 1, g.came.Load(), "the fourth attempt runs")
		other := start(t, plus, e, 1, flow.ID("other"))
		settle()
		require.Equal(t, broker.Ready, stateOf(t, b, "other"), "nothing runs beside it, not even what is started here")
		g.open()
		settle()
		require.Equal(t, broker.Finished, stateOf(t, b, "other"))
		require.Equal(t, 2, done(t, other))
		require.Equal(t, 1, done(t, patient))
	})
}

// A running attempt beside a patient may finish before the patient begins.
func TestAPatientWaitsForAttemptsThatRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var deaths, calls atomic.Int64
		shaky := flow.New[int]("shaky").Then(step.New("shaky", func(ctx context.Context, in int) (int, error) {
			if deaths.Add(1) <= 3 {
				b.kill("e")
				<-ctx.Done()
				return 0, ctx.Err()
			}
			require.Equal(t, 1, stats(t, b).Owned)
			return in + 1, nil
		}))
		long := flow.New[int]("long").Then(step.New("long", func(ctx context.Context, in int) (int, error) {
			calls.Add(1)
			time.Sleep(30 * time.Second)
			return in + 1, ctx.Err()
		})).Then(adds("one", 1))
		lease := 10 * time.Second
		e := running(t, b, flow.Options{Name: "e", Lease: lease}, shaky, long)
		began := time.Now()
		patient := start(t, shaky, e, 0)
		time.Sleep(2*lease + time.Second) // the third worker is dead
		beside := start(t, long, e, 1)
		settle()
		require.Equal(t, 1, done(t, patient))
		require.Equal(t, 51*time.Second, time.Since(began))
		require.Equal(t, 3, done(t, beside))
		require.EqualValues(t, 1, calls.Load(), "what ran beside it was not cut off")
	})
}

func TestAPatientThatIsTakenAwayEndsTheQuarantine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var deaths atomic.Int64
		shaky := flow.New[int]("shaky").Then(step.New("shaky", func(ctx context.Context, in int) (int, error) {
			if deaths.Add(1) <= 3 {
				b.kill("e")
			}
			<-ctx.Done()
			return 0, ctx.Err()
		}).Timeout(24 * time.Hour))
		plus := flow.New[int]("plus").Then(adds("one", 1))
		e := running(t, b, flow.Options{Name: "e", Lease: time.Second, TakeoverLimit: 4}, shaky, plus)
		patient := start(t, shaky, e, 0)
		time.Sleep(time.Minute)
		b.kill("e") // not its fault
		require.ErrorIs(t, failed(t, patient), flow.ErrTakeovers)
		require.Equal(t, 2, done(t, start(t, plus, e, 1)))
	})
}

func TestAnEngineEndsWithAPatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var deaths atomic.Int64
		shaky := flow.New[int]("shaky").Then(step.New("shaky", func(ctx context.Context, in int) (int, error) {
			if deaths.Add(1) <= 3 {
				b.kill("e")
			}
			<-ctx.Done()
			return 0, ctx.Err()
		}).Timeout(24 * time.Hour))
		e := newEngine(b, flow.Options{Name: "e", Lease: time.Second}, shaky)
		stop := run(e)
		settle()
		start(t, shaky, e, 0, flow.ID("s"))
		time.Sleep(time.Minute)
		require.NoError(t, stop())
		require.Equal(t, broker.Ready, stateOf(t, b, "s"))
	})
}
