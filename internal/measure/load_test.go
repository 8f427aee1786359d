package measure_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/internal/measure"
)

func TestALoadMakesAsManyCallsAsItSays(t *testing.T) {
	var calls, done atomic.Int64
	times, err := measure.Load{Callers: 7, Calls: 1000, Done: &done}.Run(t.Context(), func(context.Context) error {
		calls.Add(1)
		return nil
	})
	require.NoError(t, err)
	assert.EqualValues(t, 1000, calls.Load())
	assert.EqualValues(t, 1000, done.Load())
	assert.Equal(t, 1000, times.Calls)
	assert.Positive(t, times.Throughput())
}

func TestTimesArePercentiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		times, err := measure.Load{Callers: 1, Calls: 100}.Run(t.Context(), func(context.Context) error {
			time.Sleep(time.Duration(calls.Add(1)) * time.Millisecond)
			return nil
		})
		require.NoError(t, err)
		assert.Equal(t, 5050*time.Millisecond, times.Elapsed)
		assert.InEpsilon(t, 50*time.Millisecond, times.Percentile(50), 0.001)
		assert.InEpsilon(t, 99*time.Millisecond, times.Percentile(99), 0.001)
		assert.InEpsilon(t, 100*time.Millisecond, times.Percentile(100), 0.001)
		assert.InEpsilon(t, 100/5.05, times.Throughput(), 0.001)
	})
}

func TestALoadEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		times, err := measure.Load{Callers: 2, Length: time.Second}.Run(t.Context(), func(context.Context) error {
			time.Sleep(300 * time.Millisecond)
			return nil
		})
		require.NoError(t, err)
		assert.Equal(t, 8, times.Calls)
	})
}

func TestALoadEndsWithTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	var calls atomic.Int64
	_, err := measure.Load{Callers: 4, Calls: 1_000_000}.Run(t.Context(), func(ctx context.Context) error {
		if calls.Add(1) == 10 {
			return broken
		}
		return nil
	})
	assert.ErrorIs(t, err, broken)
	assert.Less(t, calls.Load(), int64(1_000_000))
}

func TestCallsThatNoLongerReturnAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		_, err := measure.Load{Callers: 2, Calls: 10}.Run(t.Context(), func(ctx context.Context) error {
			if calls.Add(1) > 8 {
				<-ctx.Done()
				return ctx.Err()
			}
			time.Sleep(50 * time.Second)
			return nil
		})
		assert.ErrorIs(t, err, measure.ErrStalled)
	})
}

func TestALoadEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var calls atomic.Int64
	_, err := measure.Load{Callers: 4, Calls: 1_000_000}.Run(ctx, func(context.Context) error {
		if calls.Add(1) == 10 {
			cancel()
		}
		return nil
	})
	assert.ErrorIs(t, err, context.Canceled)
}
