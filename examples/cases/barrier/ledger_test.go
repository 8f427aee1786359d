package ledger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/barrier"
	"github.com/skald-go/skald/examples/internal/brokers"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

var move30 = Transfer{"anna", "ben", 30}

// run runs the saga of one transfer.
func run(t *testing.T, k brokers.Kind, l Ledger, in Transfer) (Balances, error) {
	move := Move(l, quick)
	e, _ := brokers.Run(t, k.Open(t), flow.Options{Errors: Errors, DecodeAll: true}, move)
	future, err := move.Start(t.Context(), e, in)
	require.NoError(t, err)
	return future.Await(t.Context())
}

func TestADuplicateHasOneEffectAndGetsTheFirstResult(t *testing.T) {
	everywhere(t, func(t *testing.T, k brokers.Kind, s store) {
		f := newFaulty(s)
		f.plans["take"], f.plans["give"] = []plan{{twice: true}, {twice: true}}, []plan{{lose: true}, {twice: true}}
		before := s.lines(t)
		out, err := run(t, k, f, move30)
		require.NoError(t, err)
		assert.Equal(t, Balances{70, 130}, out)
		assert.Equal(t, []int{70, 130}, []int{s.points(t, "anna"), s.points(t, "ben")})
		assert.Equal(t, before+2, s.lines(t))
		assert.Equal(t, 2, f.called("give"))
	})
}

// Everything anna has is taken: a duplicate that looked for the points first would refuse.
func TestTheDuplicateIsSeenBeforeTheBusinessFailure(t *testing.T) {
	everywhere(t, func(t *testing.T, k brokers.Kind, s store) {
		f := newFaulty(s)
		f.plans["take"] = []plan{{lose: true}, {twice: true}}
		out, err := run(t, k, f, Transfer{"anna", "ben", 100})
		require.NoError(t, err)
		assert.Equal(t, Balances{0, 200}, out)
		assert.Equal(t, []int{0, 200}, []int{s.points(t, "anna"), s.points(t, "ben")})
	})
}

func TestARefusalIsTheCallersErrorAlsoWhenItsReplyWasLost(t *testing.T) {
	everywhere(t, func(t *testing.T, k brokers.Kind, s store) {
		for _, plans := range [][]plan{nil, {{lose: true}}, {{twice: true}}} {
			f := newFaulty(s)
			f.plans["take"] = plans
			_, err := run(t, k, f, Transfer{"anna", "ben", 101})
			refused, ok := errors.AsType[*InsufficientPoints](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, InsufficientPoints{"anna", 101}, *refused)
			assert.Equal(t, []int{100, 100}, []int{s.points(t, "anna"), s.points(t, "ben")})
		}
	})
}

func TestASlowActionCancelledTwiceThatComesLateChangesNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, k brokers.Kind, s store) {
		f := newFaulty(s)
		late := plan{late: make(chan struct{}), said: make(chan error, 1)}
		f.plans["take"] = []plan{late}
		f.plans["undo take"] = []plan{{lose: true}, {twice: true}}
		before := s.lines(t)
		once := func(s step.Step[Transfer, int]) step.Step[Transfer, int] {
			return quick(s).Retry(step.Retry{Attempts: 1}).Timeout(2 * time.Second)
		}
		move := Move(f, once)
		e, _ := brokers.Run(t, k.Open(t), flow.Options{Errors: Errors}, move)
		future, err := move.Start(t.Context(), e, move30)
		require.NoError(t, err)
		brokers.Eventually(t, func() bool { return f.called("take") == 1 }, "the points are asked for")
		require.NoError(t, future.Cancel(t.Context(), "too slow"))
		_, err = future.Await(t.Context())
		require.ErrorIs(t, err, flow.ErrCancelled)
		require.Equal(t, 2, f.called("undo take"))

		close(late.late)
		err = <-late.said
		require.ErrorIs(t, err, barrier.ErrUndone)
		assert.True(t, barrier.Settled(err))
		assert.Equal(t, []int{100, 100}, []int{s.points(t, "anna"), s.points(t, "ben")})
		assert.Equal(t, before, s.lines(t))
	})
}

// Many sagas at once between three accounts, of which every call may be lost, doubled or refused: each is made or not, and no point is lost.
func TestNoPointIsLost(t *testing.T) {
	everywhere(t, func(t *testing.T, k brokers.Kind, s store) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		dice := rand.New(rand.NewPCG(seed, 0))
		f := newFaulty(s)
		for range 60 {
			for _, call := range []string{"take", "give", "undo take", "undo give"} {
				f.plans[call] = append(f.plans[call], plan{twice: dice.IntN(4) == 0, lose: dice.IntN(3) == 0})
			}
		}
		names := []string{"anna", "ben", "eve"}
		expected := map[string]int{"max": 0} // who has nothing, and gets nothing
		for _, name := range names {
			expected[name] = 500 // so much that nobody has spent what an undo takes back
		}
		for name, points := range expected {
			s.set(t, name, points)
		}
		before := s.lines(t)
		move := Move(f, func(s step.Step[Transfer, int]) step.Step[Transfer, int] {
			return s.Retry(step.Retry{Attempts: 2, Delay: time.Millisecond}).RetryUndo(step.Retry{Attempts: 100, Delay: time.Millisecond, MaxDelay: time.Millisecond})
		})
		e, _ := brokers.Run(t, k.Open(t), flow.Options{Errors: Errors}, move)
		var transfers []Transfer
		var futures []flow.Future[Balances]
		for n := range 30 {
			in := Transfer{append(names[:3:3], "max")[dice.IntN(4)], names[dice.IntN(3)], 1 + dice.IntN(15)}
			future, err := move.Start(t.Context(), e, in, flow.ID(fmt.Sprint("t-", seed, "-", n)))
			require.NoError(t, err)
			transfers, futures = append(transfers, in), append(futures, future)
		}
		made := 0
		for n, future := range futures {
			_, err := future.Await(t.Context())
			if err == nil {
				made++
				expected[transfers[n].From] -= transfers[n].Points
				expected[transfers[n].To] += transfers[n].Points
				continue
			}
			failed, ok := errors.AsType[*flow.Error](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, flow.StateUndone, failed.State, err)
		}
		for name, points := range expected {
			assert.Equal(t, points, s.points(t, name), name)
		}
		assert.Zero(t, (s.lines(t)-before)%2, "a line and its counterpart")
		assert.Positive(t, made)
		assert.Less(t, made, len(futures))
	})
}
