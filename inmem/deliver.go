package inmem

import (
	"context"
	"fmt"

	"github.com/skald-go/skald/broker"
)

// Deliver implements broker.Broker.
func (b *Broker) Deliver(ctx context.Context, id string, ev broker.Event) error {
	if err := b.deliver(ctx, id, ev); err != nil {
		return fmt.Errorf("inmem: deliver %q to %q: %w", ev.ID, id, err)
	}
	return nil
}

func (b *Broker) deliver(ctx context.Context, id string, ev broker.Event) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	b.tidyEarly()
	sh := b.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := b.find(id)
	switch {
	case s != nil && s.box.has(ev.ID):
		return nil
	case s != nil && s.state == broker.Finished:
		return broker.ErrSettled
	case (s == nil || s.state == unborn) && b.unread.Load() >= int64(b.options.earlyLimit):
		return broker.ErrOverload
	}
	b.post(id, ev)
	return nil
}

// post puts ev into the mailbox of an ID whose shard is locked.
func (b *Broker) post(id string, ev broker.Event) {
	s := b.find(id)
	if s == nil {
		s = b.make(id)
	}
	if s.state == broker.Finished {
		return
	}
	if s.box == nil {
		s.box = new(mailbox)
	}
	if !s.box.add(ev) {
		return
	}
	switch {
	case s.state == unborn:
		b.await(s)
	case s.waiting():
		b.ready(s)
	case s.state == broker.Owned && !s.box.hinted:
		s.box.hinted = true
		b.queue.hint(s.owner, s)
	}
}

// await keeps early mail for its time from now on.
func (b *Broker) await(s *saga) {
	b.early.remove(s)
	s.due = now() + int64(b.options.earlyFor)
	b.early.add(s)
	b.unread.Add(1)
}

// Resolve implements broker.Broker.
func (b *Broker) Resolve(ctx context.Context, id string, rev uint64, decision broker.Event) error {
	if err := b.resolve(ctx, id, rev, decision); err != nil {
		return fmt.Errorf("inmem: resolve %q at revision %d: %w", id, rev, err)
	}
	return nil
}

func (b *Broker) resolve(ctx context.Context, id string, rev uint64, decision broker.Event) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	sh := b.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := b.find(id)
	switch {
	case s == nil || s.state == unborn:
		return broker.ErrUnknown
	case s.box.has(decision.ID):
		return nil
	case s.state != broker.Buried:
		return broker.ErrSettled
	case s.rev != rev:
		return broker.ErrStale
	}
	b.post(id, decision)
	b.ready(s)
	return nil
}
