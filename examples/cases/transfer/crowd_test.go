package transfer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker/brokerfault"
	"github.com/skald-go/skald/examples/internal/brokers"
	"github.com/skald-go/skald/examples/internal/partner"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// Two engines whose processes die, on a broker that loses replies, between banks that fail: every
// transfer is made or not, and no money is lost.
func TestNoMoneyIsLostWhenEverythingFails(t *testing.T) {
	for range 5 {
		brokers.InBubble(t, func(t *testing.T, k brokers.Kind, all bool) { everythingFails(t, k, all, rand.Uint64()) })
	}
}

func everythingFails(t *testing.T, k brokers.Kind, all bool, seed uint64) {
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	b := &Banks{Partners: partner.New(), Accounts: map[string]int{"a": 1000, "b": 1000, "c": 1000}, Closed: map[string]bool{}, Retry: retry(k)}
	oneByOne, sideBySide := b.OneByOne(), b.SideBySide()
	odds := brokerfault.Odds{brokerfault.Fail: 0.05, brokerfault.Lose: 0.05, brokerfault.Repeat: 0.05}
	store := k.Open(t)
	if _, mayDie := store.(brokerfault.Killer); mayDie {
		odds[brokerfault.KillBefore], odds[brokerfault.KillAfter] = 0.01, 0.01
	}
	failing := brokerfault.Wrap(store, brokerfault.Options{Seed: seed, Odds: odds})
	for range 50 {
		for _, call := range []string{"debit", "credit", "undo debit", "legs/from/book", "undo legs/from/book", "legs/to/book", "audit"} {
			b.Plan(call, anyFault(dice, k, call))
		}
	}
	one, _ := brokers.Run(t, failing, flow.Options{Name: "one", Errors: Errors, TakeoverLimit: 1000}, oneByOne, sideBySide)
	two, _ := brokers.Run(t, failing, flow.Options{Name: "two", Errors: Errors, TakeoverLimit: 1000, DecodeAll: all}, oneByOne, sideBySide)

	expected := map[string]int{"a": 1000, "b": 1000, "c": 1000}
	made := 0
	var transfers []Transfer
	var futures []flow.Future[Balances]
	for n := range 60 {
		in := Transfer{From: []string{"a", "b", "c"}[dice.IntN(3)], To: []string{"a", "b", "c"}[dice.IntN(3)], Amount: dice.IntN(10)}
		engine, f := one, oneByOne
		if dice.IntN(2) == 0 {
			engine = two
		}
		if dice.IntN(2) == 0 {
			f = sideBySide
		}
		future, err := f.Start(t.Context(), engine, in, flow.ID(fmt.Sprint("t-", n)))
		require.NoError(t, err)
		transfers, futures = append(transfers, in), append(futures, future)
		time.Sleep(time.Duration(dice.IntN(1000)) * k.Time(time.Millisecond, 20*time.Microsecond))
	}
	for n, future := range futures {
		err := settled(t, one, future)
		if err == nil {
			made++
			expected[transfers[n].From] -= transfers[n].Amount
			expected[transfers[n].To] += transfers[n].Amount
			continue
		}
		failed, ok := errors.AsType[*flow.Error](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, flow.StateUndone, failed.State, err)
	}
	assert.Equal(t, expected, b.Accounts)
	assert.Positive(t, made)
	assert.Less(t, made, len(futures))
}

// settled relays a transfer as long as it is a dead letter, and gives how it ended. While the store cannot
// be read, callers are told what was known before: then it may not be one any more.
func settled(t *testing.T, e *flow.Engine, future flow.Future[Balances]) error {
	for {
		_, err := future.Await(t.Context())
		if failed, ok := errors.AsType[*flow.Error](err); !ok || failed.State != flow.StateDeadLetter {
			return err
		}
		for err = brokerfault.ErrInjected; errors.Is(err, brokerfault.ErrInjected); {
			err = e.Relay(t.Context(), future.ID(), flow.By{Who: "clerk"})
		}
		if !errors.Is(err, flow.ErrNotDead) {
			require.NoError(t, err)
		}
	}
}

// anyFault is none most of the time. An undo is never refused.
func anyFault(dice *rand.Rand, k brokers.Kind, call string) partner.Fault {
	switch n := dice.IntN(10); {
	case n == 0:
		return partner.Fault{Err: partner.ErrDown}
	case n == 1:
		return partner.Fault{Lose: true}
	case n == 2:
		return partner.Fault{Slow: time.Duration(dice.IntN(5)) * k.Time(time.Second, 20*time.Millisecond)}
	case n == 3 && call != "undo debit" && call != "undo legs/from/book":
		return partner.Fault{Err: step.Refused(ErrClosed)}
	default:
		return partner.Fault{}
	}
}
