package inmem_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/inmem"
)

var order = broker.Served{Flow: "order", Version: 1}

func join(t *testing.T, b broker.Broker, build string) broker.Worker {
	t.Helper()
	w, err := b.Join(t.Context(), broker.Member{Name: build, Build: build, Flows: []broker.Served{order}, Lease: 10 * time.Second})
	require.NoError(t, err)
	return w
}

func TestAKilledWorkerIsTakenOverWhenItsLeaseHasPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inmem.New()
		first, second := join(t, b, "first"), join(t, b, "second")
		_, err := b.Start(t.Context(), broker.Start{ID: "a", Served: order, By: first})
		require.NoError(t, err)
		killed := time.Now()
		b.Kill(first)
		_, err = first.Commit(t.Context(), broker.Transition{ID: "a", Rev: 1})
		require.ErrorIs(t, err, broker.ErrFenced)

		got, err := second.Receive(t.Context(), 1)
		require.NoError(t, err)
		assert.Equal(t, 10*time.Second, time.Since(killed))
		assert.Equal(t, 1, got[0].Saga.Takeovers)
	})
}

func TestParkWakesByTimeAndByMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inmem.New()
		w := join(t, b, "b")
		_, err := b.Start(t.Context(), broker.Start{ID: "a", Served: order})
		require.NoError(t, err)
		got, err := w.Receive(t.Context(), 1)
		require.NoError(t, err)
		require.Len(t, got, 1)
		parked := time.Now()
		_, err = w.Commit(t.Context(), broker.Transition{ID: "a", Rev: 1, Next: broker.Park, Until: time.Now().Add(time.Hour)})
		require.NoError(t, err)
		got, err = w.Receive(t.Context(), 1)
		require.NoError(t, err)
		assert.Equal(t, time.Hour, time.Since(parked))
		assert.EqualValues(t, 2, got[0].Saga.Rev)

		_, err = w.Commit(t.Context(), broker.Transition{ID: "a", Rev: 2, Next: broker.Park})
		require.NoError(t, err)
		time.AfterFunc(time.Minute, func() {
			assert.NoError(t, b.Deliver(context.Background(), "a", broker.Event{ID: "e", Name: "paid"}))
		})
		got, err = w.Receive(t.Context(), 1)
		require.NoError(t, err)
		assert.Equal(t, "paid", got[0].Saga.Mail[0].Name)
	})
}
