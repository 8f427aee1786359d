package inmem

import (
	"context"
	"errors"
	"fmt"

	"github.com/skald-go/skald/broker"
)

var errForeign = errors.New("the worker of By is of another broker")

// Start implements broker.Broker.
func (b *Broker) Start(ctx context.Context, s broker.Start) (broker.Started, error) {
	started, err := b.start(ctx, s)
	if err != nil {
		return broker.Started{}, fmt.Errorf("inmem: start %q: %w", s.ID, err)
	}
	return started, nil
}

func (b *Broker) start(ctx context.Context, s broker.Start) (broker.Started, error) {
	if err := b.usable(ctx); err != nil {
		return broker.Started{}, err
	}
	by, err := b.member(s.By)
	if err != nil {
		return broker.Started{}, err
	}
	sh := b.shard(s.ID)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if old := b.find(s.ID); old != nil && old.state != unborn {
		return old.again(s)
	}
	local := by != nil && by.status() == nil
	if !local && !b.queue.room() {
		return broker.Started{}, broker.ErrOverload
	}
	claim, waits, err := b.take(s)
	if err != nil {
		return broker.Started{}, err
	}
	made := b.born(s)
	made.live.claim, made.live.waits = claim, waits
	if local {
		made.hand(by)
		return broker.Started{Owned: true, State: broker.Owned, Waits: waits, Mail: made.box.tell()}, nil
	}
	b.ready(made)
	return broker.Started{State: broker.Ready, Waits: waits}, nil
}

// member gives the worker behind w, or nil for nil.
func (b *Broker) member(w broker.Worker) (*worker, error) {
	if w == nil {
		return nil, nil
	}
	own, ok := w.(*worker)
	if !ok || own.b != b {
		return nil, errForeign
	}
	return own, nil
}

// again answers a Start for a saga that exists.
func (s *saga) again(start broker.Start) (broker.Started, error) {
	if s.Served != start.Served || s.digest != start.Digest {
		return broker.Started{}, broker.ErrConflict
	}
	return broker.Started{Existed: true, State: s.state}, nil
}

// born stores a saga whose shard is locked; events that came before are its mail.
func (b *Broker) born(start broker.Start) *saga {
	s := b.shard(start.ID).sagas[start.ID]
	if s == nil {
		s = b.make(start.ID)
	} else {
		b.early.remove(s)
		b.unread.Add(-int64(len(s.box.events)))
	}
	s.Served, s.digest, s.parent = start.Served, start.Digest, start.Parent
	s.rev, s.due = 1, 0
	s.live = b.newLive(start.Record)
	return s
}

// hand makes w the owner.
func (s *saga) hand(w *worker) {
	s.enter(broker.Owned)
	s.owner = w
	s.box.unhint()
}
