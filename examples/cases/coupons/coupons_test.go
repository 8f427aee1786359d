package coupons

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokerfault"
	"github.com/skald-go/skald/examples/internal/brokers"
	"github.com/skald-go/skald/flow"
)

func TestMain(m *testing.M) { brokers.Main(m) }

// serve runs each service in two engines, and gives an engine of the web shop.
func serve(t *testing.T, b broker.Broker, w *World) *flow.Engine {
	t.Helper()
	for _, service := range []func(*flow.Engine){w.CouponService, w.PointsService, w.Desk, w.InboxService} {
		for range 2 {
			e := newEngine(b)
			service(e)
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- e.Run(ctx) }()
			t.Cleanup(func() {
				cancel()
				assert.NoError(t, <-ended)
			})
		}
	}
	web := newEngine(b)
	brokers.Eventually(t, func() bool {
		groups, err := web.Groups(t.Context(), Redemption.Name())
		return err == nil && len(groups) == 3
	}, "the services listen")
	return web
}

func newEngine(b broker.Broker) *flow.Engine {
	return flow.NewEngine(b, flow.Options{Errors: Errors, Logger: slog.New(slog.DiscardHandler)})
}

func redeem(t *testing.T, e *flow.Engine, user, coupon string) string {
	t.Helper()
	id, err := Redemption.Start(t.Context(), e, Redeemed{user, coupon, 500}, flow.ID(user+"-"+coupon))
	require.NoError(t, err)
	return id
}

func each(t *testing.T, test func(t *testing.T, b broker.Broker)) {
	for _, k := range brokers.All() {
		t.Run(k.Name, func(t *testing.T) { test(t, k.Open(t)) })
	}
}

func TestACouponIsRedeemed(t *testing.T) {
	each(t, func(t *testing.T, b broker.Broker) {
		w := NewWorld()
		e := serve(t, b, w)
		id := redeem(t, e, "ada", "SUMMER")
		brokers.Eventually(t, func() bool { return len(w.Messages("ada")) == 1 }, "the user is told")
		assert.Equal(t, []string{"SUMMER is redeemed"}, w.Messages("ada"))
		assert.Equal(t, map[string]int{"ada": 500}, w.Balances())
		assert.False(t, w.Valid("SUMMER"))
		s, err := Redemption.Status(t.Context(), e, id)
		require.NoError(t, err)
		assert.Equal(t, flow.StateDone, s.State)
		assert.ElementsMatch(t, []string{"coupons", "points"}, s.Parties)
	})
}

func TestACouponIsValidAgainWhenNobodyPays(t *testing.T) {
	each(t, func(t *testing.T, b broker.Broker) {
		w := NewWorld("ada")
		e := serve(t, b, w)
		id := redeem(t, e, "ada", "SUMMER")
		brokers.Eventually(t, func() bool { return len(w.Messages("ada")) == 1 }, "the user is told")
		assert.Equal(t, []string{"SUMMER is not redeemed: points: points: the account is frozen"}, w.Messages("ada"))
		assert.True(t, w.Valid("SUMMER"))
		assert.Zero(t, w.Balances()["ada"])
		s, err := Redemption.Status(t.Context(), e, id)
		require.NoError(t, err)
		assert.ErrorIs(t, s.Cause, ErrFrozen)
		assert.Equal(t, flow.StateUndone, s.State)
	})
}

// Many want the same coupons, over a broker that loses replies and repeats: each coupon pays once, to one user, and every user is told once for each.
func TestACouponPaysOnce(t *testing.T) {
	each(t, func(t *testing.T, bare broker.Broker) {
		b := brokerfault.Wrap(bare, brokerfault.Options{Seed: 3, Odds: brokerfault.Odds{brokerfault.Lose: 0.05, brokerfault.Repeat: 0.05, brokerfault.Fail: 0.05}})
		w := NewWorld("cleo")
		e := serve(t, b, w)
		const coupons = 8
		users := []string{"ada", "bob", "cleo", "dora"}
		var group sync.WaitGroup
		for _, user := range users {
			for n := range coupons {
				group.Go(func() {
					_, err := Redemption.Start(t.Context(), e, Redeemed{user, fmt.Sprint("c", n), 100}, flow.ID(fmt.Sprint(user, "-c", n)))
					assert.NoError(t, err)
				})
			}
		}
		group.Wait()
		brokers.Eventually(t, func() bool {
			for _, user := range users {
				if len(w.Messages(user)) < coupons {
					return false
				}
			}
			return true
		}, "all are told")
		sum, used := 0, 0
		for _, points := range w.Balances() {
			sum += points
		}
		for n := range coupons {
			if !w.Valid(fmt.Sprint("c", n)) {
				used++
			}
		}
		assert.Equal(t, 100*used, sum, "points and coupons belong together")
		assert.Zero(t, w.Balances()["cleo"])
		for _, user := range users {
			assert.Len(t, w.Messages(user), coupons, user)
		}
	})
}

// A service that is away hears everything when it comes back.
func TestAServiceThatIsAway(t *testing.T) {
	each(t, func(t *testing.T, b broker.Broker) {
		w := NewWorld()
		web := newEngine(b)
		require.NoError(t, Inbox.Publish(t.Context(), web, Message{"ada", "hello"}, flow.EventID("hello")))
		assert.Empty(t, w.Messages("ada"))
		e := serve(t, b, w)
		require.NoError(t, Inbox.Publish(t.Context(), e, Message{"ada", "hello"}, flow.EventID("hello")))
		require.NoError(t, Inbox.Publish(t.Context(), e, Message{"ada", "again"}))
		brokers.Eventually(t, func() bool { return len(w.Messages("ada")) == 2 }, "the user is told")
		assert.Equal(t, []string{"hello", "again"}, w.Messages("ada"))
	})
}
