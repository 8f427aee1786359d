package main

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/examples/internal/brokers"
	"github.com/skald-go/skald/examples/petshop/domain"
	"github.com/skald-go/skald/examples/petshop/participants"
	"github.com/skald-go/skald/examples/petshop/shop"
	"github.com/skald-go/skald/flow"
)

// no is a refusal that any participant may give.
var no = &domain.SoldOut{What: "patience"}

// eachStep runs test for every step of every saga that has an effect.
func eachStep(t *testing.T, run brokers.Runner, test func(t *testing.T, w *world, tr trade, k int)) {
	eachTrade(t, run, func(t *testing.T, tr trade, open opener) {
		for k, step := range tr.steps {
			t.Run(step, func(t *testing.T) { test(t, open(t), tr, k) })
		}
	})
}

func (tr trade) last() string { return tr.steps[len(tr.steps)-1] }

// requireUndone says that the saga failed at a step, and left nothing behind.
func requireUndone(t *testing.T, w *world, before participants.State, err error, step string) *flow.Error {
	t.Helper()
	failed, ok := errors.AsType[*flow.Error](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, flow.StateUndone, failed.State)
	assert.Equal(t, step, failed.Step)
	assert.Empty(t, failed.Kept)
	for _, u := range failed.Undone {
		assert.NoError(t, u.Err)
	}
	assert.Equal(t, before, w.town.State())
	return failed
}

func TestFailingAtEachStepUndoesWhatWasDoneInReverse(t *testing.T) {
	undone := func(t *testing.T, w *world, tr trade, k int) {
		before := w.town.State()
		w.town.Plan(participants.Fault{At: tr.steps[k] + "/do", Err: no})
		_, err := tr.run(soon(t), w)
		failed := requireUndone(t, w, before, err, tr.steps[k])
		assert.Equal(t, no, failed.Cause)
		expected := slices.Concat(tr.steps[:k], []string{tr.steps[k] + ": refused"}, undosOf(tr.steps[:k]))
		assert.Equal(t, expected, calls(w, sagaID))
	}
	eachStep(t, brokers.Each, undone)
	eachStep(t, brokers.Failing, undone)
}

func TestAStepThatFailsUntilItsAttemptsAreUsedUpIsUndoneToo(t *testing.T) {
	eachStep(t, brokers.Decoding, func(t *testing.T, w *world, tr trade, k int) {
		if tr.steps[k] == tr.pivot {
			t.Skip("a pivot is asked until it answers")
		}
		before := w.town.State()
		w.town.Plan(participants.Fault{At: tr.steps[k] + "/do", Fail: true, Times: participants.Always})
		_, err := tr.run(soon(t), w)
		failed := requireUndone(t, w, before, err, tr.steps[k])
		assert.Equal(t, 3, failed.Attempts)
		try := tr.steps[k] + ": failed"
		expected := slices.Concat(tr.steps[:k], []string{try, try, try, "undo " + tr.steps[k] + ": nothing to undo"}, undosOf(tr.steps[:k]))
		assert.Equal(t, expected, calls(w, sagaID))
	})
}

func TestPassingFailuresAreTriedAgain(t *testing.T) {
	eachStep(t, brokers.Decoding, func(t *testing.T, w *world, tr trade, k int) {
		before := w.town.State()
		w.town.Plan(participants.Fault{At: tr.steps[k] + "/do", Fail: true, Times: 2})
		_, err := tr.run(soon(t), w)
		require.NoError(t, err)
		try := tr.steps[k] + ": failed"
		assert.Equal(t, slices.Concat(tr.steps[:k], []string{try, try}, tr.steps[k:]), calls(w, sagaID))
		assert.Equal(t, tr.expected(w, before), w.town.State())
	})
}

func TestAReplyThatIsLostOnceChangesNothing(t *testing.T) {
	eachStep(t, brokers.Decoding, func(t *testing.T, w *world, tr trade, k int) {
		before := w.town.State()
		w.town.Plan(participants.Fault{At: tr.steps[k] + "/do", Lose: true})
		result, err := tr.run(soon(t), w)
		require.NoError(t, err)
		assert.Equal(t, tr.result, result)
		again := tr.steps[k] + ": repeated"
		assert.Equal(t, slices.Concat(tr.steps[:k+1], []string{again}, tr.steps[k+1:]), calls(w, sagaID))
		assert.Equal(t, tr.expected(w, before), w.town.State())
	})
}

func TestWhenAllRepliesAreLostTheEffectIsUndone(t *testing.T) {
	eachStep(t, brokers.Each, func(t *testing.T, w *world, tr trade, k int) {
		before := w.town.State()
		if tr.steps[k] == tr.pivot {
			w.town.Plan(participants.Fault{At: tr.steps[k] + "/do", Lose: true, Times: 4})
			_, err := tr.run(soon(t), w)
			require.NoError(t, err, "a pivot is asked until it answers")
			assert.Len(t, calls(w, sagaID), len(tr.steps)+4)
			assert.Equal(t, tr.expected(w, before), w.town.State())
			return
		}
		w.town.Plan(participants.Fault{At: tr.steps[k] + "/do", Lose: true, Times: participants.Always})
		_, err := tr.run(soon(t), w)
		requireUndone(t, w, before, err, tr.steps[k])
		again := tr.steps[k] + ": repeated"
		expected := slices.Concat(tr.steps[:k+1], []string{again, again}, undosOf(tr.steps[:k+1]))
		assert.Equal(t, expected, calls(w, sagaID))
	})
}

func TestAStepDeliveredTwiceHasOneEffectAndOneReply(t *testing.T) {
	eachStep(t, brokers.Decoding, func(t *testing.T, w *world, tr trade, k int) {
		before := w.town.State()
		w.town.Plan(participants.Fault{At: tr.steps[k] + "/do", Twice: true})
		result, err := tr.run(soon(t), w)
		require.NoError(t, err)
		assert.Equal(t, tr.result, result)
		again := tr.steps[k] + ": repeated"
		assert.Equal(t, slices.Concat(tr.steps[:k+1], []string{again}, tr.steps[k+1:]), calls(w, sagaID))
		assert.Equal(t, tr.expected(w, before), w.town.State())
		requireOneReply(t, w, tr.steps[k], false)
	})
}

func TestARefusalDeliveredTwiceIsTheSameRefusal(t *testing.T) {
	eachStep(t, brokers.Decoding, func(t *testing.T, w *world, tr trade, k int) {
		before := w.town.State()
		w.town.Plan(participants.Fault{At: tr.steps[k] + "/do", Twice: true, Err: no})
		_, err := tr.run(soon(t), w)
		failed := requireUndone(t, w, before, err, tr.steps[k])
		assert.Equal(t, no, failed.Cause)
		requireOneReply(t, w, tr.steps[k], false)
	})
}

// eachUndo runs test for every step that has an undo, in a saga whose last step refuses.
func eachUndo(t *testing.T, test func(t *testing.T, w *world, tr trade, step string)) {
	eachStep(t, brokers.Decoding, func(t *testing.T, w *world, tr trade, k int) {
		if tr.steps[k] == tr.last() {
			t.Skip("it is refused")
		}
		w.town.Plan(participants.Fault{At: tr.last() + "/do", Err: no})
		test(t, w, tr, tr.steps[k])
	})
}

func TestAnUndoDeliveredTwiceHasOneEffect(t *testing.T) {
	eachUndo(t, func(t *testing.T, w *world, tr trade, step string) {
		before := w.town.State()
		w.town.Plan(participants.Fault{At: step + "/undo", Twice: true})
		_, err := tr.run(soon(t), w)
		requireUndone(t, w, before, err, tr.last())
		requireOneReply(t, w, step, true)
	})
}

func TestAnUndoIsRepeatedUntilItIsHeardOf(t *testing.T) {
	eachUndo(t, func(t *testing.T, w *world, tr trade, step string) {
		before := w.town.State()
		w.town.Plan(
			participants.Fault{At: step + "/undo", Fail: true},
			participants.Fault{At: step + "/undo", Lose: true},
		)
		_, err := tr.run(soon(t), w)
		requireUndone(t, w, before, err, tr.last())
		undo := "undo " + step
		var tries []string
		for _, c := range onlyUndos(calls(w, sagaID)) {
			if c == undo || c == undo+": failed" || c == undo+": repeated" {
				tries = append(tries, c)
			}
		}
		assert.Equal(t, []string{undo + ": failed", undo, undo + ": repeated"}, tries)
	})
}

// requireOneReply says that a duplicate got what the first request got.
func requireOneReply(t *testing.T, w *world, step string, undo bool) {
	t.Helper()
	var replies []string
	for _, e := range w.town.Journal(sagaID) {
		if e.Step() == step && e.Undo() == undo && e.Verdict != participants.Read {
			replies = append(replies, e.Reply)
		}
	}
	require.Len(t, replies, 2)
	assert.Equal(t, replies[0], replies[1])
}

func TestASagaThatFailsBeforeItsFirstEffectUndoesNothing(t *testing.T) {
	brokers.Each(t, func(t *testing.T, k brokers.Kind, all bool) {
		for _, tr := range trades() {
			if tr.reads == "" {
				continue
			}
			t.Run(tr.name, func(t *testing.T) {
				w := openAt(t, k, noon(), decoding(all))
				before := w.town.State()
				w.town.Plan(participants.Fault{At: tr.reads + "/read", Lose: true, Times: participants.Always})
				_, err := tr.run(soon(t), w)
				failed := requireUndone(t, w, before, err, tr.reads)
				assert.Equal(t, 3, failed.Attempts)
				assert.Empty(t, failed.Undone)
				assert.Empty(t, calls(w, sagaID))
			})
		}
	})
}

// A request hangs, its saga is cancelled and undone, and then it arrives.
func TestARequestThatHangsIsRefusedWhenItsSagaIsUndone(t *testing.T) {
	brokers.Each(t, func(t *testing.T, k brokers.Kind, all bool) {
		w := openAt(t, k, noon(), decoding(all))
		before := w.town.State()
		gate := gateAt(t, w, "take-points/do")
		future, err := w.BuyPet.Start(soon(t), w.engine, shop.OnOffer{Caller: w.as("bob"), Offer: "o-1"}, flow.ID(sagaID))
		require.NoError(t, err)
		<-gate.reached
		require.NoError(t, future.Cancel(soon(t), "it takes too long"))
		_, err = future.Await(soon(t))
		requireUndone(t, w, before, err, "")
		assert.ErrorIs(t, err, flow.ErrCancelled)
		gate.open()
		require.Eventually(t, func() bool { return len(calls(w, sagaID)) == 4 }, 5*time.Second, time.Millisecond)
		assert.Equal(t, []string{"lock-offer", "undo take-points: nothing to undo", "undo lock-offer", "take-points: refused"}, calls(w, sagaID))
		assert.Equal(t, before, w.town.State())
	})
}

func TestADoAfterItsUndoIsRefused(t *testing.T) {
	w := openAt(t, brokers.All()[0], noon())
	before := w.town.State()
	w.town.Plan(participants.Fault{At: "take-points/do", Fail: true, Times: participants.Always})
	_, err := buying("bob")(soon(t), w)
	requireUndone(t, w, before, err, "take-points")
	w.town.Repair()
	late := w.late(t, "accounts", "/accounts/bob/take", "petshop/"+sagaID+"/take-points/do", `{"Points":1000}`)
	assert.ErrorIs(t, late.Err(), domain.ErrUndone)
	assert.Equal(t, before, w.town.State())
}
