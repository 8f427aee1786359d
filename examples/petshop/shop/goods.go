package shop

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/skald-go/skald/examples/petshop/domain"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// CapsulePrice is what one capsule costs.
const CapsulePrice = 300

// Draw buys capsules. In each is a pet.
type Draw struct {
	Caller   Caller
	Capsules int
}

func (d Draw) price() Points { return Points{d.Caller, d.Caller.User, d.Capsules * CapsulePrice} }

var kinds = []string{"cat", "dog", "owl", "fox", "griffin"}

// draw decides what is in the capsules. It changes nothing; that it is a step makes chance durable.
func (c *client) draw() step.Step[Draw, []domain.Pet] {
	draw := func(ctx context.Context, d Draw) ([]domain.Pet, error) {
		balance, err := c.balance(ctx, d.Caller)
		if err != nil {
			return nil, err
		}
		if need := d.price().Points; balance.Points < need {
			return nil, step.Refused(&domain.NotEnoughPoints{User: d.Caller.User, Have: balance.Points, Need: need})
		}
		pets := make([]domain.Pet, d.Capsules)
		for k := range pets {
			id := fmt.Sprintf("%s-%d", step.InfoFrom(ctx).Saga, k+1)
			pets[k] = domain.Pet{ID: id, Kind: kinds[rand.N(len(kinds))], Level: 1 + rand.N(9)}
		}
		return pets, nil
	}
	return step.New("draw", draw).ReadOnly().Retry(retry)
}

// drawCapsules sells capsules to the caller, and gives the pets that were in them.
func (c *client) drawCapsules() flow.Flow[Draw, []domain.Pet] {
	type drawn struct {
		Draw Draw
		Pets []domain.Pet
	}
	return flow.New[Draw]("draw-capsules").
		Also(c.draw(), func(d Draw, pets []domain.Pet) drawn { return drawn{d, pets} }).
		Use(c.takePoints(), func(d drawn) Points { return d.Draw.price() }, keep).
		Map(func(d drawn) Pets { return Pets{d.Draw.Caller, d.Draw.Caller.User, d.Pets} }).
		Then(c.putPet("add-pets"))
}

// WantBackdrop asks for a backdrop.
type WantBackdrop struct {
	Caller   Caller
	Backdrop string
}

// backdrop is one that its buyer wants.
type backdrop struct {
	By  WantBackdrop
	Has domain.Backdrop
}

func (b backdrop) price() Points { return Points{b.By.Caller, b.By.Caller.User, b.Has.Price} }

func (b backdrop) want() WantBackdrop { return b.By }

func (c *client) checkBackdrop() step.Step[WantBackdrop, domain.Backdrop] {
	check := func(ctx context.Context, w WantBackdrop) (domain.Backdrop, error) {
		has, err := c.get[domain.Backdrop](ctx, w.Caller, "backdrops", "backdrops", w.Backdrop, "for", w.Caller.User)
		if err != nil {
			return has, err
		}
		balance, err := c.balance(ctx, w.Caller)
		if err == nil && balance.Points < has.Price {
			err = step.Refused(&domain.NotEnoughPoints{User: w.Caller.User, Have: balance.Points, Need: has.Price})
		}
		return has, err
	}
	return step.New("check", check).ReadOnly().Retry(retry)
}

func (c *client) addBackdrop() step.Step[WantBackdrop, domain.Backdrop] {
	add := func(ctx context.Context, w WantBackdrop) (domain.Backdrop, error) {
		return c.post[domain.Backdrop](ctx, w.Caller, nil, "backdrops", "backdrops", w.Backdrop, "owners", w.Caller.User)
	}
	return step.New("add-backdrop", add).
		Compensate(func(ctx context.Context, e step.Effect[WantBackdrop, domain.Backdrop]) error {
			return c.undo(ctx, nil, "backdrops", "backdrops", e.In.Backdrop, "owners", e.In.Caller.User, "remove")
		}).
		Retry(retry).RetryUndo(retryUndo)
}

func (c *client) decrementStock() step.Step[WantBackdrop, domain.Backdrop] {
	decrement := func(ctx context.Context, w WantBackdrop) (domain.Backdrop, error) {
		return c.post[domain.Backdrop](ctx, w.Caller, nil, "backdrops", "backdrops", w.Backdrop, "decrement")
	}
	return step.New("decrement-stock", decrement).
		Compensate(func(ctx context.Context, e step.Effect[WantBackdrop, domain.Backdrop]) error {
			return c.undo(ctx, nil, "backdrops", "backdrops", e.In.Backdrop, "increment")
		}).
		Retry(retry).RetryUndo(retryUndo)
}

// buyBackdrop sells a backdrop to the caller, if one is left when everything else is done.
func (c *client) buyBackdrop() flow.Flow[WantBackdrop, domain.Backdrop] {
	return flow.New[WantBackdrop]("buy-backdrop").
		Also(c.checkBackdrop(), func(w WantBackdrop, has domain.Backdrop) backdrop { return backdrop{w, has} }).
		Use(c.takePoints(), backdrop.price, keep).
		Use(c.addBackdrop(), backdrop.want, keep).
		Use(c.decrementStock(), backdrop.want, func(_ backdrop, left domain.Backdrop) domain.Backdrop { return left })
}
