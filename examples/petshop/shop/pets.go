package shop

import (
	"context"

	"github.com/skald-go/skald/examples/petshop/domain"
	"github.com/skald-go/skald/step"
)

// Pets are to be put into a user's stable.
type Pets struct {
	Caller Caller
	Owner  string
	Pets   []domain.Pet
}

// TakePet names a pet that is to be taken from its owner, who asks for it.
type TakePet struct {
	Caller Caller
	Pet    string
}

type (
	petIDs  struct{ Pets []string }
	animals struct{ Pets []domain.Pet }
)

func (c *client) put(ctx context.Context, p Pets) ([]domain.Pet, error) {
	return c.post[[]domain.Pet](ctx, p.Caller, animals{p.Pets}, "pets", "stables", p.Owner, "put")
}

func (c *client) putPet(name string) step.Step[Pets, []domain.Pet] {
	return step.New(name, c.put).
		Compensate(func(ctx context.Context, e step.Effect[Pets, []domain.Pet]) error {
			var ids petIDs
			for _, pet := range e.In.Pets {
				ids.Pets = append(ids.Pets, pet.ID)
			}
			return c.undo(ctx, ids, "pets", "stables", e.In.Owner, "take")
		}).
		Retry(retry).RetryUndo(retryUndo)
}

// takePet gives the pet as it was, and its undo gives that back. If the reply was lost, only the
// participant knows how the pet was.
func (c *client) takePet() step.Step[TakePet, domain.Pet] {
	take := func(ctx context.Context, t TakePet) (domain.Pet, error) {
		pets, err := c.post[[]domain.Pet](ctx, t.Caller, petIDs{[]string{t.Pet}}, "pets", "stables", t.Caller.User, "take")
		if err != nil {
			return domain.Pet{}, err
		}
		return pets[0], nil
	}
	return step.New("take-pet", take).
		Compensate(func(ctx context.Context, e step.Effect[TakePet, domain.Pet]) error {
			var back animals
			if e.Known {
				back.Pets = []domain.Pet{e.Out}
			}
			return c.undo(ctx, back, "pets", "stables", e.In.Caller.User, "put")
		}).
		Retry(retry).RetryUndo(retryUndo)
}
