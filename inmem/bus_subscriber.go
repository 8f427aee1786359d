package inmem

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/skald-go/skald/broker"
)

// subscriber is a membership in groups.
type subscriber struct {
	b     *Broker
	name  string
	lease time.Duration
	list  []broker.Read
	fate  atomic.Int32
	dead  atomic.Bool // it is no member any more
	bell  chan struct{}
	ended chan struct{} // closed when it is killed
}

var errReads = errors.New("a subscription needs groups to read, each once and with room, and a positive lease")

// Subscribe implements broker.Bus.
func (b *Broker) Subscribe(ctx context.Context, s broker.Subscription) (broker.Subscriber, error) {
	if err := b.usable(ctx); err != nil {
		return nil, fmt.Errorf("inmem: subscribe %q: %w", s.Name, err)
	}
	if !sound(s) {
		return nil, fmt.Errorf("inmem: subscribe %q: %w", s.Name, errReads)
	}
	own := &subscriber{
		b: b, name: s.Name, lease: s.Lease, list: slices.Clone(s.Reads), bell: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	b.bus.mu.Lock()
	defer b.bus.mu.Unlock()
	for _, r := range own.list {
		t := b.bus.topic(r.Topic)
		if t.groups[r.Group] != nil {
			continue
		}
		next := t.first
		if r.New {
			next = t.last() + 1
		}
		t.groups[r.Group] = newGroup(next)
	}
	b.bus.subscribers[own] = struct{}{}
	return own, nil
}

func sound(s broker.Subscription) bool {
	seen := make(map[[2]string]bool)
	for _, r := range s.Reads {
		key := [2]string{r.Topic, r.Group}
		if r.Topic == "" || r.Group == "" || r.Room <= 0 || seen[key] {
			return false
		}
		seen[key] = true
	}
	return len(seen) > 0 && s.Lease > 0
}

func (s *subscriber) ring() {
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

func (s *subscriber) reads(topic string) bool {
	return slices.ContainsFunc(s.list, func(r broker.Read) bool { return r.Topic == topic })
}

func (s *subscriber) read(topic, group string) *broker.Read {
	for i := range s.list {
		if s.list[i].Topic == topic && s.list[i].Group == group {
			return &s.list[i]
		}
	}
	return nil
}

func (s *subscriber) usable(ctx context.Context) error {
	if err := s.b.usable(ctx); err != nil {
		return err
	}
	if s.fate.Load() != alive {
		return broker.ErrFenced
	}
	return nil
}

// Receive implements broker.Subscriber.
func (s *subscriber) Receive(ctx context.Context) ([]broker.Arrival, error) {
	for {
		if err := s.usable(ctx); err != nil {
			return nil, fmt.Errorf("inmem: receive events for %q: %w", s.name, err)
		}
		got, wake := s.take()
		if len(got) > 0 {
			return got, nil
		}
		s.wait(ctx, wake)
	}
}

// wait blocks until there may be something, at wake at the latest.
func (s *subscriber) wait(ctx context.Context, wake time.Time) {
	var due <-chan time.Time
	if !wake.IsZero() {
		t := time.NewTimer(time.Until(wake))
		defer t.Stop()
		due = t.C
	}
	select {
	case <-s.bell:
	case <-due:
	case <-s.ended:
	case <-s.b.gone:
	case <-ctx.Done():
	}
}

// take hands out what there is room for, and says when more will be due.
func (s *subscriber) take() (got []broker.Arrival, wake time.Time) {
	b := s.b.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range s.list {
		t := b.topics[r.Topic]
		g := t.groups[r.Group]
		if g == nil { // forgotten: it was read by nobody then
			continue
		}
		got = append(got, s.fill(t, g, r)...)
		if g.held[s] >= r.Room {
			continue // a settlement rings
		}
		if at := g.wakes(); wake.IsZero() || !at.IsZero() && at.Before(wake) {
			wake = at
		}
	}
	return got, wake
}

// fill hands out events of one group.
func (s *subscriber) fill(t *topic, g *group, r broker.Read) (got []broker.Arrival) {
	for room := r.Room - g.held[s]; room > 0; room-- {
		n, o := g.take(t)
		if o == nil {
			break
		}
		o.owner, o.turn, o.attempt = s, o.turn+1, o.attempt+1
		g.held[s]++
		ev := o.Publication
		ev.Data = slices.Clone(ev.Data)
		got = append(got, broker.Arrival{Publication: ev, Group: r.Group, Ref: turnRef(n, o.turn), Attempt: o.attempt})
	}
	t.trim(s.b.bus)
	if g.untold > 0 {
		got = append(got, broker.Arrival{Publication: broker.Publication{Topic: r.Topic}, Group: r.Group, Lost: g.untold})
		g.untold = 0
	}
	return got
}

// Settle implements broker.Subscriber.
func (s *subscriber) Settle(ctx context.Context, settlements ...broker.Settlement) error {
	if err := s.usable(ctx); err != nil {
		return fmt.Errorf("inmem: settle events for %q: %w", s.name, err)
	}
	b := s.b.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, done := range settlements {
		if g := b.group(done.Topic, done.Group); g != nil {
			g.settle(s, done)
			b.ring(done.Topic)
		}
	}
	return nil
}

// Leave implements broker.Subscriber.
func (s *subscriber) Leave(ctx context.Context) error {
	if err := s.b.usable(ctx); err != nil {
		return fmt.Errorf("inmem: leave %q: %w", s.name, err)
	}
	if s.fate.CompareAndSwap(alive, left) {
		close(s.ended)
		s.release(false)
		return nil
	}
	if s.fate.Load() == killed {
		return fmt.Errorf("inmem: leave %q: %w", s.name, broker.ErrFenced)
	}
	return nil
}

// release ends the membership, and gives to others what s has.
func (s *subscriber) release(taken bool) {
	b := s.b.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	s.dead.Store(true)
	delete(b.subscribers, s)
	for _, r := range s.list {
		if g := b.group(r.Topic, r.Group); g != nil {
			g.release(s, taken)
			b.ring(r.Topic)
		}
	}
}

// KillSubscriber is Kill for a subscriber: its process dies without a word, and its events are handed out to others when its lease has passed.
func (b *Broker) KillSubscriber(s broker.Subscriber) {
	own, ok := s.(*subscriber)
	if !ok || own.b.bus != b.bus {
		panic("inmem: KillSubscriber needs a subscriber of this broker's bus")
	}
	if own.fate.CompareAndSwap(alive, killed) {
		close(own.ended)
		time.AfterFunc(own.lease, func() { own.release(true) })
	}
}

// desert ends the memberships of subscribers of a broker that is closed.
func (b *Bus) desert(gone *Broker) {
	b.mu.Lock()
	var all []*subscriber
	for s := range b.subscribers {
		if s.b == gone {
			all = append(all, s)
		}
	}
	b.mu.Unlock()
	for _, s := range all {
		s.release(true)
	}
}
