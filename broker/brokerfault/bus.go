package brokerfault

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/skald-go/skald/broker"
)

var _ broker.Bus = (*Broker)(nil)

// bus gives the bus of the wrapped broker; without one all methods of broker.Bus fail with errors.ErrUnsupported.
func (b *Broker) bus() (broker.Bus, error) {
	if bus, ok := b.Broker.(broker.Bus); ok {
		return bus, nil
	}
	return nil, fmt.Errorf("brokerfault: a %T carries no events: %w", b.Broker, errors.ErrUnsupported)
}

// onBus makes a call of a method that answers nothing.
func (b *Broker) onBus(ctx context.Context, m Method, id string, do func(broker.Bus) error) error {
	bus, err := b.bus()
	if err != nil {
		return err
	}
	_, err = call(ctx, b, operation[none]{method: m, id: id, do: func() (none, error) { return none{}, do(bus) }})
	return err
}

// Publish implements broker.Bus.
func (b *Broker) Publish(ctx context.Context, events ...broker.Publication) error {
	id := ""
	if len(events) > 0 {
		id = events[0].ID
	}
	return b.onBus(ctx, Publish, id, func(bus broker.Bus) error { return bus.Publish(ctx, events...) })
}

// Relive implements broker.Bus.
func (b *Broker) Relive(ctx context.Context, topic, group, ref string) error {
	return b.onBus(ctx, Relive, group+ref, func(bus broker.Bus) error { return bus.Relive(ctx, topic, group, ref) })
}

// Drop implements broker.Bus.
func (b *Broker) Drop(ctx context.Context, topic, group, ref string) error {
	return b.onBus(ctx, Drop, group+ref, func(bus broker.Bus) error { return bus.Drop(ctx, topic, group, ref) })
}

// Forget implements broker.Bus.
func (b *Broker) Forget(ctx context.Context, topic, group string) error {
	return b.onBus(ctx, Forget, group, func(bus broker.Bus) error { return bus.Forget(ctx, topic, group) })
}

// Groups implements broker.Bus.
func (b *Broker) Groups(ctx context.Context, topic string) ([]broker.Group, error) {
	bus, err := b.bus()
	if err != nil {
		return nil, err
	}
	return call(ctx, b, operation[[]broker.Group]{
		method: Groups, id: topic, do: func() ([]broker.Group, error) { return bus.Groups(ctx, topic) },
	})
}

// Dead implements broker.Bus. A list that fails or is lost gives nothing.
func (b *Broker) Dead(ctx context.Context, topic, group string) iter.Seq2[broker.DeadEvent, error] {
	return func(yield func(broker.DeadEvent, error) bool) {
		bus, err := b.bus()
		if err != nil {
			yield(broker.DeadEvent{}, err)
			return
		}
		c, fault := b.dice.roll(Dead, group)
		if fault == Fail || fault == Lose {
			yield(broker.DeadEvent{}, b.dice.fail(c))
			return
		}
		for d, err := range bus.Dead(ctx, topic, group) {
			if !yield(d, err) {
				return
			}
		}
	}
}

// Subscribe implements broker.Bus.
func (b *Broker) Subscribe(ctx context.Context, s broker.Subscription) (broker.Subscriber, error) {
	bus, err := b.bus()
	if err != nil {
		return nil, err
	}
	return call(ctx, b, operation[broker.Subscriber]{
		method: Subscribe, id: s.Name,
		do: func() (broker.Subscriber, error) {
			sub, err := bus.Subscribe(ctx, s)
			if err != nil {
				return nil, err
			}
			return &subscriber{Subscriber: sub, b: b, name: s.Name}, nil
		},
		lost: func(sub broker.Subscriber) { _ = sub.(*subscriber).Subscriber.Leave(context.WithoutCancel(ctx)) }, // its process would not beat for it
	})
}

// UnwrapSubscriber gives the wrapped subscriber, or s itself if it is not wrapped.
func UnwrapSubscriber(s broker.Subscriber) broker.Subscriber {
	if wrapped, ok := s.(*subscriber); ok {
		return wrapped.Subscriber
	}
	return s
}

// subscriber is one whose calls fail on purpose.
type subscriber struct {
	broker.Subscriber
	b    *Broker
	name string
	mu   sync.Mutex
	held []broker.Arrival // of a reply that was lost
}

// Receive implements broker.Subscriber. What a lost reply had is handed out at the next call.
func (s *subscriber) Receive(ctx context.Context) ([]broker.Arrival, error) {
	return call(ctx, s.b, operation[[]broker.Arrival]{
		method: Hear, id: s.name,
		do:    func() ([]broker.Arrival, error) { return s.receive(ctx) },
		lost:  s.hold,
		again: func([]broker.Arrival) {},
	})
}

func (s *subscriber) receive(ctx context.Context) ([]broker.Arrival, error) {
	s.mu.Lock()
	held := s.held
	s.held = nil
	s.mu.Unlock()
	if len(held) > 0 {
		return held, nil
	}
	return s.Subscriber.Receive(ctx)
}

func (s *subscriber) hold(lost []broker.Arrival) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = append(s.held, lost...)
}

// Settle implements broker.Subscriber.
func (s *subscriber) Settle(ctx context.Context, settlements ...broker.Settlement) error {
	_, err := call(ctx, s.b, operation[none]{
		method: Settle, id: s.name, do: func() (none, error) { return none{}, s.Subscriber.Settle(ctx, settlements...) },
	})
	return err
}

// Leave implements broker.Subscriber.
func (s *subscriber) Leave(ctx context.Context) error {
	_, err := call(ctx, s.b, operation[none]{method: Leave, id: s.name, do: func() (none, error) { return none{}, s.Subscriber.Leave(ctx) }})
	return err
}
