package reservation

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/examples/internal/brokers"
	"github.com/skald-go/skald/flow"
)

var second = Wish{Book: wish.Book, Reader: "bob"}

// locking runs sagas of a flow with locks instead.
func (w *world) locking(t *testing.T, f flow.Flow[Wish, Reservation]) {
	w.stop()
	w.reserve = f
	w.engine, w.stop = brokers.Run(t, w.broker, w.opts, f)
}

func TestASecondReservationWaits(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.locking(t, w.ReserveNext())
		first := w.start(t, wish)
		w.holds(t)
		next := w.start(t, second)
		snap, err := w.engine.Snapshot(t.Context(), next.ID())
		require.NoError(t, err)
		assert.Equal(t, flow.StateWaiting, snap.State)
		claim, waits := snap.WaitsFor()
		assert.True(t, waits)
		assert.Equal(t, flow.Claim{Key: "book/Emma", Holder: first.ID()}, claim)
		require.NoError(t, Collected.Send(t.Context(), w.engine, next.ID(), "desk 2")) // it is kept
		require.NoError(t, Collected.Send(t.Context(), w.engine, first.ID(), "desk 1"))

		for future, desk := range map[flow.Future[Reservation]]string{first: "desk 1", next: "desk 2"} {
			r, err := future.Await(t.Context())
			require.NoError(t, err)
			assert.Equal(t, desk, r.Desk)
		}
		assert.Equal(t, []string{"hold", "if-collected/lend", "hold", "if-collected/lend"}, w.Did())
		claim, err = w.engine.Holder(t.Context(), "book/Emma")
		require.NoError(t, err)
		assert.Empty(t, claim.Holder)
	})
}

func TestASecondReservationThatIsCancelledWaitsNoLonger(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.locking(t, w.ReserveNext())
		first := w.start(t, wish)
		w.holds(t)
		next := w.start(t, second)
		require.NoError(t, next.Cancel(t.Context(), "found it elsewhere"))
		_, err := next.Await(t.Context())
		require.ErrorIs(t, err, flow.ErrCancelled)
		require.NoError(t, first.Cancel(t.Context(), ""))
		_, err = first.Await(t.Context())
		require.ErrorIs(t, err, flow.ErrCancelled)
		assert.Equal(t, []string{"hold", "undo hold"}, w.Did())
		claim, err := w.engine.Holder(t.Context(), "book/Emma")
		require.NoError(t, err)
		assert.Empty(t, claim.Holder)
	})
}

func TestASecondReservationIsRefused(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.locking(t, w.ReserveNow())
		first := w.start(t, wish)
		_, err := w.reserve.Start(t.Context(), w.engine, second, flow.ID("for-bob"))
		require.ErrorIs(t, err, flow.ErrLocked)
		assert.ErrorContains(t, err, `saga "for-ada" holds the lock "book/Emma"`)
		_, err = w.engine.Snapshot(t.Context(), "for-bob")
		require.ErrorIs(t, err, flow.ErrUnknown)

		require.NoError(t, Collected.Send(t.Context(), w.engine, first.ID(), "desk 1"))
		_, err = first.Await(t.Context())
		require.NoError(t, err)
		require.NoError(t, Collected.Send(t.Context(), w.engine, "for-bob", "desk 2"))
		r, err := w.start(t, second).Await(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "desk 2", r.Desk)
	})
}
