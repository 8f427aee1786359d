package redisx_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
)

// A worker that looks for nothing by itself must hear of every saga that becomes ready, and of mail for its own.
func TestWorkersAreWoken(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	start := func(record int) func(*testing.T, broker.Broker, broker.Worker, string) {
		return func(t *testing.T, b broker.Broker, _ broker.Worker, id string) {
			_, err := b.Start(t.Context(), broker.Start{ID: id, Served: orders, Record: make([]byte, record)})
			require.NoError(t, err)
		}
	}
	for name, wake := range map[string]func(*testing.T, broker.Broker, broker.Worker, string){
		"by a small saga": start(10),
		"by a large saga": start(100_000),
		"by a saga that is given back": func(t *testing.T, b broker.Broker, other broker.Worker, id string) {
			startBy(t, b, other, id)
			_, err := other.Commit(t.Context(), broker.Transition{ID: id, Rev: 1, Next: broker.GiveBack})
			require.NoError(t, err)
		},
		"by mail for a saga that waits": func(t *testing.T, b broker.Broker, other broker.Worker, id string) {
			startBy(t, b, other, id)
			_, err := other.Commit(t.Context(), broker.Transition{ID: id, Rev: 1, Next: broker.Park})
			require.NoError(t, err)
			require.NoError(t, b.Deliver(t.Context(), id, broker.Event{ID: "e"}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			here := newBroker(t, client, redisx.Options{Namespace: name})
			there := newBroker(t, client, redisx.Options{Namespace: name})
			w, other := joinQuietly(t, here), joinQuietly(t, there)
			for i := range 20 { // the first it may find by itself, while it begins to listen
				wake(t, there, other, fmt.Sprint(i))
				got, err := w.Receive(soon(t), 1)
				require.NoError(t, err)
				require.Equal(t, fmt.Sprint(i), got[0].ID)
			}
		})
	}
	t.Run("by mail for its own saga", func(t *testing.T) {
		here := newBroker(t, client, redisx.Options{Namespace: t.Name()[:10]})
		there := newBroker(t, client, redisx.Options{Namespace: t.Name()[:10]})
		w := joinQuietly(t, here)
		startBy(t, here, w, "a")
		for i := range 20 {
			require.NoError(t, there.Deliver(t.Context(), "a", broker.Event{ID: fmt.Sprint(i)}))
			got, err := w.Receive(soon(t), 1)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(i), got[0].Mail[0].ID)
		}
	})
}
