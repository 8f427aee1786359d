package redisx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skald-go/skald/broker"
)

// subscriber is a membership in groups, with a desk in each partition of the bus. It lives as long as it has all of them.
type subscriber struct {
	b     *Broker // the home of the bus
	spec  broker.Subscription
	said  string // of itself: its name, and what it reads
	desks []*desk
	ended context.Context // when it is dead or has left, or the broker is closed
	end   context.CancelCauseFunc

	leaving atomic.Bool
	silent  atomic.Bool // gives no more signs of life: for tests

	mu      sync.Mutex
	inbox   []broker.Arrival
	filled  chan struct{} // has a token when the inbox is not empty
	room    []int         // left, of each read
	failure error         // of a desk, that Receive has not told
}

var errReads = errors.New("a subscription needs groups to read, each once, with room and names without a slash, and a lease of at least 10 ms")

// Subscribe implements broker.Bus.
func (b *Broker) Subscribe(ctx context.Context, spec broker.Subscription) (broker.Subscriber, error) {
	s, err := b.home.subscribe(ctx, spec)
	if err != nil {
		return nil, failed("subscribe", spec.Name, err)
	}
	return s, nil
}

func (b *Broker) subscribe(ctx context.Context, spec broker.Subscription) (*subscriber, error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	if !soundSubscription(spec) {
		return nil, errReads
	}
	s := newSubscriber(b, spec)
	_, err := ask(ctx, b, func(ctx context.Context) (struct{}, error) {
		for _, d := range s.desks {
			if err := d.join(ctx); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	if err != nil {
		s.die(err) // what it has taken of desks ends with the lease
		return nil, err
	}
	b.listen()
	b.subscribed(s)
	for _, d := range s.desks {
		if !b.spawn(d.run) {
			s.die(broker.ErrClosed)
			return nil, broker.ErrClosed
		}
	}
	return s, nil
}

func soundSubscription(spec broker.Subscription) bool {
	seen := make(map[[2]string]bool)
	for _, r := range spec.Reads {
		key := [2]string{r.Topic, r.Group}
		if !soundName(r.Topic) || !soundName(r.Group) || r.Room <= 0 || seen[key] {
			return false
		}
		seen[key] = true
	}
	return len(seen) > 0 && spec.Lease >= minLease
}

func newSubscriber(b *Broker, spec broker.Subscription) *subscriber {
	spec.Reads = slices.Clone(spec.Reads)
	s := &subscriber{b: b, spec: spec, filled: signal(1)}
	said := strings.ReplaceAll(spec.Name, "\n", " ") + "\n"
	for _, r := range spec.Reads {
		said += r.Topic + "/" + r.Group + "\n"
		s.room = append(s.room, r.Room)
	}
	s.said = said
	s.ended, s.end = context.WithCancelCause(b.ctx)
	for _, p := range b.parts {
		s.desks = append(s.desks, newDesk(s, p))
	}
	return s
}

// die ends the subscriber's calls with err.
func (s *subscriber) die(err error) {
	s.end(err)
	s.b.unsubscribed(s)
	for _, d := range s.desks {
		d.stop()
	}
}

// cause says why s can do nothing any longer, or nil.
func (s *subscriber) cause() error {
	switch {
	case s.b.ctx.Err() != nil:
		return broker.ErrClosed
	case s.ended.Err() != nil:
		return context.Cause(s.ended)
	}
	return nil
}

func (s *subscriber) usable(ctx context.Context) error {
	if err := s.cause(); err != nil {
		return err
	}
	return ctx.Err()
}

// trust and pace are as those of a worker.
func (s *subscriber) trust() time.Duration {
	return s.spec.Lease - min(s.spec.Lease/5, time.Second)
}

func (s *subscriber) pace() time.Duration { return min(s.spec.Lease/4, time.Second) }

// Receive implements broker.Subscriber.
func (s *subscriber) Receive(ctx context.Context) ([]broker.Arrival, error) {
	for {
		if err := s.usable(ctx); err != nil {
			return nil, failed("receive events for", s.spec.Name, err)
		}
		got, err := s.collect()
		if err != nil {
			return nil, failed("receive events for", s.spec.Name, err)
		}
		if len(got) > 0 {
			return got, nil
		}
		select {
		case <-s.filled:
		case <-s.ended.Done():
		case <-ctx.Done():
		}
	}
}

// collect takes what is in the inbox.
func (s *subscriber) collect() ([]broker.Arrival, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	got, err := s.inbox, s.failure
	if len(got) > 0 {
		err = nil
	}
	s.inbox, s.failure = nil, nil
	return got, err
}

// put puts arrivals, or the failure of a desk, into the inbox.
func (s *subscriber) put(got []broker.Arrival, err error) {
	if len(got) == 0 && err == nil {
		return
	}
	s.mu.Lock()
	s.inbox = append(s.inbox, got...)
	s.failure = err
	s.mu.Unlock()
	select {
	case s.filled <- struct{}{}:
	default:
	}
}

// reserve takes a share of the room that is left of each read for one desk.
func (s *subscriber) reserve() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	shares := make([]int, len(s.room))
	for i, left := range s.room {
		shares[i] = min(left, max(1, s.spec.Reads[i].Room/len(s.desks)))
		s.room[i] -= shares[i]
	}
	return shares
}

// restore gives back room that was reserved, or that a settled event had, and wakes the desks if there was none.
func (s *subscriber) restore(room []int) {
	s.mu.Lock()
	starved := false
	for i, n := range room {
		starved = starved || n > 0 && s.room[i] <= 0
		s.room[i] += n
	}
	s.mu.Unlock()
	if starved && len(s.desks) > 1 {
		for _, d := range s.desks {
			d.ring()
		}
	}
}

// Settle implements broker.Subscriber. Settlements of the same time travel together.
func (s *subscriber) Settle(ctx context.Context, settlements ...broker.Settlement) error {
	if err := s.usable(ctx); err != nil {
		return failed("settle events for", s.spec.Name, err)
	}
	var all []*settlement
	for _, one := range settlements {
		if own := s.settlement(one); own != nil {
			all = append(all, own)
		}
	}
	for _, own := range all {
		own.desk.settle(own)
	}
	for _, own := range all {
		if err := own.wait(ctx); err != nil {
			return failed("settle events for", s.spec.Name, err)
		}
	}
	return nil
}

// settlement reads what is to become of an event; nil if that names none.
func (s *subscriber) settlement(one broker.Settlement) *settlement {
	k, n, turn, ok := parseRef(one.Ref)
	at := slices.IndexFunc(s.spec.Reads, func(r broker.Read) bool { return r.Topic == one.Topic && r.Group == one.Group })
	if !ok || k < 0 || k >= len(s.desks) || at < 0 {
		return nil
	}
	one.Reason = slices.Clone(one.Reason)
	return &settlement{Settlement: one, desk: s.desks[k], read: at, number: n, turn: turn, done: make(chan struct{})}
}

// errUnsubscribed is why a subscriber that has left can do nothing any longer.
var errUnsubscribed = fmt.Errorf("%w: it has left", broker.ErrFenced)

// Leave implements broker.Subscriber.
func (s *subscriber) Leave(ctx context.Context) error {
	err := s.cause()
	switch {
	case errors.Is(err, errUnsubscribed):
		return nil
	case err == nil:
		err = ctx.Err()
	}
	if err == nil {
		err = s.leave(ctx)
	}
	if err != nil {
		return failed("leave the groups of", s.spec.Name, err)
	}
	return nil
}

func (s *subscriber) leave(ctx context.Context) error {
	s.leaving.Store(true)
	_, err := ask(ctx, s.b, func(ctx context.Context) (struct{}, error) {
		for _, d := range s.desks {
			if _, err := d.p.run(ctx, busLeave, d.token); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	if err != nil {
		return err
	}
	s.die(errUnsubscribed)
	return nil
}

// subscribed notes that s lives.
func (b *Broker) subscribed(s *subscriber) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subscribers = append(b.subscribers, s)
}

func (b *Broker) unsubscribed(s *subscriber) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subscribers = slices.DeleteFunc(b.subscribers, func(x *subscriber) bool { return x == s })
}

// living gives the subscribers that live.
func (b *Broker) living() []*subscriber {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.subscribers)
}

// eventBell is the channel on which topics are told that have something new.
func (b *Broker) eventBell() string { return b.opts.Namespace + ":events" }

// wakeForEvents wakes the desks of the partition and topic that a message names.
func (b *Broker) wakeForEvents(message string) {
	number, topic, _ := strings.Cut(message, "\n")
	for _, s := range b.living() {
		if !slices.ContainsFunc(s.spec.Reads, func(r broker.Read) bool { return r.Topic == topic }) {
			continue
		}
		for _, d := range s.desks {
			if fmt.Sprintf("%02d", d.p.number) == number {
				d.ring()
			}
		}
	}
}

// wakeDesks wakes all desks: something may not have been heard.
func (b *Broker) wakeDesks() {
	for _, s := range b.living() {
		for _, d := range s.desks {
			d.ring()
		}
	}
}
