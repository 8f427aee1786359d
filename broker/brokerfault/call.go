package brokerfault

import (
	"context"
	"fmt"
	"time"

	"github.com/skald-go/skald/broker"
)

// operation is a call, as far as faults are concerned.
type operation[R any] struct {
	method  Method
	id      string
	worker  *worker // that makes the call, or nil
	do      func() (R, error)
	lost    func(reply R)           // nil, or takes a reply that the caller does not get
	again   func(reply R)           // nil, or does what a repeat means, instead of do
	reorder func(c Call, reply R) R // nil, or changes the order of the reply
}

// none is the reply of methods that have none.
type none = struct{}

// call makes a call with the fault that the dice decide.
func call[R any](ctx context.Context, b *Broker, op operation[R]) (R, error) {
	c, fault := b.dice.roll(op.method, op.id)
	if err := b.before(ctx, c, fault, op.worker); err != nil {
		return *new(R), err
	}
	reply, err := op.do()
	if err != nil {
		return *new(R), err
	}
	switch {
	case fault == Lose:
		op.drop(reply)
		return *new(R), b.dice.fail(c)
	case fault == KillAfter && op.worker != nil:
		b.Kill(op.worker)
		return *new(R), b.died(c)
	case fault == Repeat:
		op.repeat(reply)
	case fault == Reorder && op.reorder != nil:
		return op.reorder(c, reply), nil
	}
	return reply, nil
}

// before does what happens before the effect.
func (b *Broker) before(ctx context.Context, c Call, fault Fault, w *worker) error {
	switch {
	case fault == Fail:
		return b.dice.fail(c)
	case fault == Delay:
		return b.sleep(ctx, c)
	case fault == KillBefore && w != nil:
		b.Kill(w)
	}
	return nil
}

// died is what a call answers whose worker died after it. A Start is not the worker's call, and may be repeated.
func (b *Broker) died(c Call) error {
	if c.Method == Start {
		return b.dice.fail(c)
	}
	return fmt.Errorf("brokerfault: %s: %w", c, broker.ErrFenced)
}

func (op operation[R]) drop(reply R) {
	if op.lost != nil {
		op.lost(reply)
	}
}

func (op operation[R]) repeat(first R) {
	if op.again != nil {
		op.again(first)
		return
	}
	if second, err := op.do(); err == nil {
		op.drop(second)
	}
}

func (b *Broker) sleep(ctx context.Context, c Call) error {
	timer := time.NewTimer(time.Duration(b.dice.random(c).Int64N(int64(b.maxDelay))))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("brokerfault: %s: %w", c, ctx.Err())
	}
}
