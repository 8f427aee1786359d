package redisx_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
)

// What the server handed out in an answer that was lost, a worker must notice by itself.
func TestAnAnswerThatNobodyHeard(t *testing.T) {
	verifyNone(t)
	b := newBroker(t, redistest.Start(t).Client(), redisx.Options{})
	w, err := b.Join(t.Context(), broker.Member{Build: "b", Flows: []broker.Served{orders}, Lease: 2 * time.Second})
	require.NoError(t, err)
	_, err = b.Start(t.Context(), broker.Start{ID: "a", Served: orders})
	require.NoError(t, err)
	require.NoError(t, redisx.TakeUnheard(t.Context(), w))
	got, err := w.Receive(soon(t), 1)
	require.NoError(t, err)
	assert.Equal(t, "a", got[0].ID)
	assert.Equal(t, uint64(1), got[0].Saga.Rev)
}

// A start whose caller gave up may have been applied. Then its worker owns the saga, and must be told of it at once.
func TestAStartWhoseCallerGaveUp(t *testing.T) {
	verifyNone(t)
	s := redistest.Start(t)
	admin, b := s.Client(), newBroker(t, s.Client(), redisx.Options{})
	w := joinQuietly(t, b)
	require.NoError(t, s.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := b.Start(ctx, broker.Start{ID: "a", Served: orders, By: w})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, s.Resume())
	eventually(t, func() bool { return admin.HExists(t.Context(), "{skald:00}:m", "a").Val() }, "the server applies the start")
	got, err := w.Receive(soon(t), 1)
	require.NoError(t, err)
	assert.Equal(t, "a", got[0].ID)
}
