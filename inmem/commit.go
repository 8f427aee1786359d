package inmem

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/skald-go/skald/broker"
)

var (
	errNext    = errors.New("unknown Next")
	errMessage = errors.New("needs either an Event, or a Start of the saga it is to")
	errClaimed = errors.New("starts a saga that claims keys: they are sorted, it waits for them, and it is not one of another service")
)

// Commit implements broker.Worker.
func (w *worker) Commit(ctx context.Context, t broker.Transition) (broker.Ack, error) {
	ack, told, err := w.commit(ctx, t)
	if err != nil {
		return broker.Ack{}, fmt.Errorf("inmem: commit %q at revision %d: %w", t.ID, t.Rev, err)
	}
	told.call()
	if t.Next == broker.Finish {
		w.b.tidyKept()
		w.b.tellGranted()
	}
	return ack, nil
}

func (w *worker) commit(ctx context.Context, t broker.Transition) (broker.Ack, *telling, error) {
	if err := w.usable(ctx); err != nil {
		return broker.Ack{}, nil, err
	}
	if err := w.b.check(t); err != nil {
		return broker.Ack{}, nil, err
	}
	shards := w.b.span(t)
	w.b.lock(shards)
	defer w.b.unlock(shards)
	s := w.b.find(t.ID)
	switch {
	case s == nil:
		return broker.Ack{}, nil, broker.ErrStale
	case s.owner == w && s.rev == t.Rev:
		told := w.b.apply(s, t)
		return s.ack(), told, nil
	case s.last == w && s.rev == t.Rev+1:
		return s.ack(), nil, nil
	}
	return broker.Ack{}, nil, broker.ErrStale
}

// check finds mistakes before anything is applied.
func (b *Broker) check(t broker.Transition) error {
	if t.Next > broker.Reject {
		return fmt.Errorf("%w %d", errNext, t.Next)
	}
	for _, m := range t.Send {
		if (m.Start == nil) == (m.Event == nil) || m.Start != nil && m.Start.ID != m.To {
			return fmt.Errorf("message %q %w", m.ID, errMessage)
		}
		if err := b.checkService(m); err != nil {
			return err
		}
		if m.Start != nil && len(m.Start.Claims) > 0 && (m.Service != "" || m.Start.Refuse || !sorted(m.Start.Claims)) {
			return fmt.Errorf("message %q %w", m.ID, errClaimed)
		}
	}
	return nil
}

// ack answers the owner's last transition, for the first time or again.
func (s *saga) ack() broker.Ack {
	if !s.kept {
		return broker.Ack{Rev: s.rev}
	}
	return broker.Ack{Rev: s.rev, Owned: true, Mail: s.box.tell()}
}

// apply makes the next revision of s, whose shard is locked, and gives what watchers are to be told.
func (b *Broker) apply(s *saga, t broker.Transition) *telling {
	s.rev++
	s.last = s.owner
	s.box.consume(t.Consume)
	s.live.takeovers = 0
	if t.Next != broker.Finish {
		s.live.append(t.Append)
		s.live.note(t.Memo)
	}
	b.move(s, t)
	s.kept = s.state == broker.Owned
	for i := range t.Send {
		if t.Send[i].Service == "" {
			b.send(t.Send[i])
		}
	}
	told := b.tell(s)
	if away := outgoing(t.Send); len(away) > 0 {
		told = told.carrying(b.network, away)
	}
	return told
}

// move does what t.Next says.
func (b *Broker) move(s *saga, t broker.Transition) {
	switch t.Next {
	case broker.Park:
		b.park(s, broker.Parked, t)
	case broker.Hold:
		s.outcome = slices.Clone(t.Outcome)
		b.park(s, broker.Held, t)
	case broker.Bury:
		s.outcome = slices.Clone(t.Outcome)
		s.enter(broker.Buried)
	case broker.Finish:
		s.outcome = slices.Clone(t.Outcome)
		b.finish(s, t)
	case broker.GiveBack:
		b.ready(s)
	case broker.Reject:
		s.live.reject(s.owner.member.Build)
		b.ready(s)
	}
}

// park lets s wait, unless there is mail.
func (b *Broker) park(s *saga, state broker.State, t broker.Transition) {
	if !s.box.empty() {
		return
	}
	s.enter(state)
	b.nap(s, t.Until)
}

// finish keeps of s only what Lookup and repeats need.
func (b *Broker) finish(s *saga, t broker.Transition) {
	s.enter(broker.Finished)
	s.box.drain()
	if s.live.claim != nil {
		b.claims.release(s.live.claim)
	}
	b.reuse(s.live)
	s.live = nil
	s.due = s.since + int64(t.Keep)
	b.kept.add(s)
}

// send applies a message; the shard of the receiver is locked.
func (b *Broker) send(m broker.Message) {
	if m.Event != nil {
		b.post(m.To, *m.Event)
		return
	}
	if s := b.find(m.To); s == nil || s.state == unborn {
		claim, waits, _ := b.take(*m.Start)
		made := b.born(*m.Start)
		made.live.claim, made.live.waits = claim, waits
		b.ready(made)
	}
}

// reject remembers that workers of a build leave the saga alone.
func (l *live) reject(build string) {
	if i, found := slices.BinarySearch(l.rejected, build); !found {
		l.rejected = slices.Insert(l.rejected, i, build)
	}
}
