package shop

import (
	"context"

	"github.com/skald-go/skald/examples/petshop/domain"
	"github.com/skald-go/skald/step"
)

// Points are to be moved into an account, or out of it.
type Points struct {
	Caller  Caller
	Account string
	Points  int
}

type amount struct{ Points int }

func (c *client) balance(ctx context.Context, who Caller) (domain.Balance, error) {
	return c.get[domain.Balance](ctx, who, "accounts", "accounts", who.User)
}

func (c *client) take(ctx context.Context, p Points) (domain.Balance, error) {
	return c.post[domain.Balance](ctx, p.Caller, amount{p.Points}, "accounts", "accounts", p.Account, "take")
}

func (c *client) give(ctx context.Context, p Points) (domain.Balance, error) {
	return c.post[domain.Balance](ctx, p.Caller, amount{p.Points}, "accounts", "accounts", p.Account, "give")
}

func (c *client) takePoints() step.Step[Points, domain.Balance] {
	return step.New("take-points", c.take).
		Compensate(func(ctx context.Context, e step.Effect[Points, domain.Balance]) error {
			return c.undo(ctx, amount{e.In.Points}, "accounts", "accounts", e.In.Account, "give")
		}).
		Retry(retry).RetryUndo(retryUndo)
}

func (c *client) givePoints(name string) step.Step[Points, domain.Balance] {
	return step.New(name, c.give).
		Compensate(func(ctx context.Context, e step.Effect[Points, domain.Balance]) error {
			return c.undo(ctx, amount{e.In.Points}, "accounts", "accounts", e.In.Account, "take")
		}).
		Retry(retry).RetryUndo(retryUndo)
}
