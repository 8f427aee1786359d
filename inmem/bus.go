package inmem

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/skald-go/skald/broker"
)

var _ broker.Bus = (*Broker)(nil)

// Bus carries events in memory. Every Broker has one of its own, unless OnBus gives it another: brokers that share a bus, and nothing else,
// are services that hear each other's events.
type Bus struct {
	mu          sync.Mutex
	topics      map[string]*topic
	subscribers map[*subscriber]struct{}
	ledgers     map[ledgerKey]*ledger
	age         time.Duration
	most        int
	memory      time.Duration
}

// The defaults of a Bus.
const (
	defaultEventAge    = 7 * 24 * time.Hour
	defaultEventMost   = 1_000_000
	defaultEventMemory = time.Hour
)

// BusOption changes a default of NewBus.
type BusOption func(*Bus)

// KeepEvents bounds what a bus keeps for groups that have not read it, and for groups to come: events of the last age, 7 days by default, and at
// most the last most of each topic, 1,000,000 by default. What a group loses by that is counted and told. 0 keeps a default.
func KeepEvents(age time.Duration, most int) BusOption {
	return func(b *Bus) { b.age, b.most = cmp.Or(age, b.age), cmp.Or(most, b.most) }
}

// RememberEvents sets for how long a second event of one ID is known to be a repeat, at least: an hour by default.
func RememberEvents(d time.Duration) BusOption {
	return func(b *Bus) { b.memory = cmp.Or(d, b.memory) }
}

// NewBus makes an empty bus.
func NewBus(opts ...BusOption) *Bus {
	b := &Bus{
		topics: make(map[string]*topic), subscribers: make(map[*subscriber]struct{}), ledgers: make(map[ledgerKey]*ledger),
		age: defaultEventAge, most: defaultEventMost, memory: defaultEventMemory,
	}
	for _, set := range opts {
		set(b)
	}
	return b
}

// topic is a log of events. Their numbers count from 1.
type topic struct {
	log    []*post // of the numbers from first on
	first  uint64
	recent [2]map[string]struct{} // IDs, of this period and the one before
	period int64
	groups map[string]*group
}

type post struct {
	broker.Publication
	at time.Time
}

// last is the number of the last event.
func (t *topic) last() uint64 { return t.first + uint64(len(t.log)) - 1 }

// get gives an event that is still kept, or nil.
func (t *topic) get(n uint64) *post {
	if n < t.first || n > t.last() {
		return nil
	}
	return t.log[n-t.first]
}

// topic gives a topic, and makes it. b is locked.
func (b *Bus) topic(name string) *topic {
	t := b.topics[name]
	if t == nil {
		t = &topic{first: 1, groups: make(map[string]*group)}
		b.topics[name] = t
	}
	return t
}

// repeats tells whether an ID was published before, and remembers it.
func (t *topic) repeats(id string, memory time.Duration) bool {
	switch period := now() / int64(memory); {
	case period == t.period && t.recent[0] != nil:
	case period == t.period+1:
		t.period, t.recent = period, [2]map[string]struct{}{make(map[string]struct{}), t.recent[0]}
	default:
		t.period, t.recent = period, [2]map[string]struct{}{make(map[string]struct{}), nil}
	}
	for _, ids := range t.recent {
		if _, known := ids[id]; known {
			return true
		}
	}
	t.recent[0][id] = struct{}{}
	return false
}

var errEvent = errors.New("an event needs a topic and an ID")

// Publish implements broker.Bus.
func (b *Broker) Publish(ctx context.Context, events ...broker.Publication) error {
	if err := b.usable(ctx); err != nil {
		return fmt.Errorf("inmem: publish: %w", err)
	}
	for _, ev := range events {
		if ev.Topic == "" || ev.ID == "" {
			return fmt.Errorf("inmem: publish %q on %q: %w", ev.ID, ev.Topic, errEvent)
		}
	}
	b.bus.publish(events)
	return nil
}

func (b *Bus) publish(events []broker.Publication) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.publishLocked(events)
}

func (b *Bus) publishLocked(events []broker.Publication) {
	for _, ev := range events {
		t := b.topic(ev.Topic)
		if t.repeats(ev.ID, b.memory) {
			continue
		}
		ev.Data = slices.Clone(ev.Data)
		t.log = append(t.log, &post{ev, time.Now()})
		t.trim(b)
		b.ring(ev.Topic)
	}
}

// ring wakes the subscribers that read a topic. b is locked.
func (b *Bus) ring(topic string) {
	for s := range b.subscribers {
		if s.reads(topic) {
			s.ring()
		}
	}
}

// trim drops what all groups are done with, and what the bounds of the bus do not keep.
func (t *topic) trim(b *Bus) {
	end := t.last() + 1
	floor := end
	for _, g := range t.groups {
		floor = min(floor, max(g.next, t.first))
	}
	if len(t.groups) == 0 {
		floor = t.first
	}
	if excess := uint64(b.most); end-t.first > excess {
		floor = max(floor, end-excess)
	}
	for p := t.get(floor); p != nil && time.Since(p.at) > b.age; p = t.get(floor) {
		floor++
	}
	if floor > t.first {
		n := floor - t.first
		clear(t.log[:n])
		t.log, t.first = t.log[n:], floor
	}
}

// Groups implements broker.Bus.
func (b *Broker) Groups(ctx context.Context, topic string) ([]broker.Group, error) {
	if err := b.usable(ctx); err != nil {
		return nil, fmt.Errorf("inmem: groups of %q: %w", topic, err)
	}
	b.bus.mu.Lock()
	defer b.bus.mu.Unlock()
	t := b.bus.topics[topic]
	if t == nil {
		return nil, nil
	}
	t.trim(b.bus)
	var all []broker.Group
	for _, name := range slices.Sorted(maps.Keys(t.groups)) {
		g := t.groups[name]
		g.skip(t)
		all = append(all, broker.Group{
			Name: name, Unread: t.last() + 1 - g.next, Open: len(g.open), Dead: len(g.dead), Lost: g.lost, LostAt: g.lostAt,
			Readers: b.bus.readers(topic, name),
		})
	}
	return all, nil
}

// readers names the living subscribers of a group. b is locked.
func (b *Bus) readers(topic, group string) (names []string) {
	for s := range b.subscribers {
		if !s.dead.Load() && s.read(topic, group) != nil {
			names = append(names, s.name)
		}
	}
	slices.Sort(names)
	return names
}

// Dead implements broker.Bus.
func (b *Broker) Dead(ctx context.Context, topic, group string) iter.Seq2[broker.DeadEvent, error] {
	return func(yield func(broker.DeadEvent, error) bool) {
		if err := b.usable(ctx); err != nil {
			yield(broker.DeadEvent{}, fmt.Errorf("inmem: dead events of %q on %q: %w", group, topic, err))
			return
		}
		for _, d := range b.bus.dead(topic, group) {
			if !yield(d, nil) {
				return
			}
		}
	}
}

func (b *Bus) dead(topic, name string) (all []broker.DeadEvent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.group(topic, name)
	if g == nil {
		return nil
	}
	for _, n := range slices.Sorted(maps.Keys(g.dead)) {
		d := g.dead[n].DeadEvent
		d.Data, d.Reason = slices.Clone(d.Data), slices.Clone(d.Reason)
		all = append(all, d)
	}
	return all
}

// group gives a group, or nil. b is locked.
func (b *Bus) group(topic, name string) *group {
	t := b.topics[topic]
	if t == nil {
		return nil
	}
	return t.groups[name]
}

// Relive implements broker.Bus.
func (b *Broker) Relive(ctx context.Context, topic, name, ref string) error {
	if err := b.usable(ctx); err != nil {
		return fmt.Errorf("inmem: relive event %s of %q on %q: %w", ref, name, topic, err)
	}
	if !b.bus.decide(topic, name, ref, (*group).relive) {
		return fmt.Errorf("inmem: relive event %s of %q on %q: %w", ref, name, topic, broker.ErrNoEvent)
	}
	return nil
}

// Drop implements broker.Bus.
func (b *Broker) Drop(ctx context.Context, topic, name, ref string) error {
	if err := b.usable(ctx); err != nil {
		return fmt.Errorf("inmem: drop event %s of %q on %q: %w", ref, name, topic, err)
	}
	if !b.bus.decide(topic, name, ref, func(*group, uint64, *buried) {}) {
		return fmt.Errorf("inmem: drop event %s of %q on %q: %w", ref, name, topic, broker.ErrNoEvent)
	}
	return nil
}

// decide takes a dead event out of a group, and does with it what a person decided.
func (b *Bus) decide(topic, name, ref string, do func(*group, uint64, *buried)) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, err := strconv.ParseUint(ref, 10, 64)
	g := b.group(topic, name)
	if err != nil || g == nil || g.dead[n] == nil {
		return false
	}
	d := g.dead[n]
	delete(g.dead, n)
	do(g, n, d)
	b.ring(topic)
	return true
}

// Forget implements broker.Bus.
func (b *Broker) Forget(ctx context.Context, topic, group string) error {
	if err := b.usable(ctx); err != nil {
		return fmt.Errorf("inmem: forget group %q of %q: %w", group, topic, err)
	}
	b.bus.mu.Lock()
	defer b.bus.mu.Unlock()
	if len(b.bus.readers(topic, group)) > 0 {
		return fmt.Errorf("inmem: forget group %q of %q: %w", group, topic, broker.ErrRead)
	}
	if t := b.bus.topics[topic]; t != nil {
		delete(t.groups, group)
		t.trim(b.bus)
	}
	return nil
}
