package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
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

// crowd is many users who trade with one another while everything goes wrong.
//
// Each pet is offered or released once only. Sagas see what others have not finished: who offers a pet
// that a purchase has just moved, which then fails, makes it impossible to undo. That takes a lock.
type crowd struct {
	*world
	dice   *rand.Rand
	fresh  map[string]string // owners of pets that nobody has traded
	points atomic.Int64      // that came into the world
	pets   atomic.Int64
	done   atomic.Int64
	wait   sync.WaitGroup
	room   chan struct{} // how many trade at once
}

// pick gives one of the keys, or "nothing" if there are none.
func pick[V any](c *crowd, m map[string]V) string {
	if len(m) == 0 {
		return "nothing"
	}
	return slices.Sorted(maps.Keys(m))[c.dice.IntN(len(m))]
}

func crowdedTown() participants.State {
	s := participants.State{
		Points: map[string]int{}, Stables: map[string]map[string]domain.Pet{},
		Backdrops: map[string]domain.Backdrop{"beach": {Name: "beach", Price: 50, Stock: 2}},
	}
	for n := range 20 {
		user := fmt.Sprintf("user-%d", n)
		s.Points[user], s.Stables[user] = 1000, map[string]domain.Pet{}
		for p := range 6 {
			id := fmt.Sprintf("pet-%d-%d", n, p)
			s.Stables[user][id] = domain.Pet{ID: id, Kind: "dog", Level: 3}
		}
	}
	return s
}

func newCrowd(w *world, seed uint64) *crowd {
	c := &crowd{world: w, dice: rand.New(rand.NewPCG(seed, 0)), fresh: map[string]string{}, room: make(chan struct{}, 16)}
	for user, stable := range w.town.State().Stables {
		for pet := range stable {
			c.fresh[pet] = user
		}
	}
	return c
}

// act starts a saga. What it changes in the sums is known if it succeeds.
func act[I, O any](t *testing.T, c *crowd, f flow.Flow[I, O], id string, in I, points, pets int64) {
	c.room <- struct{}{}
	future, err := f.Start(context.Background(), c.engine, in, flow.ID(id))
	require.NoError(t, err)
	c.wait.Go(func() {
		defer func() { <-c.room }()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_, err := future.Await(ctx)
		for failed, dead := err.(*flow.Error); dead && failed.State == flow.StateDeadLetter; failed, dead = err.(*flow.Error) {
			if !assert.NoError(t, c.engine.Relay(ctx, id, flow.By{Who: "support"})) {
				return
			}
			_, err = future.Await(ctx)
		}
		if err == nil {
			c.points.Add(points)
			c.pets.Add(pets)
			c.done.Add(1)
		} else {
			failed, ok := errors.AsType[*flow.Error](err)
			assert.True(t, ok && failed.State == flow.StateUndone, "%v", err)
		}
	})
}

// trade starts something that would work if nobody else were there, and nothing went wrong.
func (c *crowd) trade(t *testing.T, id string) {
	now := c.town.State()
	user, offer, pet := pick(c, now.Points), pick(c, now.Offers), pick(c, c.fresh)
	owner := c.fresh[pet]
	switch c.dice.IntN(9) {
	case 0, 1, 2:
		delete(c.fresh, pet)
		act(t, c, c.OfferPet, id, shop.NewOffer{Caller: c.as(owner), ID: "offer-" + id, Pet: pet, Price: c.dice.IntN(500)}, 0, 0)
	case 3, 4, 5:
		act(t, c, c.BuyPet, id, shop.OnOffer{Caller: c.as(user), Offer: offer}, 0, 0)
	case 6:
		act(t, c, c.WithdrawOffer, id, shop.OnOffer{Caller: c.as(now.Offers[offer].Seller), Offer: offer}, 0, 0)
	case 7:
		act(t, c, c.BuyBackdrop, id, shop.WantBackdrop{Caller: c.as(user), Backdrop: "beach"}, -50, 0)
	case 8:
		delete(c.fresh, pet)
		act(t, c, c.ReleasePet, id, shop.TakePet{Caller: c.as(owner), Pet: pet}, 3*shop.RewardByLevel, -1)
	}
}

func (c *crowd) fault(id string) participants.Fault {
	pivots := []string{"sell-offer", "insert-offer", "delete-offer"} // nobody refuses them
	steps := append(pivots, "lock-offer", "take-points", "move-pet", "pay-seller", "withdraw", "return-pet", "take-pet", "add-backdrop", "decrement-stock")
	at := c.dice.IntN(len(steps))
	f := participants.Fault{At: id + "/" + steps[at] + "/do", Times: 1 + c.dice.IntN(4)}
	kinds := 6
	if at < len(pivots) {
		kinds = 4
	}
	switch c.dice.IntN(kinds) {
	case 0:
		f.Fail = true
	case 1:
		f.Lose = true
	case 2:
		f.Twice = true
	case 3:
		f.Delay = time.Duration(c.dice.IntN(10)) * time.Millisecond
	case 4:
		f.Err = no
	case 5:
		f.At = f.At[:len(f.At)-len("do")] + "undo"
		f.Err = no
	}
	return f
}

func TestACrowdLosesNothing(t *testing.T) {
	brokers.Each(t, func(t *testing.T, k brokers.Kind, all bool) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		c := newCrowd(openAt(t, k, crowdedTown(), decoding(all)), seed)
		before := c.town.State()
		const sagas = 200
		for n := range sagas {
			id := fmt.Sprintf("saga-%d", n)
			for range 3 {
				c.town.Plan(c.fault(id))
			}
			c.trade(t, id)
		}
		c.wait.Wait()
		after := c.town.State()
		assert.Equal(t, int64(before.TotalPoints())+c.points.Load(), int64(after.TotalPoints()))
		assert.Len(t, after.AllPets(), len(before.AllPets())+int(c.pets.Load()))
		for _, pet := range after.AllPets() {
			assert.Equal(t, 3, pet.Level)
		}
		for _, o := range after.Offers {
			assert.Contains(t, []domain.Status{domain.OnSale, domain.Sold}, o.Status, "nothing is under way")
		}
		t.Logf("%d of %d sagas succeeded", c.done.Load(), sagas)
		assert.Positive(t, c.done.Load())
		assert.Less(t, c.done.Load(), int64(sagas))
	})
}
