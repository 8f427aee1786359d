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

// trade is one of the shop's sagas, as all tests need it.
type trade struct {
	name   string
	steps  []string // with an effect; each has an undo, but for a pivot
	pivot  string   // the last step, if it is one
	reads  string   // a step before them that changes nothing
	run    func(context.Context, *world) (any, error)
	result any
	after  func(*participants.State) // what it changes at noon
}

// sagaID is the ID of the saga that a trade's run starts.
const sagaID = "saga-1"

// running starts a saga, and waits for it. If there is one already, it is the same.
func running[I, O any](f func(*world) flow.Flow[I, O], in func(*world) I) func(context.Context, *world) (any, error) {
	return func(ctx context.Context, w *world) (any, error) {
		future := f(w).Attach(w.engine, sagaID)
		if _, err := w.engine.Snapshot(ctx, sagaID); errors.Is(err, flow.ErrUnknown) {
			if future, err = f(w).Start(ctx, w.engine, in(w), flow.ID(sagaID)); err != nil {
				return nil, err
			}
		}
		return future.Await(ctx)
	}
}

func buying(user string) func(context.Context, *world) (any, error) {
	return running(func(w *world) flow.Flow[shop.OnOffer, domain.Pet] { return w.BuyPet },
		func(w *world) shop.OnOffer { return shop.OnOffer{Caller: w.as(user), Offer: "o-1"} })
}

func withdrawing(user string) func(context.Context, *world) (any, error) {
	return running(func(w *world) flow.Flow[shop.OnOffer, domain.Pet] { return w.WithdrawOffer },
		func(w *world) shop.OnOffer { return shop.OnOffer{Caller: w.as(user), Offer: "o-1"} })
}

func offering(user, pet string) func(context.Context, *world) (any, error) {
	return running(func(w *world) flow.Flow[shop.NewOffer, domain.Offer] { return w.OfferPet },
		func(w *world) shop.NewOffer {
			return shop.NewOffer{Caller: w.as(user), ID: "o-2", Pet: pet, Price: 80}
		})
}

func drawing(capsules int) func(context.Context, *world) (any, error) {
	draw := running(func(w *world) flow.Flow[shop.Draw, []domain.Pet] { return w.DrawCapsules },
		func(w *world) shop.Draw { return shop.Draw{Caller: w.as("bob"), Capsules: capsules} })
	return func(ctx context.Context, w *world) (any, error) {
		pets, err := draw(ctx, w)
		return len(pets.([]domain.Pet)), err // chance makes them
	}
}

func posting(user string) func(context.Context, *world) (any, error) {
	return running(func(w *world) flow.Flow[shop.NewQuiz, domain.Quiz] { return w.PostQuiz },
		func(w *world) shop.NewQuiz { return shop.NewQuiz{Caller: w.as(user), Title: "Birds"} })
}

func decorating(backdrop string) func(context.Context, *world) (any, error) {
	return running(func(w *world) flow.Flow[shop.WantBackdrop, domain.Backdrop] { return w.BuyBackdrop },
		func(w *world) shop.WantBackdrop {
			return shop.WantBackdrop{Caller: w.as("bob"), Backdrop: backdrop}
		})
}

func releasing(user, pet string) func(context.Context, *world) (any, error) {
	return running(func(w *world) flow.Flow[shop.TakePet, domain.Balance] { return w.ReleasePet },
		func(w *world) shop.TakePet { return shop.TakePet{Caller: w.as(user), Pet: pet} })
}

var (
	rex = domain.Pet{ID: "rex", Kind: "griffin", Level: 7}
	mia = domain.Pet{ID: "mia", Kind: "owl", Level: 2}
	tom = domain.Pet{ID: "tom", Kind: "cat", Level: 5}
)

func trades() []trade {
	buySteps := []string{"lock-offer", "take-points", "move-pet", "pay-seller", "sell-offer"}
	return []trade{
		{
			name: "buy-pet", pivot: "sell-offer", steps: buySteps, run: buying("bob"), result: rex,
			after: func(s *participants.State) {
				s.Points["bob"], s.Points["ada"] = 3000, 5000
				s.Stables["bob"]["rex"] = rex
				s.Offers["o-1"] = domain.Offer{ID: "o-1", Seller: "ada", Price: 1000, Status: domain.Sold, Pet: rex}
			},
		},
		{
			name: "withdraw-offer", pivot: "delete-offer", steps: []string{"withdraw", "return-pet", "delete-offer"}, run: withdrawing("ada"), result: rex,
			after: func(s *participants.State) {
				s.Stables["ada"]["rex"] = rex
				delete(s.Offers, "o-1")
			},
		},
		{
			name: "offer-pet", pivot: "insert-offer", steps: []string{"take-pet", "insert-offer"}, run: offering("ada", "mia"),
			result: domain.Offer{ID: "o-2", Seller: "ada", Pet: mia, Price: 80, Status: domain.OnSale},
			after: func(s *participants.State) {
				delete(s.Stables, "ada")
				s.Offers["o-2"] = domain.Offer{ID: "o-2", Seller: "ada", Pet: mia, Price: 80, Status: domain.OnSale}
			},
		},
		{
			name: "draw-capsules", reads: "draw", steps: []string{"take-points", "add-pets"}, run: drawing(2), result: 2,
			after: func(s *participants.State) { s.Points["bob"] = 4000 - 2*shop.CapsulePrice },
		},
		{
			name: "post-quiz", steps: []string{"reward", "create-quiz"}, run: posting("ada"),
			result: domain.Quiz{Title: "Birds", Author: "ada"},
			after: func(s *participants.State) {
				s.Points["ada"] = 4000 + shop.QuizReward
				s.Quizzes["Birds"] = domain.Quiz{Title: "Birds", Author: "ada"}
			},
		},
		{
			name: "buy-backdrop", reads: "check", steps: []string{"take-points", "add-backdrop", "decrement-stock"}, run: decorating("beach"),
			result: domain.Backdrop{Name: "beach", Price: 250, Stock: 2},
			after: func(s *participants.State) {
				s.Points["bob"] = 3750
				s.Owners["beach"] = map[string]bool{"bob": true}
				s.Backdrops["beach"] = domain.Backdrop{Name: "beach", Price: 250, Stock: 2}
			},
		},
		{
			name: "release-pet", steps: []string{"take-pet", "record-release", "pay-reward"}, run: releasing("bob", "tom"),
			result: domain.Balance{User: "bob", Points: 4200},
			after: func(s *participants.State) {
				s.Points["bob"] = 4200
				delete(s.Stables, "bob")
				s.Releases["tom"] = domain.Release{User: "bob", Pet: tom}
			},
		},
	}
}

// expected is how the town stands when the trade has been made once.
func (tr trade) expected(w *world, before participants.State) participants.State {
	s := before
	tr.after(&s)
	if tr.name == "draw-capsules" { // whatever chance made
		s.Stables["bob"] = w.town.State().Stables["bob"]
	}
	return s
}

// fromOneself is a trade in which buyer and seller are the same user.
func fromOneself() trade {
	tr := trades()[0]
	tr.name, tr.run = "buy-pet from oneself", buying("ada")
	tr.after = func(s *participants.State) {
		s.Stables["ada"]["rex"] = rex
		s.Offers["o-1"] = domain.Offer{ID: "o-1", Seller: "ada", Price: 1000, Status: domain.Sold, Pet: rex}
	}
	return tr
}

// opener opens a world at noon.
type opener func(t *testing.T, change ...func(*flow.Options)) *world

// eachTrade runs test for every saga.
func eachTrade(t *testing.T, run brokers.Runner, test func(t *testing.T, tr trade, open opener)) {
	run(t, func(t *testing.T, k brokers.Kind, all bool) {
		for _, tr := range append(trades(), fromOneself()) {
			open := func(t *testing.T, change ...func(*flow.Options)) *world {
				return openAt(t, k, noon(), append(change, decoding(all))...)
			}
			t.Run(tr.name, func(t *testing.T) {
				t.Parallel()
				test(t, tr, open)
			})
		}
	})
}

func TestEverySagaSucceedsWithOneExecutionOfEachStep(t *testing.T) {
	for _, run := range []brokers.Runner{brokers.Each, brokers.Failing} {
		eachTrade(t, run, func(t *testing.T, tr trade, open opener) {
			w := open(t)
			before := w.town.State()
			result, err := tr.run(soon(t), w)
			require.NoError(t, err)
			assert.Equal(t, tr.result, result)
			assert.Equal(t, tr.steps, calls(w, sagaID))
			assert.Equal(t, tr.expected(w, before), w.town.State())
		})
	}
}

func TestCapsulesHoldNewPets(t *testing.T) {
	brokers.Each(t, func(t *testing.T, k brokers.Kind, all bool) {
		w := openAt(t, k, noon(), decoding(all))
		future, err := w.DrawCapsules.Start(soon(t), w.engine, shop.Draw{Caller: w.as("bob"), Capsules: 3})
		require.NoError(t, err)
		pets, err := future.Await(soon(t))
		require.NoError(t, err)
		require.Len(t, pets, 3)
		for _, pet := range pets {
			assert.Equal(t, pet, w.town.State().Stables["bob"][pet.ID], "the pet that the caller was told of")
		}
	})
}

// The paths of steps are durable: sagas that are under way refer to them.
func TestStepPathsStay(t *testing.T) {
	w := openAt(t, brokers.All()[0], noon())
	paths := map[string][]string{}
	for _, f := range w.Flows() {
		paths[f.Name()] = f.(interface{ Steps() []string }).Steps()
	}
	for _, tr := range trades() {
		steps := tr.steps
		if tr.reads != "" {
			steps = append([]string{tr.reads}, steps...)
		}
		assert.Equal(t, steps, paths[tr.name])
	}
	assert.Len(t, paths, len(trades()))
}

func TestRefusalInTheFirstStepComesBackAsItself(t *testing.T) {
	for _, c := range []struct {
		name, step string
		run        func(context.Context, *world) (any, error)
		is         error // sentinel
		as         error // typed
	}{
		{"buy for 1000 with 999", "lock-offer", buying("eve"), nil, &domain.NotEnoughPoints{User: "eve", Have: 999, Need: 1000}},
		{"withdraw another's offer", "withdraw", withdrawing("bob"), domain.ErrNotYourOffer, nil},
		{"offer another's pet", "take-pet", offering("bob", "mia"), nil, &domain.NoSuchPet{Pet: "mia", Owner: "bob"}},
		{"draw too many capsules", "draw", drawing(100), nil, &domain.NotEnoughPoints{User: "bob", Have: 4000, Need: 30000}},
		{"post a quiz without an account", "reward", posting("zoe"), domain.ErrNoAccount, nil},
		{"buy a backdrop that does not exist", "check", decorating("moon"), domain.ErrNoBackdrop, nil},
		{"buy a backdrop that costs too much", "check", decorating("palace"), nil, &domain.NotEnoughPoints{User: "bob", Have: 4000, Need: 4001}},
		{"buy a backdrop twice", "check", decorating("attic"), domain.ErrAlreadyOwned, nil},
		{"release another's pet", "take-pet", releasing("ada", "tom"), nil, &domain.NoSuchPet{Pet: "tom", Owner: "ada"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			brokers.Each(t, func(t *testing.T, k brokers.Kind, all bool) {
				s := noon()
				s.Points["eve"] = 999
				s.Backdrops["palace"] = domain.Backdrop{Name: "palace", Price: 4001, Stock: 1}
				s.Backdrops["attic"] = domain.Backdrop{Name: "attic", Price: 1, Stock: 1}
				s.Owners = map[string]map[string]bool{"attic": {"bob": true}}
				w := openAt(t, k, s, decoding(all))
				before := w.town.State()
				_, err := c.run(soon(t), w)
				failed, ok := errors.AsType[*flow.Error](err)
				require.True(t, ok, "%v", err)
				assert.Equal(t, flow.StateUndone, failed.State)
				assert.Equal(t, c.step, failed.Step)
				assert.Equal(t, 1, failed.Attempts)
				assert.Empty(t, failed.Undone)
				assert.Empty(t, failed.Kept)
				if c.is != nil {
					assert.ErrorIs(t, err, c.is)
				} else {
					assert.Equal(t, c.as, failed.Cause)
				}
				assert.Empty(t, onlyUndos(calls(w, sagaID)))
				assert.Equal(t, before, w.town.State())
			})
		})
	}
}
