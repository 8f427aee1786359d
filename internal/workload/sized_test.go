package workload_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/internal/measure"
	"github.com/skald-go/skald/internal/workload"
)

func TestSizedSagasEndAsTheyAreMeantTo(t *testing.T) {
	for _, steps := range []int{1, 3, 100} {
		success, rollback := workload.Sized(steps, 200)
		b := inmem.New()
		e, err := measure.RunEngine(t.Context(), b, workload.Options(), success.Flow, rollback.Flow)
		require.NoError(t, err)
		assert.NoError(t, success.Call(t.Context(), e.Engine))
		assert.NoError(t, rollback.Call(t.Context(), e.Engine))
		require.NoError(t, e.Stop())
		require.NoError(t, b.Close())
	}
}

func TestASagaThatEndsOtherwiseIsAnError(t *testing.T) {
	b := inmem.New()
	defer b.Close()
	e, err := measure.RunEngine(t.Context(), b, workload.Options(), workload.Success, workload.Rollback)
	require.NoError(t, err)
	defer e.Stop()
	assert.ErrorIs(t, workload.Of(workload.Rollback, workload.Input(), nil).Call(t.Context(), e.Engine), workload.ErrNoCourier)
	assert.ErrorContains(t, workload.Of(workload.Success, workload.Input(), workload.ErrNoCourier).Call(t.Context(), e.Engine), "is done, but was to fail")
}

func TestSizesThatMakeNoSensePanic(t *testing.T) {
	assert.Panics(t, func() { workload.Sized(0, 1) })
	assert.Panics(t, func() { workload.Sized(1, -1) })
}
