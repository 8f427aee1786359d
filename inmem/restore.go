package inmem

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/skald-go/skald/broker"
)

var (
	errRestored = errors.New("only a saga that is ready, owned, parked, held or buried can be restored")
	errClaims   = errors.New("a saga that claims keys cannot be restored: they belong to where it is")
)

// Restore implements broker.Restorer.
func (b *Broker) Restore(ctx context.Context, s broker.Snapshot, call string) error {
	told, err := b.restore(ctx, s, call)
	if err != nil {
		return fmt.Errorf("inmem: restore %q: %w", s.ID, err)
	}
	told.call()
	return nil
}

func (b *Broker) restore(ctx context.Context, shot broker.Snapshot, call string) (*telling, error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	if shot.State < broker.Ready || shot.State > broker.Buried {
		return nil, errRestored
	}
	if shot.Waits || len(shot.Claims) > 0 {
		return nil, errClaims
	}
	sh := b.shard(shot.ID)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if old := b.find(shot.ID); old != nil && old.state != unborn {
		if old.box.has(call) {
			return nil, nil
		}
		return nil, broker.ErrConflict
	}
	s := b.born(shot.Start)
	s.rev, s.outcome = shot.Rev, slices.Clone(shot.Outcome)
	s.live.takeovers = shot.Takeovers
	s.live.append(shot.Journal)
	s.live.note(shot.Memo)
	s.fill(shot.Mail, call)
	b.place(s, shot)
	return b.tell(s), nil
}

// fill puts mail behind what came early, and remembers the call.
func (s *saga) fill(mail []broker.Event, call string) {
	if s.box == nil {
		s.box = new(mailbox)
	}
	for _, ev := range mail {
		s.box.add(ev)
	}
	if s.box.seen == nil {
		s.box.seen = make(map[string]struct{})
	}
	s.box.seen[call] = struct{}{}
}

// place gives a restored saga its state.
func (b *Broker) place(s *saga, shot broker.Snapshot) {
	switch waits := shot.State == broker.Parked || shot.State == broker.Held; {
	case shot.State == broker.Buried:
		s.enter(broker.Buried)
	case waits && s.box.empty():
		s.enter(shot.State)
		b.nap(s, shot.Wake)
	default:
		b.ready(s)
	}
}
