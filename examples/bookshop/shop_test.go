package bookshop

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/sagatest"
)

var (
	dune    = Request{Book: "Dune", Customer: "ada", Cents: 1200}
	options = flow.Options{Errors: Errors}
)

func TestOrderIsShippedAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shop := New()
		engine := flow.NewEngine(inmem.New(), flow.Options{Errors: Errors, DecodeAll: true})
		engine.Serve(shop.Order())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- engine.Run(ctx) }()

		began := time.Now()
		future, err := shop.Order().Start(ctx, engine, dune, flow.ID("order-1"))
		require.NoError(t, err)
		_, err = future.Await(ctx)
		require.NoError(t, err)
		require.Equal(t, 24*time.Hour, time.Since(began))

		cancel()
		require.NoError(t, <-ended)
	})
}

func TestOrderOfSomebodyWithoutMoney(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sagatest.Given(t, New().Order(), options).
			Start(Request{Book: "Dune", Customer: "bob", Cents: 1200}).
			Ran("reserve").Undid("reserve").RefusedWith(ErrDeclined)
	})
}

func TestOrderThatIsCancelledInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sagatest.Given(t, New().Order(), options).
			LoseReply("charge").
			Start(dune).
			Ran("reserve").Undid("charge", "reserve").Undone(sagatest.ErrInjected)
		sagatest.Given(t, New().Order(), options).
			Start(dune).
			Waits("cooling-off").After(time.Hour).
			Cancel("bought it elsewhere").
			Undid("charge", "reserve").Undone(flow.ErrCancelled)
	})
}

func TestOrder(t *testing.T) {
	sagatest.Matrix(t, (*Shop).Order, sagatest.World[*Shop, Request]{
		New:      New,
		Input:    func(*Shop) Request { return dune },
		Snapshot: (*Shop).Books,
		Invariants: []sagatest.Invariant[*Shop]{
			sagatest.Conserved("money", (*Shop).Money),
			sagatest.NothingHeld("stock", (*Shop).Held),
		},
		Options: options,
	})
}

func TestOrder42IsUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := sagatest.Replay(t, "testdata/order-42.json", New().Order(), options)
		_, err := r.Undid("reserve").Result()
		require.ErrorIs(t, err, ErrDeclined)
		require.Equal(t, flow.StateUndone, r.Snapshot().State)
	})
}

func TestNamesOfOrder(t *testing.T) {
	sagatest.Golden(t, New().Order(), "testdata/order.golden")
}

func TestOrderIsCompatible(t *testing.T) {
	sagatest.Compatible(t, New().Order(), "testdata/order.v1.json")
}
