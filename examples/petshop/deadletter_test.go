package main

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/examples/internal/brokers"
	"github.com/skald-go/skald/examples/petshop/domain"
	"github.com/skald-go/skald/examples/petshop/participants"
	"github.com/skald-go/skald/examples/petshop/shop"
	"github.com/skald-go/skald/flow"
)

// letters has engines put their dead letters into a channel.
func letters(into chan flow.DeadLetter) func(*flow.Options) {
	return func(o *flow.Options) {
		o.OnDeadLetter = func(_ context.Context, d flow.DeadLetter) { into <- d }
	}
}

func deadLetters(t *testing.T, w *world) (ids []string) {
	for s, err := range w.engine.List(soon(t), flow.Filter{State: flow.StateDeadLetter}) {
		require.NoError(t, err)
		ids = append(ids, s.SagaID)
	}
	return ids
}

func count[E comparable](all []E, one E) (n int) {
	for _, e := range all {
		if e == one {
			n++
		}
	}
	return n
}

// Every undo of every saga fails for good once; a person repairs what was wrong, and relays.
func TestRelayFinishesTheUndoThatFailed(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault participants.Fault
		tries int
	}{
		{"refused", participants.Fault{Err: domain.ErrAccountClosed}, 1},
		{"out of order", participants.Fault{Fail: true}, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachTrade(t, brokers.Decoding, func(t *testing.T, tr trade, open opener) {
				for _, step := range tr.steps[:len(tr.steps)-1] {
					t.Run(step, func(t *testing.T) {
						t.Parallel()
						dead := make(chan flow.DeadLetter, 10)
						w := open(t, letters(dead))
						before := w.town.State()
						fault := c.fault
						fault.At, fault.Times = step+"/undo", participants.Always
						w.town.Plan(participants.Fault{At: tr.last() + "/do", Err: no}, fault)
						_, err := tr.run(soon(t), w)
						requireDeadLetter(t, w, err, tr, step)
						assert.Equal(t, c.tries, len(undosAt(w, step)))
						d := <-dead
						assert.Equal(t, sagaID, d.SagaID)
						assert.Equal(t, err.(*flow.Error).Error(), d.Err.Error())
						assert.Equal(t, []string{sagaID}, deadLetters(t, w))

						w.town.Repair()
						told := len(calls(w, sagaID))
						require.NoError(t, w.engine.Relay(soon(t), sagaID, flow.By{Who: "support", Why: "repaired"}))
						_, err = tr.run(soon(t), w)
						requireUndone(t, w, before, err, tr.last())
						assert.Equal(t, []string{"undo " + step}, calls(w, sagaID)[told:])
						assert.Empty(t, deadLetters(t, w))
						assert.Empty(t, dead, "it was told once")
					})
				}
			})
		})
	}
}

// requireDeadLetter says that exactly one undo of the saga is open, and all others were done once.
func requireDeadLetter(t *testing.T, w *world, err error, tr trade, open string) {
	t.Helper()
	failed, ok := errors.AsType[*flow.Error](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, flow.StateDeadLetter, failed.State)
	assert.Equal(t, no, failed.Cause)
	undos := onlyUndos(calls(w, sagaID))
	for _, step := range tr.steps[:len(tr.steps)-1] {
		if step != open {
			assert.Equal(t, 1, count(undos, "undo "+step), "%s in %v", step, undos)
		}
	}
	for _, u := range failed.Undone {
		assert.Equal(t, u.Step == open, u.Err != nil, "%s: %v", u.Step, u.Err)
	}
}

func undosAt(w *world, step string) (all []participants.Entry) {
	for _, e := range w.town.Journal(sagaID) {
		if e.Undo() && e.Step() == step {
			all = append(all, e)
		}
	}
	return all
}

// An undo that a person took over is not run again, and the callers are told.
func TestSkippedUndoIsListedAsDoneByHand(t *testing.T) {
	brokers.Each(t, func(t *testing.T, k brokers.Kind, all bool) {
		w := openAt(t, k, noon(), decoding(all))
		w.town.Plan(
			participants.Fault{At: "sell-offer/do", Err: no},
			participants.Fault{At: "pay-seller/undo", Err: domain.ErrAccountClosed, Times: participants.Always},
		)
		_, err := buying("bob")(soon(t), w)
		requireDeadLetter(t, w, err, trades()[0], "pay-seller")
		require.NoError(t, w.engine.Skip(soon(t), sagaID, "pay-seller", flow.By{Who: "support", Why: "ada keeps them"}))
		_, err = w.BuyPet.Attach(w.engine, sagaID).Await(soon(t))
		failed, ok := errors.AsType[*flow.Error](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, flow.StateUndone, failed.State)
		assert.Equal(t, []string{"pay-seller"}, failed.Kept)
		assert.Contains(t, failed.Undone, flow.Undo{Step: "pay-seller", ByHand: true})
		assert.Len(t, undosAt(w, "pay-seller"), 1)
		assert.Equal(t, map[string]int{"ada": 5000, "bob": 4000}, w.town.State().Points)
	})
}

// Sellers who act at once: one gets the offer, the other is refused, and the pet is there.
func TestOfTwoOffersOfOnePetOneIsRefused(t *testing.T) {
	brokers.Each(t, func(t *testing.T, k brokers.Kind, all bool) {
		for range 20 {
			w := openAt(t, k, noon(), decoding(all))
			before := w.town.State()
			ctx := soon(t)
			start := func(id string) flow.Future[domain.Offer] {
				f, err := w.OfferPet.Start(ctx, w.engine, shop.NewOffer{Caller: w.as("ada"), ID: id, Pet: "mia", Price: 80}, flow.ID("saga-"+id))
				require.NoError(t, err)
				return f
			}
			first, second := start("o-2"), start("o-3")
			won, err1 := first.Await(ctx)
			other, err2 := second.Await(ctx)
			if err1 != nil {
				won, err1, err2 = other, err2, err1
			}
			require.NoError(t, err1)
			missing, ok := errors.AsType[*domain.NoSuchPet](err2)
			require.True(t, ok, "%v", err2)
			assert.Equal(t, &domain.NoSuchPet{Pet: "mia", Owner: "ada"}, missing)
			assert.Equal(t, before.AllPets(), w.town.State().AllPets())
			assert.Equal(t, won, w.town.State().Offers[won.ID])
			assert.Len(t, w.town.State().Offers, 2)
		}
	})
}
