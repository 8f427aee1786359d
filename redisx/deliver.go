package redisx

import (
	"context"
	"fmt"

	"github.com/skald-go/skald/broker"
)

// Deliver implements broker.Broker.
func (b *Broker) Deliver(ctx context.Context, id string, ev broker.Event) error {
	if err := b.deliver(ctx, id, ev); err != nil {
		return fmt.Errorf("redisx: deliver %q to %q: %w", ev.ID, id, err)
	}
	return nil
}

func (b *Broker) deliver(ctx context.Context, id string, ev broker.Event) error {
	o := newOp(kindDeliver, id, "")
	return b.post(ctx, id, o, ev)
}

// Resolve implements broker.Broker.
func (b *Broker) Resolve(ctx context.Context, id string, rev uint64, decision broker.Event) error {
	o := newOp(kindResolve, id, "")
	o.buf = append48(o.buf, rev)
	if err := b.post(ctx, id, o, decision); err != nil {
		return fmt.Errorf("redisx: resolve %q at revision %d: %w", id, rev, err)
	}
	return nil
}

// post ends o with an event and sends it.
func (b *Broker) post(ctx context.Context, id string, o *op, ev broker.Event) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	if err := checkEvent(ev); err != nil {
		return err
	}
	o.event(ev)
	p := b.partition(id)
	if err := p.do(ctx, p.cold, o); err != nil {
		return err
	}
	defer o.release()
	return says(o.code)
}
