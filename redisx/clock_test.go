package redisx_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
)

// A worker whose clock is wrong by a year parks its sagas for as long as it says, and not until a time that only it believes in.
func TestSagasWakeByTheServersClock(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	b := newBroker(t, client, redisx.Options{})
	w := joinQuietly(t, b)
	const year = 365 * 24 * time.Hour
	for _, id := range []string{"short", "long"} {
		startBy(t, b, w, id)
	}
	require.NoError(t, redisx.ParkAhead(t.Context(), w, "short", 1, 10*time.Millisecond, year))
	require.NoError(t, redisx.ParkAhead(t.Context(), w, "long", 1, time.Hour, -year))
	got, err := w.Receive(soon(t), 2)
	require.NoError(t, err)
	require.Equal(t, "short", got[0].ID)
	_, err = redisx.Sweep(t.Context(), b)
	require.NoError(t, err)
	shot, err := b.Lookup(t.Context(), "long", false)
	require.NoError(t, err)
	assert.Equal(t, broker.Parked, shot.State)
	wakes, err := client.ZScore(t.Context(), "{skald:00}:pk", "long").Result()
	require.NoError(t, err)
	assert.InDelta(t, time.Now().Add(time.Hour).UnixMilli(), wakes, float64(time.Minute.Milliseconds()))
}
