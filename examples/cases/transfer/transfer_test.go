package transfer

import (
	"context"
	"errors"
	"sync"
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
	*Banks
	engine     *flow.Engine
	oneByOne   flow.Flow[Transfer, Balances]
	hasty      flow.Flow[Transfer, Balances] // with a deadline
	sideBySide flow.Flow[Transfer, Balances]
	dead       chan flow.DeadLetter
	kind       brokers.Kind
}

func retry(k brokers.Kind) step.Retry {
	return step.Retry{Attempts: 4, Delay: k.Time(time.Second, 20*time.Millisecond)}
}

func each(t *testing.T, run brokers.Runner, test func(t *testing.T, w *world)) {
	run(t, func(t *testing.T, k brokers.Kind, all bool) {
		b := &Banks{Partners: partner.New(), Accounts: map[string]int{"a": 100, "b": 10}, Closed: map[string]bool{}, Retry: retry(k)}
		w := &world{Banks: b, oneByOne: b.OneByOne(), sideBySide: b.SideBySide(), dead: make(chan flow.DeadLetter, 1), kind: k}
		w.hasty = b.OneByOne().Version(2).Deadline(w.patience())
		w.engine, _ = brokers.Run(t, k.Open(t), flow.Options{
			Errors: Errors, DecodeAll: all, OnDeadLetter: func(_ context.Context, d flow.DeadLetter) { w.dead <- d },
		}, w.oneByOne, w.hasty, w.sideBySide)
		test(t, w)
	})
}

// patience is the deadline of hasty transfers.
func (w *world) patience() time.Duration { return w.kind.Time(30*time.Second, 3*time.Second) }

var thirty = Transfer{From: "a", To: "b", Amount: 30}

func (w *world) transfer(t *testing.T, in Transfer, opts ...flow.StartOption) (Balances, error) {
	future, err := w.oneByOne.Start(t.Context(), w.engine, in, opts...)
	require.NoError(t, err)
	return future.Await(t.Context())
}

// requireAsBefore says that the transfer failed at a step, and left every balance as it was.
func (w *world) requireAsBefore(t *testing.T, err error, step string) *flow.Error {
	t.Helper()
	failed, ok := errors.AsType[*flow.Error](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, flow.StateUndone, failed.State)
	assert.Equal(t, step, failed.Step)
	assert.Equal(t, map[string]int{"a": 100, "b": 10}, w.Accounts)
	return failed
}

func TestTransfer(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		balances, err := w.transfer(t, thirty)
		require.NoError(t, err)
		assert.Equal(t, Balances{From: 70, To: 40}, balances)
		assert.Equal(t, map[string]int{"a": 70, "b": 40}, w.Accounts)
		assert.Equal(t, []string{"debit", "credit"}, w.Did())
	})
}

func TestRefusalOfTheFirstBank(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		_, err := w.transfer(t, Transfer{From: "a", To: "b", Amount: 101})
		failed := w.requireAsBefore(t, err, "debit")
		assert.Equal(t, &InsufficientBalance{Account: "a", Balance: 100, Need: 101}, failed.Cause)
		assert.Empty(t, w.Did())
	})
}

func TestRefusalsOfTheSecondBankAreTheCallersError(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.Closed["b"] = true
		_, err := w.transfer(t, thirty)
		w.requireAsBefore(t, err, "credit")
		assert.ErrorIs(t, err, ErrClosed)
		assert.Equal(t, []string{"debit", "undo debit"}, w.Did())
		assert.Len(t, w.Of("credit"), 1, "a refusal is not tried again")
	})
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		_, err := w.transfer(t, Transfer{From: "a", To: "b", Amount: -30})
		failed := w.requireAsBefore(t, err, "credit")
		assert.Equal(t, &InsufficientBalance{Account: "b", Balance: 10, Need: 30}, failed.Cause)
	})
}

func TestNotYetThreeTimesThenDone(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		minute := w.kind.Time(time.Minute, 100*time.Millisecond)
		later := partner.Fault{Err: step.NotYet(minute)}
		w.Plan("debit", later, later, later)
		start := time.Now()
		_, err := w.transfer(t, thirty)
		require.NoError(t, err)
		w.kind.Took(t, 3*minute, time.Since(start))
		assert.Len(t, w.Of("debit"), 4)
		assert.Equal(t, []string{"debit", "credit"}, w.Did())
	})
}

func TestUndoThatFailsTwiceIsTriedAgainWithBackoff(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.Closed["b"] = true
		w.Plan("undo debit", partner.Fault{Err: partner.ErrDown}, partner.Fault{Err: partner.ErrDown})
		start := time.Now()
		_, err := w.transfer(t, thirty)
		w.requireAsBefore(t, err, "credit")
		assert.ErrorIs(t, err, ErrClosed)
		tries := w.Of("undo debit")
		require.Len(t, tries, 3, "it is no hot loop")
		assert.Greater(t, time.Since(start), time.Millisecond)
		if w.kind.Virtual {
			assert.LessOrEqual(t, tries[1].At.Sub(tries[0].At), time.Second)
			assert.LessOrEqual(t, tries[2].At.Sub(tries[1].At), 2*time.Second)
		}
	})
}

func TestDeadlineRollsBackAndIsTheCallersError(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault partner.Fault
	}{
		{"while the bank is asked again and again", partner.Fault{Err: step.NotYet(time.Second)}},
		{"while it waits", partner.Fault{Err: step.NotYet(time.Hour)}},
		{"while an attempt runs", partner.Fault{Slow: time.Hour}},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, brokers.InBubble, func(t *testing.T, w *world) {
				for range 100 {
					w.Plan("credit", c.fault)
				}
				start := time.Now()
				future, err := w.hasty.Start(t.Context(), w.engine, thirty)
				require.NoError(t, err)
				_, err = future.Await(t.Context())
				w.requireAsBefore(t, err, "")
				assert.ErrorIs(t, err, flow.ErrDeadline)
				w.kind.Took(t, w.patience(), time.Since(start))
				assert.Equal(t, []string{"debit", "undo debit"}, w.Did())
			})
		})
	}
}

func TestThreeRetriesRecover(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.Plan("credit", partner.Fault{Err: partner.ErrDown}, partner.Fault{Lose: true}, partner.Fault{Err: partner.ErrDown})
		balances, err := w.transfer(t, thirty)
		require.NoError(t, err)
		assert.Equal(t, Balances{From: 70, To: 40}, balances)
		assert.Len(t, w.Of("credit"), 4)
		assert.Equal(t, []string{"debit", "credit"}, w.Did())
	})
}

func TestThreeRetriesAreUsedUpAndRollBack(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		down := partner.Fault{Err: partner.ErrDown}
		w.Plan("credit", down, down, partner.Fault{Lose: true}, down)
		_, err := w.transfer(t, thirty)
		failed := w.requireAsBefore(t, err, "credit")
		assert.ErrorIs(t, err, partner.ErrDown)
		assert.Equal(t, 4, failed.Attempts)
		assert.Equal(t, []string{"debit", "credit", "undo credit", "undo debit"}, w.Did())
		assert.False(t, w.Of("undo credit")[0].Known)
		assert.True(t, w.Of("undo debit")[0].Known)
	})
}

// A refusal after a lost reply: the money may be there.
func TestRefusalAfterALostReplyIsUndone(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.Plan("credit", partner.Fault{Lose: true}, partner.Fault{Err: step.Refused(ErrClosed)})
		_, err := w.transfer(t, thirty)
		w.requireAsBefore(t, err, "credit")
		assert.ErrorIs(t, err, ErrClosed)
		assert.Equal(t, []string{"debit", "credit", "undo credit", "undo debit"}, w.Did())
		assert.False(t, w.Of("undo credit")[0].Known)
	})
}

func TestOneIDIsOneTransfer(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.Plan("debit", partner.Fault{Slow: time.Second})
		var callers sync.WaitGroup
		for range 10 {
			callers.Go(func() {
				balances, err := w.transfer(t, thirty, flow.ID("t-1"))
				assert.NoError(t, err)
				assert.Equal(t, Balances{From: 70, To: 40}, balances)
			})
		}
		callers.Wait()
		balances, err := w.transfer(t, thirty, flow.ID("t-1"))
		require.NoError(t, err, "when it has ended")
		assert.Equal(t, Balances{From: 70, To: 40}, balances)
		assert.Len(t, w.Calls(), 2)
	})
}

func TestOneIDWithAnotherInputIsRefused(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		other := thirty
		other.Amount = 31
		w.Plan("debit", partner.Fault{Slow: time.Second})
		first, err := w.oneByOne.Start(t.Context(), w.engine, thirty, flow.ID("t-1"))
		require.NoError(t, err)
		for _, when := range []string{"while it runs", "when it has ended"} {
			_, err = w.oneByOne.Start(t.Context(), w.engine, other, flow.ID("t-1"))
			assert.ErrorIs(t, err, flow.ErrConflict, when)
			assert.ErrorContains(t, err, "t-1", when)
			_, err = w.sideBySide.Start(t.Context(), w.engine, thirty, flow.ID("t-1"))
			assert.ErrorIs(t, err, flow.ErrConflict, when)
			_, err = first.Await(t.Context())
			require.NoError(t, err)
		}
		assert.Equal(t, map[string]int{"a": 70, "b": 40}, w.Accounts)
	})
}

func TestTwoLegsRunAtOnceAndTheThirdWaitsForBoth(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		const from, to = 2 * time.Second, 3 * time.Second
		w.Plan("legs/from/book", partner.Fault{Slow: from})
		w.Plan("legs/to/book", partner.Fault{Slow: to})
		start := time.Now()
		future, err := w.sideBySide.Start(t.Context(), w.engine, thirty)
		require.NoError(t, err)
		balances, err := future.Await(t.Context())
		require.NoError(t, err)
		assert.Equal(t, Balances{From: 70, To: 40}, balances)
		w.kind.Took(t, to, time.Since(start))
		for name, after := range map[string]time.Duration{"legs/from/book": from, "legs/to/book": to, "audit": to} {
			calls := w.Of(name)
			require.Len(t, calls, 1, name)
			w.kind.Took(t, after, calls[0].At.Sub(start), name)
		}
	})
}

func TestWhenOneLegIsRefusedTheOtherIsUndone(t *testing.T) {
	for name, slow := range map[string]time.Duration{"that was done": 0, "that runs": time.Minute} {
		t.Run(name, func(t *testing.T) {
			each(t, brokers.InBubble, func(t *testing.T, w *world) {
				w.Closed["b"] = true
				w.Plan("legs/from/book", partner.Fault{Slow: slow})
				w.Plan("legs/to/book", partner.Fault{Slow: time.Second})
				future, err := w.sideBySide.Start(t.Context(), w.engine, thirty)
				require.NoError(t, err)
				_, err = future.Await(t.Context())
				w.requireAsBefore(t, err, "legs/to/book")
				assert.ErrorIs(t, err, ErrClosed)
				assert.Empty(t, w.Of("audit"))
			})
		})
	}
}

func TestHeadersReachEveryStepAndUndo(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.Closed["b"] = true
		headers := flow.Headers{"tenant": "north", "channel": "app"}
		_, err := w.transfer(t, thirty, flow.WithHeaders(headers))
		w.requireAsBefore(t, err, "credit")
		require.Len(t, w.Calls(), 3)
		for _, call := range w.Calls() {
			assert.Equal(t, map[string]string(headers), call.Headers, call.Step)
		}
	})
}

// An undo that never works: the money is neither here nor there until somebody looks, and is not forgotten.
func TestUndoThatFailsForGoodWaitsForAPerson(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.Closed["b"] = true
		w.SetDown("undo debit", true)
		_, err := w.transfer(t, thirty, flow.ID("t-1"))
		failed, ok := errors.AsType[*flow.Error](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, flow.StateDeadLetter, failed.State)
		assert.ErrorIs(t, err, ErrClosed)
		assert.Equal(t, "t-1", (<-w.dead).SagaID)
		assert.Len(t, w.Of("undo debit"), 4)
		assert.Equal(t, map[string]int{"a": 70, "b": 10}, w.Accounts)

		w.SetDown("undo debit", false)
		require.NoError(t, w.engine.Relay(t.Context(), "t-1", flow.By{Who: "clerk"}))
		_, err = w.oneByOne.Attach(w.engine, "t-1").Await(t.Context())
		w.requireAsBefore(t, err, "credit")
		assert.Len(t, w.Of("undo debit"), 5)
	})
}
