package fulfilment

import (
	"errors"
	"testing"
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
	*Warehouse
	broker broker.Broker
	opts   flow.Options
	engine *flow.Engine
	stop   func() // of the engine
	kind   brokers.Kind
	fulfil flow.Flow[Order, string]
}

func each(t *testing.T, run brokers.Runner, test func(t *testing.T, w *world)) {
	run(t, func(t *testing.T, k brokers.Kind, all bool) {
		h := &Warehouse{Partners: partner.New(), Stock: 10}
		w := &world{Warehouse: h, kind: k, broker: k.Open(t), opts: flow.Options{Errors: Errors, DecodeAll: all}, fulfil: h.Fulfil()}
		w.engine, w.stop = brokers.Run(t, w.broker, w.opts, w.fulfil)
		test(t, w)
	})
}

var order = Order{ID: "o-1", Account: "ada", Pieces: 3}

func (w *world) start(t *testing.T) flow.Future[string] {
	future, err := w.fulfil.Start(t.Context(), w.engine, order, flow.ID("o-1"))
	require.NoError(t, err)
	return future
}

func (w *world) choose(t *testing.T, card string) {
	require.NoError(t, CardChosen.Send(t.Context(), w.engine, "o-1", Cleared{card}, flow.SignalID("first")))
}

// waits lets the order wait for its payment.
func (w *world) waits(t *testing.T) {
	t.Helper()
	brokers.Eventually(t, func() bool {
		stats, err := w.broker.Stats(t.Context())
		return err == nil && stats.Parked == 1
	}, "the order waits")
	time.Sleep(w.kind.Time(time.Hour, 0))
}

func requireUndone(t *testing.T, err, cause error, step string) *flow.Error {
	t.Helper()
	failed, ok := errors.AsType[*flow.Error](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, flow.StateUndone, failed.State)
	assert.Equal(t, step, failed.Step)
	assert.ErrorIs(t, err, cause)
	return failed
}

func TestOrderIsShippedWhenItIsPaid(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		future := w.start(t)
		w.waits(t)
		assert.Equal(t, []string{"allocate"}, w.Did())
		w.choose(t, "visa")
		parcel, err := future.Await(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "parcel of o-1", parcel)
		assert.Equal(t, []string{"allocate", "pay", "ship"}, w.Did())
		assert.Equal(t, 7, w.Stock)
	})
}

func TestRefusedPaymentReleasesTheAllocation(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		future := w.start(t)
		w.choose(t, "refused")
		_, err := future.Await(t.Context())
		requireUndone(t, err, ErrCard, "pay")
		assert.Equal(t, []string{"allocate", "undo allocate"}, w.Did())
		assert.Equal(t, 10, w.Stock)
	})
}

// An event that arrives before the saga that it belongs to is kept for it, and counts once.
func TestEventThatComesEarlyIsKept(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.choose(t, "visa")
		w.choose(t, "visa")
		time.Sleep(w.kind.Time(time.Hour, 100*time.Millisecond))
		parcel, err := w.start(t).Await(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "parcel of o-1", parcel)
	})
}

func TestEventForASagaThatHasEndedIsRefused(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		future := w.start(t)
		w.choose(t, "visa")
		_, err := future.Await(t.Context())
		require.NoError(t, err)
		assert.ErrorIs(t, CardChosen.Send(t.Context(), w.engine, "o-1", Cleared{"visa"}), flow.ErrSettled)
	})
}

// The account is closed while the order waits for its payment.
func TestClosedAccountUndoesWhatWasDone(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		future := w.start(t)
		w.waits(t)
		require.Equal(t, []string{"allocate"}, w.Did())
		require.NoError(t, future.Cancel(t.Context(), "account of ada is closed"))
		_, err := future.Await(t.Context())
		failed := requireUndone(t, err, flow.ErrCancelled, "")
		assert.ErrorContains(t, failed.Cause, "account of ada is closed")
		assert.Equal(t, []string{"allocate", "undo allocate"}, w.Did())
		assert.Equal(t, 10, w.Stock)
		assert.ErrorIs(t, future.Cancel(t.Context(), "again"), flow.ErrSettled)
	})
}

// The account is closed while the payment is tried: nobody knows whether it worked, so it is undone too.
func TestClosedAccountUndoesAPaymentThatIsUnderWay(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.Plan("pay", partner.Fault{Lose: true}, partner.Fault{Slow: time.Hour})
		future := w.start(t)
		w.choose(t, "visa")
		brokers.Eventually(t, func() bool { return len(w.Of("pay")) > 0 }, "the payment is made")
		require.NoError(t, future.Cancel(t.Context(), "account of ada is closed"))
		_, err := future.Await(t.Context())
		requireUndone(t, err, flow.ErrCancelled, "")
		assert.Equal(t, []string{"allocate", "pay", "undo pay", "undo allocate"}, w.Did())
		assert.False(t, w.Of("undo pay")[0].Known)
	})
}

func (w *world) status(t *testing.T) (flow.Snapshot, map[string]flow.StepStatus) {
	snap, err := w.engine.Snapshot(t.Context(), "o-1")
	require.NoError(t, err)
	steps := map[string]flow.StepStatus{}
	for _, s := range snap.Steps {
		steps[s.Path] = s
	}
	return snap, steps
}

func TestStatusIsReadableAtAnyMoment(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		started := time.Now()
		w.SetDown("pay", true)
		w.SetDown("undo allocate", true)
		future := w.start(t)
		w.waits(t)

		snap, steps := w.status(t)
		assert.Equal(t, flow.StateRunning, snap.State)
		assert.Equal(t, "fulfil", snap.Flow)
		w.kind.Took(t, 0, snap.Started.Sub(started))
		assert.Equal(t, "done", steps["allocate"].State)
		assert.Equal(t, "open", steps["card-chosen"].State)
		assert.Equal(t, "wait", steps["card-chosen"].Kind)
		assert.NotContains(t, steps, "pay")

		w.choose(t, "visa")
		brokers.Eventually(t, func() bool {
			_, steps = w.status(t)
			return steps["pay"].Attempts > 0
		}, "the payment has failed")
		assert.Equal(t, "open", steps["pay"].State)
		assert.Equal(t, 1, steps["pay"].Attempts)
		assert.ErrorIs(t, steps["pay"].Err, partner.ErrDown)
		assert.WithinRange(t, steps["pay"].Next, time.Now(), time.Now().Add(time.Hour))

		require.NoError(t, future.Cancel(t.Context(), "account of ada is closed"))
		brokers.Eventually(t, func() bool {
			snap, steps = w.status(t)
			return steps["allocate"].Err != nil
		}, "the release has failed")
		assert.Equal(t, flow.StateCompensating, snap.State)
		assert.ErrorIs(t, snap.Err, flow.ErrCancelled)
		assert.Equal(t, "undoing", steps["allocate"].State)
		assert.ErrorIs(t, steps["allocate"].Err, partner.ErrDown)

		w.SetDown("undo allocate", false)
		_, err := future.Await(t.Context())
		requireUndone(t, err, flow.ErrCancelled, "")
		snap, _ = w.status(t)
		assert.Equal(t, flow.StateUndone, snap.State)
		assert.ErrorIs(t, snap.Err, flow.ErrCancelled)
	})
}

// The engine ends while the order waits; another one goes on.
func TestOrderThatWaitsOutlivesItsEngine(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.start(t)
		w.waits(t)
		w.stop()
		w.engine, _ = brokers.Run(t, w.broker, w.opts, w.fulfil)
		w.choose(t, "visa")
		parcel, err := w.fulfil.Attach(w.engine, "o-1").Await(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "parcel of o-1", parcel)
		assert.Len(t, w.Calls(), 3)
	})
}
