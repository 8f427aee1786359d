package redisx_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/measure"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/internal/workload"
)

// What make soak-memory measures at length.

func TestSagasLeaveNoKeyAndNoMemory(t *testing.T) {
	verifyNone(t)
	server := redistest.Start(t)
	store := measure.WholeServer{Client: server.Client()}
	const sagas = 5000
	for _, saga := range []workload.Saga{workload.SuccessSaga, workload.RollbackSaga} {
		site, err := measure.Place{Addr: server.Addr, Keep: time.Second}.Local(t.Context(), saga)
		require.NoError(t, err)
		before, after, err := site.Left(t.Context(), store, measure.Load{Callers: 64, Calls: sagas}, time.Minute)
		require.NoError(t, err)
		require.NoError(t, site.Close())
		assert.Equal(t, before.Keys, after.Keys, saga.Name)
		assert.Less(t, after.Bytes-before.Bytes, float64(1<<20), saga.Name)
		t.Logf("%d sagas of %s leave %.0f bytes", sagas, saga.Name, after.Bytes-before.Bytes)
	}
}

// A saga of which 350 bytes stay while it can be read is what Keys promises.
func TestAFinishedSagaTakesAsMuchAsKeysSays(t *testing.T) {
	server := redistest.Start(t)
	store := measure.WholeServer{Client: server.Client()}
	place := measure.Place{Addr: server.Addr, Keep: time.Hour}
	const sagas = 5000
	size := func(sagas int) float64 {
		site, err := place.Crowd(t.Context(), broker.Finished, sagas)
		require.NoError(t, err)
		size, err := store.Size(t.Context())
		require.NoError(t, err)
		require.NoError(t, site.Close())
		return size.Bytes
	}
	before := size(100)
	each := (size(sagas) - before) / sagas
	assert.Less(t, each, 350.0)
	t.Logf("%.0f bytes each", each)
}

// One caller at a time: its commands do not depend on how they are batched.
func TestASagaCostsNoMoreCommandsWhenManyOthersRest(t *testing.T) {
	verifyNone(t)
	for _, state := range []broker.State{broker.Parked, broker.Finished} {
		few, many := commandsAmong(t, state, 10), commandsAmong(t, state, 5000)
		assert.InEpsilon(t, few, many, 0.2, "commands a saga, others are %v", state)
	}
}

// commandsAmong is how many commands a saga takes while others rest.
func commandsAmong(t *testing.T, state broker.State, others int) float64 {
	t.Helper()
	place := measure.Place{Addr: redistest.Start(t).Addr, Keep: time.Hour}
	crowd, err := place.Crowd(t.Context(), state, others)
	require.NoError(t, err)
	site, err := place.Local(t.Context(), workload.SuccessSaga)
	require.NoError(t, err)
	costs, err := site.Measure(t.Context(), measure.Load{Callers: 1, Calls: 500})
	require.NoError(t, err)
	require.NoError(t, site.Close())
	require.NoError(t, crowd.Close())
	return costs.Server.Commands / float64(costs.Calls)
}
