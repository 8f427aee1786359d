package inmem

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
)

func parked(t *testing.T, b *Broker, until time.Time) *saga {
	t.Helper()
	w, err := b.Join(t.Context(), broker.Member{Lease: time.Second})
	require.NoError(t, err)
	_, err = b.Start(t.Context(), broker.Start{ID: "a", By: w})
	require.NoError(t, err)
	_, err = w.Commit(t.Context(), broker.Transition{ID: "a", Rev: 1, Next: broker.Park, Until: until})
	require.NoError(t, err)
	return b.find("a")
}

func TestMailTakesTheTimeOffTheAgenda(t *testing.T) {
	b := New()
	parked(t, b, time.Now().Add(time.Hour))
	require.Len(t, b.wakes.items, 1)
	require.NoError(t, b.Deliver(t.Context(), "a", broker.Event{ID: "e"}))
	assert.Empty(t, b.wakes.items)
}

func TestAStartTakesItsMailOffTheAgenda(t *testing.T) {
	b := New()
	require.NoError(t, b.Deliver(t.Context(), "a", broker.Event{ID: "e"}))
	require.Len(t, b.early.items, 1)
	_, err := b.Start(t.Context(), broker.Start{ID: "a"})
	require.NoError(t, err)
	assert.Empty(t, b.early.items)
}

func TestAFinishForgetsWhatIsTooMuch(t *testing.T) {
	b := New(Retain(2))
	w, err := b.Join(t.Context(), broker.Member{Lease: time.Second})
	require.NoError(t, err)
	for _, id := range []string{"a", "b", "c", "d"} {
		_, err := b.Start(t.Context(), broker.Start{ID: id, By: w})
		require.NoError(t, err)
		_, err = w.Commit(t.Context(), broker.Transition{ID: id, Rev: 1, Next: broker.Finish, Keep: time.Hour})
		require.NoError(t, err)
	}
	assert.Len(t, b.kept.items, 2)
	assert.Nil(t, b.find("b"))
	assert.NotNil(t, b.find("c"))
}

// A saga that has come off the agenda can have been woken by mail and parked again, before its wake gets the lock.
func TestALateWakeIsPassedOver(t *testing.T) {
	b := New()
	s := parked(t, b, time.Now().Add(time.Hour))
	b.wake(s)
	assert.Equal(t, broker.Parked, s.state)
}

// Early mail that has come off the agenda can have got a start or more time, before it is forgotten.
func TestALateForgettingIsPassedOver(t *testing.T) {
	b := New()
	require.NoError(t, b.Deliver(t.Context(), "a", broker.Event{ID: "e"}))
	s := b.find("a")
	b.forget(s, unborn)
	assert.Same(t, s, b.find("a"))
	_, err := b.Start(t.Context(), broker.Start{ID: "a"})
	require.NoError(t, err)
	b.forget(s, unborn)
	assert.Same(t, s, b.find("a"))
}

// A worker can die after it has taken a saga off the queue, and before it owns it.
func TestWhatTheDeadTakeIsPutBack(t *testing.T) {
	b := New()
	joined, err := b.Join(t.Context(), broker.Member{Flows: []broker.Served{{}}, Lease: time.Second})
	require.NoError(t, err)
	_, err = b.Start(t.Context(), broker.Start{ID: "a"})
	require.NoError(t, err)
	w := joined.(*worker)
	_, sagas, _, err := b.queue.poll(w, 1)
	require.NoError(t, err)
	b.Kill(w)
	got, err := w.deliveries(nil, sagas)
	assert.ErrorIs(t, err, broker.ErrFenced)
	assert.Empty(t, got)
	assert.Equal(t, 1, b.queue.ready)
}

func TestCloseStopsTheTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New()
		s := parked(t, b, time.Now().Add(time.Hour))
		w, err := b.Join(t.Context(), broker.Member{Lease: time.Hour})
		require.NoError(t, err)
		b.Kill(w)
		require.NoError(t, b.Close())
		assert.False(t, b.alarm.timer.Stop(), "the alarm is still set")
		assert.False(t, w.(*worker).lease.Stop(), "the lease is still running")
		b.arm()
		b.ring()
		assert.False(t, b.alarm.timer.Stop(), "the alarm is set again")
		assert.Equal(t, broker.Parked, s.state)
	})
}

func TestMemoryOfASagaIsReused(t *testing.T) {
	b := New()
	l := b.newLive([]byte("record"))
	l.append([]broker.Entry{{Path: "p", Data: []byte("data")}})
	l.takeovers, l.rejected = 3, []string{"build"}
	b.reuse(l)
	assert.Equal(t, live{data: []byte{}, entries: []entry{}}, *l)
	assert.Equal(t, entry{}, l.entries[:1][0], "the path is kept alive")

	big := b.newLive(make([]byte, maxReused+1))
	big.takeovers = 3
	b.reuse(big)
	assert.Equal(t, 3, big.takeovers, "too big to be kept")
}

func TestAgendaIsAnOrderedQueue(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var a agenda
		var all []*saga
		for range random.IntN(30) {
			s := &saga{due: random.Int64N(20)}
			a.add(s)
			all = append(all, s)
		}
		left := 0
		for _, s := range all {
			if random.IntN(2) == 0 {
				a.remove(s)
				a.remove(s)
				assert.Zero(t, s.slot)
			} else {
				left++
			}
		}
		for last := int64(0); left > 0; left-- {
			s := a.pop(1000, left)
			require.NotNil(t, s)
			require.GreaterOrEqual(t, s.due, last)
			last = s.due
		}
		assert.Nil(t, a.pop(1000, 0))
	}
}

func TestAgendaGivesWhatIsDueOrTooMuch(t *testing.T) {
	var a agenda
	first, second := &saga{due: 1}, &saga{due: 2}
	assert.True(t, a.add(second))
	assert.True(t, a.add(first))
	assert.Nil(t, a.pop(0, 2))
	assert.Same(t, first, a.pop(0, 1))
	assert.Nil(t, a.pop(1, 1))
	assert.Same(t, second, a.pop(2, 1))
}

func TestNanosHoldsEveryTime(t *testing.T) {
	assert.EqualValues(t, 1, nanos(time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)))
	assert.EqualValues(t, int64(1<<63-1), nanos(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)))
	now := time.Now()
	assert.True(t, now.Equal(instant(nanos(now))))
	assert.True(t, instant(0).IsZero())
}
