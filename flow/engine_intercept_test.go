package flow_test

import (
	"context"
	"errors"
	"fmt"
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

type next = func(context.Context) error

// intercepting gives options with these interceptors.
func intercepting(is ...flow.Interceptor) flow.Options { return flow.Options{Interceptors: is} }

func TestInterceptorsRunAroundEveryAttemptOfStepsAndUndos(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		note := func(who string) flow.Interceptor {
			return func(ctx context.Context, next next) error {
				info := step.InfoFrom(ctx)
				err := next(ctx)
				seen = append(seen, fmt.Sprintf("%s: %s of %s/%s, attempt %d, undo %v: %v", who, info.Path, info.Flow, info.Saga, info.Attempt, info.Undo, err))
				return err
			}
		}
		tries := 0
		f := flow.New[int]("f").
			Then(adds("a", 1).Compensate(func(context.Context, step.Effect[int, int]) error {
				if tries++; tries == 1 {
					return errBroken
				}
				return nil
			})).
			Then(fails("b", errDeclined).Retry(step.Retry{Attempts: 2}))
		e := running(t, newBroker(), intercepting(note("outer"), note("inner")), f)
		failed(t, start(t, f, e, 1, flow.ID("s")))
		both := func(s string) []string { return []string{"inner: " + s, "outer: " + s} }
		var want []string
		for _, s := range []string{
			"a of f/s, attempt 1, undo false: <nil>", "b of f/s, attempt 1, undo false: bank: declined", "b of f/s, attempt 2, undo false: bank: declined",
			"a of f/s, attempt 1, undo true: stock: out of order", "a of f/s, attempt 2, undo true: <nil>",
		} {
			want = append(want, both(s)...)
		}
		assert.Equal(t, want, seen)
	})
}

func TestAnInterceptorGivesTheAnswerOfTheAttempt(t *testing.T) {
	calls := 0
	count := step.New("count", func(_ context.Context, n int) (int, error) {
		if calls++; n < 0 || n+calls == 102 {
			return 0, errBroken
		}
		return n + calls, nil
	}).Refuses(errDeclined)
	for name, c := range map[string]struct {
		in        int
		intercept flow.Interceptor
		calls     int
		out       int
		err       string
		refused   bool
	}{
		"passes on":         {0, func(ctx context.Context, next next) error { return next(ctx) }, 1, 1, "", false},
		"calls twice":       {0, func(ctx context.Context, next next) error { return errors.Join(next(ctx), next(ctx)) }, 2, 2, "", false},
		"fails before":      {0, func(context.Context, next) error { return errBroken }, 0, 0, "stock: out of order", false},
		"loses the reply":   {0, func(ctx context.Context, next next) error { _ = next(ctx); return errBroken }, 1, 0, "stock: out of order", false},
		"refuses":           {0, func(context.Context, next) error { return step.Refused(errBroken) }, 0, 0, "stock: out of order", true},
		"refuses as listed": {0, func(context.Context, next) error { return errDeclined }, 0, 0, "bank: declined", true},
		"panics":            {0, func(context.Context, next) error { panic("oops") }, 0, 0, "panic: oops", false},
		"does nothing":      {0, func(context.Context, next) error { return nil }, 0, 0, "answered nil, although no next did", false},
		"hides an error":    {-9, func(ctx context.Context, next next) error { _ = next(ctx); return nil }, 1, 0, "answered nil, although no next did", false},
		"ignores a second":  {100, func(ctx context.Context, next next) error { _, _ = next(ctx), next(ctx); return nil }, 2, 101, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls = 0
				undone := false
				s := count.Compensate(func(context.Context, step.Effect[int, int]) error { undone = true; return nil })
				around := func(ctx context.Context, next next) error {
					if step.InfoFrom(ctx).Undo {
						return next(ctx)
					}
					return c.intercept(ctx, next)
				}
				f := flow.New[int]("f").Then(s)
				out, err := await(t, start(t, f, running(t, newBroker(), intercepting(around), f), c.in))
				assert.Equal(t, c.calls, calls)
				if c.err == "" {
					require.NoError(t, err)
					assert.Equal(t, c.out, out)
					return
				}
				require.ErrorContains(t, err, c.err)
				assert.Equal(t, !c.refused, undone, "the undo of an unknown outcome runs")
			})
		})
	}
}

func TestTheInnerOutputPassesThroughAllInterceptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pass := func(ctx context.Context, next next) error { return next(ctx) }
		silent := func(ctx context.Context, next next) error { return nil }
		f := flow.New[int]("f").Then(adds("a", 2))
		assert.Equal(t, 3, done(t, start(t, f, running(t, newBroker(), intercepting(pass, pass, pass), f), 1)))
		_, err := await(t, start(t, f, running(t, newBroker(), intercepting(pass, silent, pass), f), 1))
		require.ErrorContains(t, err, "answered nil, although no next did")
	})
}

func TestAnInterceptorMayChangeTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		limit := func(ctx context.Context, next next) error {
			ctx, cancel := context.WithTimeout(context.WithValue(ctx, key{}, "value"), time.Second)
			defer cancel()
			return next(ctx)
		}
		began := time.Now()
		_, err := runStep(t, step.New("slow", func(ctx context.Context, _ int) (int, error) {
			assert.Equal(t, "value", ctx.Value(key{}))
			assert.Equal(t, "slow", step.InfoFrom(ctx).Path)
			<-ctx.Done()
			return 0, ctx.Err()
		}), intercepting(limit))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(began))
	})
}

func TestUndosThatProceedPassThroughInterceptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pass := func(ctx context.Context, next next) error { return next(ctx) }
		s := fails("a", errBroken).Compensate(func(_ context.Context, e step.Effect[int, int]) error { return e.Proceed(7) })
		out, err := runStep(t, s, intercepting(pass))
		require.NoError(t, err)
		assert.Equal(t, 7, out)
	})
}

// An interceptor that goes on without next is answered, and what next gives later changes nothing.
func TestNextAfterTheInterceptorReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		var late error
		var over sync.WaitGroup
		impatient := func(ctx context.Context, next next) error {
			detached := context.WithoutCancel(ctx)
			over.Go(func() {
				assert.NoError(t, next(detached))
				late = next(detached)
			})
			time.Sleep(time.Second)
			return errBroken
		}
		_, err := runStep(t, g.at("slow"), intercepting(impatient))
		require.ErrorIs(t, err, errBroken)
		g.open()
		over.Wait()
		require.ErrorContains(t, late, "called next after it had returned")
	})
}

func TestInterceptorsOfManySagas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		count := func(ctx context.Context, next next) error {
			calls.Add(1)
			return next(ctx)
		}
		f := flow.New[int]("f").Then(adds("a", 1)).Both("both", adds("b", 1), adds("c", 2), func(_, b, c int) int { return b + c })
		e := running(t, newBroker(), intercepting(count), f)
		futures := make([]flow.Future[int], 100)
		for k := range futures {
			futures[k] = start(t, f, e, k)
		}
		for k, future := range futures {
			assert.Equal(t, 2*(k+1)+3, done(t, future))
		}
		assert.EqualValues(t, 300, calls.Load())
	})
}

func TestANilInterceptorPanics(t *testing.T) {
	assert.PanicsWithValue(t, "flow: Options.Interceptors[1] is nil", func() {
		flow.NewEngine(newBroker(), intercepting(func(ctx context.Context, next next) error { return next(ctx) }, nil))
	})
}
