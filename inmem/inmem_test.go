package inmem_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/inmem"
)

var order = broker.Served{Flow: "order", Version: 1}

func join(t *testing.T, b broker.Broker) broker.Worker {
	t.Helper()
	w, err := b.Join(t.Context(), broker.Member{Name: "w", Build: "b", Flows: []broker.Served{order}, Lease: 10 * time.Second})
	require.NoError(t, err)
	return w
}

func start(t *testing.T, b broker.Broker, by broker.Worker, id string) {
	t.Helper()
	_, err := b.Start(t.Context(), broker.Start{ID: id, Served: order, By: by})
	require.NoError(t, err)
}

func finish(t *testing.T, w broker.Worker, id string, keep time.Duration) {
	t.Helper()
	_, err := w.Commit(t.Context(), broker.Transition{ID: id, Rev: 1, Next: broker.Finish, Keep: keep})
	require.NoError(t, err)
}

// list gives all IDs.
func list(t *testing.T, b broker.Broker) string {
	t.Helper()
	var ids []string
	for shot, err := range b.List(t.Context(), broker.Filter{}) {
		require.NoError(t, err)
		ids = append(ids, shot.ID)
	}
	return strings.Join(ids, " ")
}

func TestAKilledWorkerIsTakenOverExactlyWhenItsLeaseHasPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inmem.New()
		first, second := join(t, b), join(t, b)
		start(t, b, first, "a")
		killed := time.Now()
		b.Kill(first)
		b.Kill(first)
		_, err := second.Receive(t.Context(), 1)
		require.NoError(t, err)
		assert.Equal(t, 10*time.Second, time.Since(killed))
	})
}

func TestTheCallsOfAKilledWorkerFailAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inmem.New()
		w := join(t, b)
		start(t, b, w, "a")
		time.AfterFunc(time.Hour, func() { b.Kill(w) })
		begin := time.Now()
		_, err := w.Receive(t.Context(), 1)
		assert.ErrorIs(t, err, broker.ErrFenced)
		assert.Equal(t, time.Hour, time.Since(begin))
		_, err = w.Commit(t.Context(), broker.Transition{ID: "a", Rev: 1})
		assert.ErrorIs(t, err, broker.ErrFenced)
		assert.ErrorIs(t, w.Leave(t.Context()), broker.ErrFenced)

		start(t, b, w, "b")
		shot, err := b.Lookup(t.Context(), "b", false)
		require.NoError(t, err)
		assert.Equal(t, broker.Ready, shot.State)
	})
}

func TestAParkedSagaWakesAtItsVeryTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inmem.New()
		w := join(t, b)
		begin := time.Now()
		for i := range 50 {
			id := fmt.Sprint(i)
			start(t, b, w, id)
			_, err := w.Commit(t.Context(), broker.Transition{
				ID: id, Rev: 1, Next: broker.Park, Until: begin.Add(time.Duration(i*37%50+1) * time.Hour),
			})
			require.NoError(t, err)
		}
		for hour := range 50 {
			got, err := w.Receive(t.Context(), 50)
			require.NoError(t, err)
			assert.Len(t, got, 1)
			assert.Equal(t, time.Duration(hour+1)*time.Hour, time.Since(begin))
		}
	})
}

func TestRetainForgetsWhatExpiresFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inmem.New(inmem.Retain(2))
		w := join(t, b)
		for id, keep := range map[string]time.Duration{"a": 3 * time.Hour, "b": time.Hour, "c": 2 * time.Hour} {
			start(t, b, w, id)
			finish(t, w, id, keep)
		}
		assert.Equal(t, "a c", list(t, b))
		stats, err := b.Stats(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 2, stats.Finished)
		time.Sleep(2 * time.Hour)
		assert.Equal(t, "a", list(t, b))
		time.Sleep(time.Hour)
		assert.Empty(t, list(t, b))
	})
}

func TestWorkersThatComeLateGetTheirShare(t *testing.T) {
	b := inmem.New()
	for i := range 8 {
		start(t, b, nil, fmt.Sprint(i))
	}
	first, second := join(t, b), join(t, b)
	got, err := first.Receive(t.Context(), 100)
	require.NoError(t, err)
	assert.Len(t, got, 4)
	got, err = second.Receive(t.Context(), 100)
	require.NoError(t, err)
	assert.Len(t, got, 2)
	require.NoError(t, first.Leave(t.Context()))
	got, err = second.Receive(t.Context(), 100)
	require.NoError(t, err)
	assert.Len(t, got, 6)
}

func TestAnOwnerIsToldOfMailOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inmem.New()
		w := join(t, b)
		start(t, b, w, "a")
		for _, id := range []string{"e", "f"} {
			require.NoError(t, b.Deliver(t.Context(), "a", broker.Event{ID: id}))
			assert.Equal(t, []string{id}, news(t, w))
		}
		require.NoError(t, b.Deliver(t.Context(), "a", broker.Event{ID: "g"}))
		_, err := w.Commit(t.Context(), broker.Transition{ID: "a", Rev: 1, Consume: []string{"e"}})
		require.NoError(t, err)
		assert.Empty(t, news(t, w), "the ack told of the mail")

		_, err = w.Commit(t.Context(), broker.Transition{ID: "a", Rev: 2, Next: broker.GiveBack})
		require.NoError(t, err)
		require.NoError(t, b.Deliver(t.Context(), "a", broker.Event{ID: "h"}))
		got, err := w.Receive(t.Context(), 1)
		require.NoError(t, err)
		assert.Len(t, got[0].Saga.Mail, 3)
		require.NoError(t, b.Deliver(t.Context(), "a", broker.Event{ID: "i"}))
		assert.Equal(t, []string{"i"}, news(t, w))
	})
}

// news gives the events that w is told of within an hour.
func news(t *testing.T, w broker.Worker) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	got, _ := w.Receive(ctx, 0)
	var ids []string
	for _, d := range got {
		for _, ev := range d.Mail {
			ids = append(ids, ev.ID)
		}
	}
	return ids
}

func TestShuffleFollowsFromItsSeed(t *testing.T) {
	orders := make(map[string]bool)
	for seed := range uint64(5) {
		first, again := shuffled(t, seed), shuffled(t, seed)
		assert.Equal(t, first, again)
		orders[fmt.Sprint(first)] = true
		slices.Sort(first)
		assert.Equal(t, []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}, first)
	}
	assert.Greater(t, len(orders), 3)
}

// shuffled gives the order in which ten sagas of two flows are handed out.
func shuffled(t *testing.T, seed uint64) []string {
	b := inmem.New(inmem.Shuffle(seed))
	flows := []broker.Served{{Flow: "a"}, {Flow: "b"}}
	for i := range 10 {
		_, err := b.Start(t.Context(), broker.Start{ID: fmt.Sprint(i), Served: flows[i%2]})
		require.NoError(t, err)
	}
	w, err := b.Join(t.Context(), broker.Member{Flows: flows, Lease: time.Second})
	require.NoError(t, err)
	var ids []string
	for len(ids) < 10 {
		got, err := w.Receive(t.Context(), 3)
		require.NoError(t, err)
		for _, d := range got {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

func TestMistakesAreNamed(t *testing.T) {
	b, other := inmem.New(), inmem.New()
	w, foreign := join(t, b), join(t, other)
	start(t, b, w, "a")

	_, err := b.Start(t.Context(), broker.Start{ID: "b", By: foreign})
	assert.EqualError(t, err, `inmem: start "b": the worker of By is of another broker`)
	_, err = b.Join(t.Context(), broker.Member{Name: "w"})
	assert.EqualError(t, err, `inmem: join "w": the lease must be positive`)
	_, err = w.Commit(t.Context(), broker.Transition{ID: "a", Rev: 1, Next: broker.Reject + 1})
	assert.EqualError(t, err, `inmem: commit "a" at revision 1: unknown Next 7`)
	_, err = w.Commit(t.Context(), broker.Transition{ID: "a", Rev: 1, Send: []broker.Message{
		{ID: "m", To: "b", Start: &broker.Start{ID: "c"}},
	}})
	assert.EqualError(t, err,
		`inmem: commit "a" at revision 1: message "m" needs either an Event, or a Start of the saga it is to`)
	_, err = w.Commit(t.Context(), broker.Transition{ID: "unknown", Rev: 1})
	assert.EqualError(t, err, `inmem: commit "unknown" at revision 1: saga is at another revision`)
	assert.PanicsWithValue(t, "inmem: Kill needs a worker of this broker", func() { b.Kill(foreign) })
}
