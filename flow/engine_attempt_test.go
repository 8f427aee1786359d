package flow_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// runStep runs a saga of one step, and gives what it ends with.
func runStep(t *testing.T, s step.Step[int, int], o flow.Options) (int, error) {
	t.Helper()
	f := flow.New[int]("f").Then(s)
	return await(t, start(t, f, running(t, newBroker(), o, f), 1, flow.ID("s")))
}

func TestAnAttemptHasATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took time.Duration
		_, err := runStep(t, step.New("slow", func(ctx context.Context, _ int) (int, error) {
			began := time.Now()
			deadline, ok := ctx.Deadline()
			assert.True(t, ok)
			assert.Equal(t, 3*time.Second, time.Until(deadline))
			assert.NoError(t, ctx.Err())
			<-ctx.Done()
			took = time.Since(began)
			return 0, fmt.Errorf("gave up: %w", ctx.Err())
		}).Timeout(3*time.Second), flow.Options{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 3*time.Second, took)
	})
}

func TestTheDefaultTimeIsAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := runStep(t, step.New("slow", func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}), flow.Options{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, step.DefaultTimeout, time.Since(began))
	})
}

// Every attempt has its own time, also when the ones before it on the same goroutine had another.
func TestTimesOfAttemptsDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took []time.Duration
		wait := func(name string, own, work time.Duration) step.Step[int, int] {
			return step.New(name, func(ctx context.Context, in int) (int, error) {
				began := time.Now()
				defer func() { took = append(took, time.Since(began)) }()
				select {
				case <-ctx.Done():
				case <-time.After(work):
				}
				return in, nil
			}).Timeout(own)
		}
		f := flow.New[int]("f").
			Then(wait("a", time.Minute, time.Second)).
			Then(wait("b", time.Second, time.Hour)).
			Then(wait("c", time.Minute, time.Hour)).
			Then(wait("d", 10*time.Minute, 9*time.Minute)).
			Then(wait("e", time.Millisecond, time.Hour))
		done(t, start(t, f, running(t, newBroker(), flow.Options{}, f), 1))
		require.Equal(t, []time.Duration{time.Second, time.Second, time.Minute, 9 * time.Minute, time.Millisecond}, took)
	})
}

// The time of an attempt begins when the attempt does, not while it waits for a place.
func TestWaitingForAPlaceCostsNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flow.New[int]("f").Each("all", func(n int) []int { return make([]int, n) }, step.New("item", func(ctx context.Context, in int) (int, error) {
			select {
			case <-time.After(time.Second):
				return in, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}).Timeout(2*time.Second), func(_ int, outs []int) int { return len(outs) })
		e := running(t, newBroker(), flow.Options{Concurrency: 1}, f)
		require.Equal(t, 10, done(t, start(t, f, e, 10)))
	})
}

type contextKey struct{}

func TestContextsOfAttemptsAreContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var after sync.WaitGroup
		var fired, stopped atomic.Int64
		step1 := step.New("derive", func(ctx context.Context, in int) (int, error) {
			before := runtime.NumGoroutine()
			plain, cancelPlain := context.WithCancel(ctx)
			timed, cancelTimed := context.WithTimeout(context.WithValue(ctx, contextKey{}, "v"), time.Hour)
			cause, cancelCause := context.WithCancelCause(timed)
			defer cancelPlain()
			defer cancelTimed()
			defer cancelCause(nil)
			assert.Equal(t, before, runtime.NumGoroutine(), "what is derived from it holds no goroutine")
			assert.Equal(t, "v", cause.Value(contextKey{}))
			assert.Equal(t, "derive", step.InfoFrom(cause).Path)
			assert.Nil(t, ctx.Value(contextKey{}))
			after.Add(1)
			context.AfterFunc(cause, func() { fired.Add(1); after.Done() })
			stop := context.AfterFunc(ctx, func() { stopped.Add(1) })
			assert.True(t, stop())
			<-cause.Done()
			<-plain.Done()
			assert.ErrorIs(t, plain.Err(), context.DeadlineExceeded)
			assert.ErrorIs(t, cause.Err(), context.DeadlineExceeded)
			assert.ErrorIs(t, context.Cause(cause), context.DeadlineExceeded)
			assert.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
			return in, nil
		}).Timeout(time.Second)
		var kept context.Context
		step2 := step.New("keep", func(ctx context.Context, in int) (int, error) {
			kept = ctx
			return in, nil
		})
		f := flow.New[int]("f").Then(step1).Then(step2)
		done(t, start(t, f, running(t, newBroker(), flow.Options{}, f), 1))
		after.Wait()
		require.EqualValues(t, 1, fired.Load())
		require.Zero(t, stopped.Load())
		<-kept.Done()
		require.ErrorIs(t, kept.Err(), context.Canceled, "it ends with the attempt")
		require.Equal(t, "keep", step.InfoFrom(kept).Path)
	})
}

func TestACancelledPartIsToldThroughItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told error
		f := flow.New[int]("f").Both("both",
			step.New("long", func(ctx context.Context, in int) (int, error) {
				derived, cancel := context.WithTimeout(ctx, time.Hour)
				defer cancel()
				<-derived.Done()
				told = derived.Err()
				return 0, ctx.Err()
			}).Timeout(time.Hour),
			step.New("no", func(context.Context, int) (int, error) {
				time.Sleep(time.Second)
				return 0, step.Refused(errDeclined)
			}), func(a, b, c int) int { return a + b + c })
		began := time.Now()
		err := failed(t, start(t, f, running(t, newBroker(), flow.Options{}, f), 1))
		require.ErrorIs(t, err, errDeclined)
		require.Empty(t, err.Also)
		require.Equal(t, time.Second, time.Since(began))
		require.ErrorIs(t, told, context.Canceled)
	})
}

func TestPanicsBecomeErrorsWhoseStackStaysHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logs
		b := newBroker()
		f := flow.New[int]("f").Then(step.New("boom", func(context.Context, int) (int, error) { panic(fmt.Errorf("index 7: %w", errBroken)) }))
		e := running(t, b, flow.Options{Logger: log.logger()}, f)
		future := start(t, f, e, 1, flow.ID("s"))
		for _, each := range []flow.Future[int]{future, f.Attach(newEngine(b, flow.Options{}), "s")} {
			err := failed(t, each)
			require.ErrorContains(t, err, "panic: index 7: stock: out of order")
			panicked, ok := errors.AsType[*step.PanicError](err)
			require.True(t, ok)
			require.Empty(t, panicked.Stack)
			require.ErrorIs(t, err, errBroken)
		}
		require.Contains(t, log.String(), "engine_attempt_test.go")
		require.Contains(t, log.String(), "step panicked")
		snap, err := f.Attach(e, "s").Await(t.Context())
		require.Zero(t, snap)
		require.NotContains(t, err.Error(), "engine_attempt_test.go")
	})
}

func TestAPanicOfAnUndoIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var undos atomic.Int64
		_, err := runStep(t, fails("no", errDeclined).Compensate(func(context.Context, step.Effect[int, int]) error {
			if undos.Add(1) == 1 {
				panic("undo")
			}
			return nil
		}), flow.Options{})
		require.ErrorIs(t, err, errDeclined)
		require.Equal(t, flow.StateUndone, err.(*flow.Error).State)
		require.EqualValues(t, 2, undos.Load())
	})
}

func TestAStepMayEndItsGoroutine(t *testing.T) {
	for _, concurrency := range []int{1, 100} {
		t.Run(fmt.Sprint(concurrency), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int64
				exit := step.New("exit", func(context.Context, int) (int, error) {
					if calls.Add(1)%2 == 1 {
						runtime.Goexit()
					}
					return 7, nil
				}).Retry(step.Retry{Attempts: 2})
				f := flow.New[int]("f").Then(exit)
				once := flow.New[int]("once").Then(step.New("exit", func(context.Context, int) (int, error) { runtime.Goexit(); return 0, nil }))
				e := running(t, newBroker(), flow.Options{Concurrency: concurrency}, f, once)
				for range 10 {
					require.Equal(t, 7, done(t, start(t, f, e, 1)))
				}
				require.ErrorContains(t, failed(t, start(t, once, e, 1)), "the step ended its goroutine with runtime.Goexit")
			})
		})
	}
}

func TestAnAttemptThatOutlivesItsContextIsAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logs
		var mu sync.Mutex
		var began []time.Time
		alerts := make(chan flow.Alert, 10)
		late := make(chan struct{})
		deaf := step.New("deaf", func(context.Context, int) (int, error) {
			mu.Lock()
			began = append(began, time.Now())
			first := len(began) == 1
			mu.Unlock()
			if first {
				<-late
				return 1, nil
			}
			return 2, nil
		}).Timeout(time.Second).Retry(step.Retry{Attempts: 2, Delay: time.Nanosecond})
		f := flow.New[int]("f").Then(deaf)
		e := running(t, newBroker(), flow.Options{
			AbandonAfter: 10 * time.Second, Logger: log.logger(), OnAlert: func(_ context.Context, a flow.Alert) { alerts <- a },
		}, f)
		started := time.Now()
		future := start(t, f, e, 1, flow.ID("s"), flow.WithHeaders(flow.Headers{"trace": "t"}))
		require.Equal(t, 2, done(t, future))
		require.Equal(t, 11*time.Second, began[1].Sub(began[0]).Truncate(time.Second), "the next attempt begins only then")
		a := <-alerts
		require.WithinDuration(t, started, a.Started, 0)
		a.Started = time.Time{}
		require.Equal(t, flow.Alert{Kind: flow.AlertAbandoned, SagaID: "s", Flow: "f", Step: "deaf", Headers: flow.Headers{"trace": "t"}}, a)
		require.Contains(t, log.String(), "an attempt did not return after its context had ended")
		close(late) // what it returns now counts no more
		settle()
		require.Equal(t, 2, done(t, future))
		require.Empty(t, alerts)
	})
}

func TestAnAbandonedAttemptWithoutRetriesIsUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := make(chan struct{})
		var undone time.Time
		began := time.Now()
		_, err := runStep(t, step.New("deaf", func(context.Context, int) (int, error) {
			<-late
			return 1, nil
		}).Timeout(time.Second).Compensate(func(_ context.Context, e step.Effect[int, int]) error {
			assert.False(t, e.Known)
			assert.ErrorIs(t, e.Cause, flow.ErrInterrupted)
			undone = time.Now()
			return nil
		}), flow.Options{})
		close(late)
		require.ErrorIs(t, err, flow.ErrInterrupted)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "it did not return within 30s after its context had ended")
		require.Equal(t, 31*time.Second, undone.Sub(began))
	})
}

func TestAnAbandonedPartIsNoFurtherFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := make(chan struct{})
		f := flow.New[int]("f").Both("both",
			step.New("deaf", func(context.Context, int) (int, error) { <-late; return 1, nil }),
			step.New("no", func(context.Context, int) (int, error) { time.Sleep(time.Second); return 0, step.Refused(errDeclined) }),
			func(a, b, c int) int { return a + b + c })
		err := failed(t, start(t, f, running(t, newBroker(), flow.Options{}, f), 1))
		close(late)
		require.ErrorIs(t, err, errDeclined)
		require.Empty(t, err.Also)
		require.Equal(t, []string{"both/deaf"}, err.Kept)
	})
}

func TestInfoOfAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var infos []step.Info
		note := func(ctx context.Context) { infos = append(infos, step.InfoFrom(ctx)) }
		pick := step.New("pick", func(ctx context.Context, in int) (int, error) { note(ctx); return in, nil }).
			Compensate(func(ctx context.Context, _ step.Effect[int, int]) error {
				if note(ctx); len(infos) < 5 {
					return errBroken
				}
				return nil
			}).RetryUndo(step.Retry{Attempts: 3, Delay: time.Nanosecond})
		no := step.New("no", func(ctx context.Context, _ int) (int, error) { note(ctx); return 0, step.Refused(errDeclined) })
		f := flow.New[int]("f").Each("each", func(int) []int { return []int{5} }, pick, func(n int, _ []int) int { return n }).
			Then(flow.New[int]("inner").Then(no)).Deadline(time.Hour)
		e := running(t, newBroker(), flow.Options{Namespace: "shop"}, f)
		deadline := time.Now().Add(time.Hour)
		failed(t, start(t, f, e, 1, flow.ID("s"), flow.WithHeaders(flow.Headers{"h": "v"})))
		info := step.Info{Namespace: "shop", Flow: "f", Saga: "s", Path: "each[0]/pick", Attempt: 1, Deadline: deadline, Headers: map[string]string{"h": "v"}}
		inner := info
		inner.Path = "inner/no"
		undo1, undo2, undo3 := info, info, info
		undo1.Undo, undo2.Undo, undo3.Undo = true, true, true
		undo2.Attempt, undo3.Attempt = 2, 3
		for i := range infos {
			require.WithinDuration(t, deadline, infos[i].Deadline, time.Millisecond)
			infos[i].Deadline = deadline
		}
		require.Equal(t, []step.Info{info, inner, undo1, undo2, undo3}, infos)
		require.Equal(t, "shop/s/each[0]/pick/do", infos[0].Key())
		require.Equal(t, "shop/s/each[0]/pick/undo", infos[2].Key())
	})
}

// An undo's context is its own: neither the saga's deadline nor its cancel ends it.
func TestUndosAreCutShortByNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flow.New[int]("f").Then(adds("a", 1).Compensate(func(ctx context.Context, _ step.Effect[int, int]) error {
			select {
			case <-time.After(30 * time.Minute):
				return nil
			case <-ctx.Done():
				return step.GiveUp(ctx.Err())
			}
		}).Timeout(time.Hour)).Delay("rest", func(int) time.Duration { return time.Hour }).Deadline(time.Minute)
		e := running(t, newBroker(), flow.Options{}, f)
		future := start(t, f, e, 1)
		time.Sleep(2 * time.Minute)
		require.ErrorIs(t, future.Cancel(within(t, time.Minute), "now"), flow.ErrCompensating)
		err := failed(t, future)
		require.ErrorIs(t, err, flow.ErrDeadline)
		require.Equal(t, flow.StateUndone, err.State)
	})
}

func TestLargeOutputsAreFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var undone atomic.Int64
		f := flow.New[int]("f").Then(step.New("large", func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n), nil }).
			Compensate(func(_ context.Context, e step.Effect[int, string]) error {
				undone.Add(1)
				assert.False(t, e.Known)
				return nil
			}))
		e := running(t, newBroker(), flow.Options{MaxPayload: 1000}, f)
		require.Len(t, done(t, start(t, f, e, 900)), 900)
		require.ErrorIs(t, failed(t, start(t, f, e, 1100)), flow.ErrTooLarge)
		require.EqualValues(t, 1, undone.Load())
	})
}
