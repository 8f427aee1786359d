package reservation

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/examples/internal/brokers"
	"github.com/skald-go/skald/examples/internal/partner"
	"github.com/skald-go/skald/flow"
)

func TestMain(m *testing.M) { brokers.Main(m) }

type world struct {
	*Library
	broker  broker.Broker
	opts    flow.Options
	engine  *flow.Engine
	stop    func() // of the engine
	reserve flow.Flow[Wish, Reservation]
	kind    brokers.Kind
}

// each holds books for a day of virtual time, or for a moment of real time.
func each(t *testing.T, run brokers.Runner, test func(t *testing.T, w *world)) {
	run(t, func(t *testing.T, k brokers.Kind, all bool) {
		l := &Library{Partners: partner.New(), Hold: k.Time(24*time.Hour, time.Second), Held: map[string]string{}, Lent: map[string]string{}}
		w := &world{Library: l, kind: k, broker: k.Open(t), opts: flow.Options{Errors: Errors, DecodeAll: all, Concurrency: 32}, reserve: l.Reserve()}
		w.engine, w.stop = brokers.Run(t, w.broker, w.opts, w.reserve)
		test(t, w)
	})
}

var wish = Wish{Book: "Emma", Reader: "ada"}

func (w *world) start(t *testing.T, in Wish) flow.Future[Reservation] {
	future, err := w.reserve.Start(t.Context(), w.engine, in, flow.ID("for-"+in.Reader))
	require.NoError(t, err)
	return future
}

// holds waits until the book is held.
func (w *world) holds(t *testing.T) {
	require.Eventually(t, func() bool { return len(w.Did()) > 0 }, time.Minute, time.Millisecond)
}

func TestHoldExpiresWhenTheBookIsNotCollected(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		start := time.Now()
		r, err := w.start(t, wish).Await(t.Context())
		require.NoError(t, err)
		assert.False(t, r.collected())
		assert.GreaterOrEqual(t, time.Since(start), w.Hold)
		assert.Equal(t, []string{"hold", "collected/expire"}, w.Did())
		assert.Empty(t, w.Held)
		assert.Empty(t, w.Lent)
	})
}

func TestHoldEndsToTheMoment(t *testing.T) {
	each(t, brokers.Virtually, func(t *testing.T, w *world) {
		start := time.Now()
		r, err := w.start(t, wish).Await(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 24*time.Hour, time.Since(start))
		assert.True(t, start.Add(24*time.Hour).Equal(r.Until), r.Until)
	})
}

func TestCollectedEarlyTheTimerIsGone(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		future := w.start(t, wish)
		w.holds(t)
		time.Sleep(w.Hold / 4)
		require.NoError(t, Collected.Send(t.Context(), w.engine, "for-ada", "desk 2"))
		r, err := future.Await(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "desk 2", r.Desk)
		time.Sleep(2 * w.Hold)
		assert.Equal(t, []string{"hold", "if-collected/lend"}, w.Did())
		assert.Equal(t, map[string]string{"Emma": "ada"}, w.Lent)
		assert.Empty(t, w.Held)
		stats, err := w.broker.Stats(t.Context())
		require.NoError(t, err)
		assert.Zero(t, stats.Ready+stats.Owned+stats.Parked)
	})
}

func TestCollectedTooLateIsTold(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		_, err := w.start(t, wish).Await(t.Context())
		require.NoError(t, err)
		assert.ErrorIs(t, Collected.Send(t.Context(), w.engine, "for-ada", "desk 2"), flow.ErrSettled)
		assert.Empty(t, w.Lent)
	})
}

func TestCancelledEarlyTheBookIsFree(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		start := time.Now()
		future := w.start(t, wish)
		w.holds(t)
		require.NoError(t, future.Cancel(t.Context(), "read it elsewhere"))
		_, err := future.Await(t.Context())
		assert.ErrorIs(t, err, flow.ErrCancelled)
		assert.ErrorContains(t, err, "read it elsewhere")
		assert.Less(t, time.Since(start), w.Hold)
		assert.Equal(t, []string{"hold", "undo hold"}, w.Did())
		assert.Empty(t, w.Held)
		time.Sleep(2 * w.Hold)
		assert.Len(t, w.Calls(), 2, "the timer is gone")
	})
}

func TestSecondReservationIsRefused(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		first := w.start(t, wish)
		w.holds(t)
		_, err := w.start(t, Wish{Book: "Emma", Reader: "bob"}).Await(t.Context())
		taken, ok := errors.AsType[*Taken](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, &Taken{Book: "Emma", Reader: "ada"}, taken)
		assert.Equal(t, []string{"hold"}, w.Did(), "the first reservation stays")

		_, err = first.Await(t.Context())
		require.NoError(t, err)
		_, err = w.reserve.Start(t.Context(), w.engine, Wish{Book: "Emma", Reader: "bob"}, flow.ID("again-for-bob"))
		require.NoError(t, err)
		require.Eventually(t, func() bool { return len(w.Did()) == 3 }, time.Minute, time.Millisecond)
		assert.Equal(t, []string{"hold", "collected/expire", "hold"}, w.Did())
	})
}

func TestHoldOutlivesItsEngine(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		start := time.Now()
		w.start(t, wish)
		time.Sleep(w.Hold / 2)
		w.stop()
		time.Sleep(w.Hold / 4)
		w.engine, _ = brokers.Run(t, w.broker, w.opts, w.reserve)
		_, err := w.reserve.Attach(w.engine, "for-ada").Await(t.Context())
		require.NoError(t, err)
		w.kind.Took(t, w.Hold, time.Since(start))
		assert.Equal(t, []string{"hold", "collected/expire"}, w.Did())
	})
}

func TestAThousandHoldsNeedNoGoroutines(t *testing.T) {
	each(t, brokers.Virtually, func(t *testing.T, w *world) {
		for k := range 1000 {
			w.start(t, Wish{Book: fmt.Sprint("book ", k), Reader: fmt.Sprint(k)})
		}
		time.Sleep(w.Hold / 2)
		assert.Len(t, w.Did(), 1000)
		assert.Less(t, runtime.NumGoroutine(), 50)
		time.Sleep(w.Hold)
		synctest.Wait()
		assert.Len(t, w.Did(), 2000)
		assert.Empty(t, w.Held)
	})
}
