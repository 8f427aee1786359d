package answers

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/examples/internal/brokers"
	"github.com/skald-go/skald/examples/internal/partner"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

func TestMain(m *testing.M) { brokers.Main(m) }

type world struct {
	*Post
	engine *flow.Engine
	send   flow.Flow[Parcel, Sent]
	hasty  flow.Flow[Parcel, Sent] // with a deadline of a minute, or 3 s of real time
	dead   chan flow.DeadLetter
	kind   brokers.Kind
	// What the undo of the label answers, one after the other; then it is done.
	answers []func(Effect) error
	recall  []Effect // what the undo got
}

func each(t *testing.T, run brokers.Runner, test func(t *testing.T, w *world)) {
	run(t, func(t *testing.T, k brokers.Kind, all bool) {
		p := &Post{Partners: partner.New()}
		w := &world{Post: p, send: p.Send(), dead: make(chan flow.DeadLetter, 1), kind: k}
		w.hasty = p.Send().Version(2).Deadline(k.Time(time.Minute, 3*time.Second))
		p.Recall = func(e Effect) error {
			w.recall = append(w.recall, e)
			if n := len(w.recall); n <= len(w.answers) {
				return w.answers[n-1](e)
			}
			return nil
		}
		w.engine, _ = brokers.Run(t, k.Open(t), flow.Options{
			Errors: Errors, DecodeAll: all, OnDeadLetter: func(_ context.Context, d flow.DeadLetter) { w.dead <- d },
		}, w.send, w.hasty)
		test(t, w)
	})
}

func always(err error) func(Effect) error { return func(Effect) error { return err } }

// fallBack goes on with another carrier.
func fallBack(e Effect) error { return e.Proceed(Label{"mail", "fallback for " + e.In.ID}) }

var parcel = Parcel{ID: "p-1", To: "Bergen"}

func (w *world) start(t *testing.T, f flow.Flow[Parcel, Sent]) flow.Future[Sent] {
	future, err := f.Start(t.Context(), w.engine, parcel, flow.ID("p-1"))
	require.NoError(t, err)
	return future
}

func requireFailed(t *testing.T, err, cause error, s flow.State) *flow.Error {
	t.Helper()
	failed, ok := errors.AsType[*flow.Error](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, s, failed.State)
	assert.ErrorIs(t, failed.Cause, cause)
	return failed
}

// striking lets the label fail: nobody knows whether the carrier made one.
func (w *world) striking() { w.Plan("label", partner.Fault{Err: ErrStrike}) }

func TestDone(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.striking()
		_, err := w.start(t, w.send).Await(t.Context())
		requireFailed(t, err, ErrStrike, flow.StateUndone)
		require.Len(t, w.recall, 1)
		assert.Equal(t, parcel, w.recall[0].In)
		assert.False(t, w.recall[0].Known)
		assert.Zero(t, w.recall[0].Out)
		assert.ErrorIs(t, w.recall[0].Cause, ErrStrike)
		assert.Equal(t, []string{"pack", "undo pack"}, w.Did())
	})
}

func TestDoneKnowsWhatTheStepReturned(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.Plan("hand-over", partner.Fault{Err: step.Refused(ErrStrike)})
		_, err := w.start(t, w.send).Await(t.Context())
		requireFailed(t, err, ErrStrike, flow.StateUndone)
		require.Len(t, w.recall, 1)
		assert.True(t, w.recall[0].Known)
		assert.Equal(t, Label{"express", "p-1"}, w.recall[0].Out)
		assert.Equal(t, []string{"pack", "label", "undo label", "undo pack"}, w.Did())
	})
}

func TestTryAgainLater(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		hour := w.kind.Time(time.Hour, 100*time.Millisecond)
		w.answers = slices.Repeat([]func(Effect) error{always(step.NotYet(hour))}, 5)
		w.Plan("hand-over", partner.Fault{Err: step.Refused(ErrStrike)})
		start := time.Now()
		_, err := w.start(t, w.send).Await(t.Context())
		requireFailed(t, err, ErrStrike, flow.StateUndone)
		w.kind.Took(t, 5*hour, time.Since(start))
		assert.Len(t, w.recall, 6, "more often than it may fail: these are no attempts")
		assert.Equal(t, []string{"pack", "label", "undo label", "undo pack"}, w.Did())
	})
}

func TestTryAgainLaterHasALimit(t *testing.T) {
	each(t, brokers.Virtually, func(t *testing.T, w *world) {
		later := always(step.NotYet(time.Hour))
		w.answers = slices.Repeat([]func(Effect) error{later}, 30)
		w.Plan("hand-over", partner.Fault{Err: step.Refused(ErrStrike)})
		_, err := w.start(t, w.send).Await(t.Context())
		failed := requireFailed(t, err, ErrStrike, flow.StateDeadLetter)
		assert.ErrorIs(t, undoneAs(t, failed, "label"), flow.ErrNotYetLimit)
	})
}

// undoneAs is what became of the undo of a step.
func undoneAs(t *testing.T, failed *flow.Error, step string) error {
	t.Helper()
	for _, u := range failed.Undone {
		if u.Step == step {
			return u.Err
		}
	}
	require.Fail(t, "it was not undone", "%s in %+v", step, failed.Undone)
	return nil
}

func TestFailedUndoIsTriedAgain(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.answers = []func(Effect) error{always(partner.ErrDown), always(partner.ErrDown)}
		w.striking()
		_, err := w.start(t, w.send).Await(t.Context())
		requireFailed(t, err, ErrStrike, flow.StateUndone)
		assert.Len(t, w.recall, 3)
	})
}

func TestGiveUpIsADeadLetter(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.answers = []func(Effect) error{always(step.GiveUp(ErrLost))}
		w.Plan("hand-over", partner.Fault{Err: step.Refused(ErrStrike)})
		future := w.start(t, w.send)
		_, err := future.Await(t.Context())
		failed := requireFailed(t, err, ErrStrike, flow.StateDeadLetter)
		assert.ErrorIs(t, undoneAs(t, failed, "label"), ErrLost)
		assert.Len(t, w.recall, 1, "at once")
		assert.Equal(t, []string{"pack", "label", "undo pack"}, w.Did(), "the others are undone")
		assert.Equal(t, "p-1", (<-w.dead).SagaID)

		require.NoError(t, w.engine.Relay(t.Context(), "p-1", flow.By{Who: "clerk", Why: "found it"}))
		_, err = future.Await(t.Context())
		requireFailed(t, err, ErrStrike, flow.StateUndone)
		assert.Equal(t, []string{"pack", "label", "undo pack", "undo label"}, w.Did())
	})
}

func TestProceedGoesOnWithAnotherValue(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.answers = []func(Effect) error{fallBack}
		w.striking()
		sent, err := w.start(t, w.send).Await(t.Context())
		require.NoError(t, err)
		assert.Equal(t, Sent{parcel, Label{"mail", "fallback for p-1"}}, sent)
		assert.Equal(t, []string{"pack", "hand-over"}, w.Did(), "nothing is undone")
		assert.Len(t, w.recall, 1)
	})
}

// The undo is asked again before it answers, and until then nothing is decided.
func TestDecidedWaitsForTheAnswer(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		minute, hour := w.kind.Time(time.Minute, 100*time.Millisecond), w.kind.Time(time.Hour, 2*time.Second)
		w.answers = []func(Effect) error{always(step.NotYet(hour)), fallBack}
		w.striking()
		future := w.start(t, w.send)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), minute)
		defer cancel()
		brokers.Eventually(t, func() bool { return w.Begun("undo label") > 0 }, "the undo begins")
		_, err := future.Decided(ctx)
		requireFailed(t, err, ErrStrike, flow.StateCompensating)
		w.kind.Took(t, minute, time.Since(start), "it waited as long as it could")
		_, err = future.Decided(t.Context())
		require.NoError(t, err)
		w.kind.Took(t, hour, time.Since(start))
	})
}

// What follows a fallback fails: the fallback is undone, as what the step returned would be.
func TestProceedThenFail(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.answers = []func(Effect) error{fallBack}
		w.striking()
		w.Plan("hand-over", partner.Fault{Err: step.Refused(ErrLost)})
		_, err := w.start(t, w.send).Await(t.Context())
		failed := requireFailed(t, err, ErrLost, flow.StateUndone)
		assert.Equal(t, "hand-over", failed.Step)
		assert.Equal(t, []string{"pack", "undo pack"}, w.Did())
		require.Len(t, w.recall, 2)
		assert.True(t, w.recall[1].Known)
		assert.Equal(t, Label{"mail", "fallback for p-1"}, w.recall[1].Out)
	})
}

func TestProceedTooLateNeedsAPerson(t *testing.T) {
	for _, c := range []struct {
		name  string
		start func(*testing.T, *world) flow.Future[Sent]
		cause error
		calls int // of the step that follows
	}{
		{"a later step failed", func(t *testing.T, w *world) flow.Future[Sent] {
			w.Plan("hand-over", partner.Fault{Err: step.Refused(ErrStrike)})
			return w.start(t, w.send)
		}, ErrStrike, 1},
		{"it was cancelled", func(t *testing.T, w *world) flow.Future[Sent] {
			w.Plan("label", partner.Fault{Slow: time.Hour})
			future := w.start(t, w.send)
			brokers.Eventually(t, func() bool { return w.Begun("label") > 0 }, "the label begins")
			require.NoError(t, future.Cancel(t.Context(), "not needed"))
			return future
		}, flow.ErrCancelled, 0},
		{"its deadline passed", func(t *testing.T, w *world) flow.Future[Sent] {
			w.Plan("label", partner.Fault{Slow: w.kind.Time(59*time.Second, time.Second), Err: step.NotYet(time.Hour)})
			return w.start(t, w.hasty)
		}, flow.ErrDeadline, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, brokers.InBubble, func(t *testing.T, w *world) {
				w.answers = []func(Effect) error{fallBack}
				_, err := c.start(t, w).Await(t.Context())
				failed := requireFailed(t, err, c.cause, flow.StateDeadLetter)
				assert.ErrorIs(t, undoneAs(t, failed, "label"), flow.ErrProceed)
				assert.Len(t, w.Of("hand-over"), c.calls, "nothing goes forward")
			})
		})
	}
}
