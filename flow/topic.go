package flow

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/step"
)

// Topic is a kind of event that services tell each other, without knowing who listens: each group that listens with On hears each event. A Topic is
// an immutable value, which publishers and listeners share in a small package.
//
// Events travel over the bus of the engine's broker (broker.Bus), which services that share events have in common. An event is heard at least
// once: a listener tells repeats apart by DeliveryFrom(ctx).Key(), or starts a saga with an ID made from it.
type Topic[E any] struct {
	name   string
	letter *plan.Type
	key    func(E) string
}

// NewTopic names events that carry an E. The name is durable: all services that share the topic know it by that. It panics if the name cannot be part
// of a path, or if a value of E could not come back whole.
func NewTopic[E any](name string) Topic[E] {
	at := place{call: fmt.Sprintf("NewTopic(%q)", name)}
	at.checkName(name)
	letter := plan.TypeOf[E]()
	at.checkType(letter)
	return Topic[E]{name: name, letter: letter}
}

// KeyedBy orders events: those with one key reach each group in the order in which they were published, the next when the one before is handled or
// dead. Events with the key "" have no order. key is a pure function. The key is not enciphered.
func (t Topic[E]) KeyedBy(key func(E) string) Topic[E] {
	at := t.at("KeyedBy")
	at.checkFunc("key", key == nil)
	t.key = key
	return t
}

// Name is the topic's name.
func (t Topic[E]) Name() string { return t.name }

// at is the place of a call on t.
func (t Topic[E]) at(call string) place {
	if t.letter == nil {
		panic(fmt.Sprintf("flow: %s on a zero %T: make it with flow.NewTopic", call, t))
	}
	return place{flow: t.name, call: call}
}

// PublishOption changes how an event is published.
type PublishOption func(*publishing)

type publishing struct {
	id      string
	once    bool
	key     string
	hasKey  bool
	headers Headers
}

// EventID names an event, so that publishing it again on its topic has no effect, whatever its value, for as long as the broker remembers IDs: an
// hour unless its options say otherwise. Without it every Publish is another event. It is printable text of at most 4 KB.
func EventID(id string) PublishOption { return func(p *publishing) { p.id = id } }

// Once names the event by the idempotency key of the step, undo or listener that ctx belongs to: its repeat publishes nothing. It is for at most
// one event per topic of a step or listener.
func Once() PublishOption { return func(p *publishing) { p.once = true } }

// OrderKey gives the event a key of its own, instead of that of Topic.KeyedBy.
func OrderKey(key string) PublishOption {
	return func(p *publishing) { p.key, p.hasKey = key, true }
}

// EventHeaders gives the event headers, beside those that the engine's propagators inject.
func EventHeaders(h Headers) PublishOption {
	return func(p *publishing) {
		if p.headers == nil {
			p.headers = make(Headers, len(h))
		}
		for k, v := range h {
			p.headers[k] = v
		}
	}
}

// Publish tells an event to all groups of the topic, and returns when that is durable. It does not wait for listeners. The engine need not run.
//
// The errors are ErrID, ErrPayload, ErrTooLarge, ErrEnded, ErrZero and ErrNoBus: then nothing was published. On any other error, such as
// that of ctx, the event may have been published: publish it again with the same EventID to be sure.
func (t Topic[E]) Publish(ctx context.Context, e *Engine, event E, opts ...PublishOption) error {
	if t.letter == nil || e.isZero() {
		return fmt.Errorf("flow: publish on %q: %w", t.name, ErrZero)
	}
	p := publishing{}
	if t.key != nil {
		p.key = t.key(event)
	}
	for _, opt := range opts {
		opt(&p)
	}
	if err := e.publish(ctx, t.name, t.letter, event, p); err != nil {
		return fmt.Errorf("flow: publish on %q: %w", t.name, err)
	}
	return nil
}

func (e *Engine) publish(ctx context.Context, topic string, letter *plan.Type, event any, p publishing) error {
	ev, err := e.eventOf(ctx, topic, letter, event, p)
	if err != nil {
		return err
	}
	bus, err := e.bus()
	if err != nil {
		return err
	}
	if e.phase.Load() == ended {
		return ErrEnded
	}
	return insist(ctx, func() error { return bus.Publish(ctx, ev) })
}

// eventOf makes what is published.
func (e *Engine) eventOf(ctx context.Context, topic string, letter *plan.Type, event any, p publishing) (ev broker.Publication, err error) {
	if err := p.identify(ctx); err != nil {
		return ev, err
	}
	payload, err := e.payloads.Append(nil, letter, event)
	if err != nil {
		return ev, fmt.Errorf("%w: encode a %v: %w", ErrPayload, letter, err)
	}
	if len(payload) > e.opts.MaxPayload {
		return ev, fmt.Errorf("%w: it has %d bytes, Options.MaxPayload is %d", ErrTooLarge, len(payload), e.opts.MaxPayload)
	}
	for _, each := range e.opts.Propagators {
		if p.headers == nil {
			p.headers = make(Headers, 4)
		}
		each.Inject(ctx, p.headers)
	}
	data, err := (&envelope{At: time.Now().UnixNano(), Headers: p.headers, Payload: payload}).encode()
	return broker.Publication{Topic: topic, ID: p.id, Key: p.key, Data: data}, err
}

// identify gives the event its ID.
func (p *publishing) identify(ctx context.Context) error {
	switch info := step.InfoFrom(ctx); {
	case p.once && info.Saga == "":
		return fmt.Errorf("%w: Once needs the ctx of a step or a listener", ErrID)
	case p.once:
		p.id = info.Key()
	case p.id == "":
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		p.id = id.String()
	}
	if err := checkText(p.id, 16*plan.MaxName); err != nil {
		return fmt.Errorf("the EventID: %w", err)
	}
	if len(p.key) > plan.MaxName {
		return fmt.Errorf("%w: the key has %d bytes, more than %d", ErrID, len(p.key), plan.MaxName)
	}
	return nil
}

// bus gives the broker's bus.
func (e *Engine) bus() (broker.Bus, error) {
	bus, ok := e.broker.(broker.Bus)
	if !ok {
		return nil, fmt.Errorf("%w: it is a %T", ErrNoBus, e.broker)
	}
	return bus, nil
}

// Step makes a step that publishes what it gets, once however often it is attempted, and hands it on. Its options are those of Publish; the event's ID is
// the step's idempotency key. An event cannot be taken back: give the step a compensation if another event says so.
func (t Topic[E]) Step(name string, opts ...PublishOption) step.Step[E, E] {
	t.at("Step")
	opts = append([]PublishOption{Once()}, opts...)
	return step.Do(name, func(ctx context.Context, event E) error {
		e, ok := ctx.Value(engineKey{}).(*Engine)
		if !ok {
			return fmt.Errorf("flow: publish on %q: the step was called outside of an engine: %w", t.name, ErrZero)
		}
		return t.Publish(ctx, e, event, opts...)
	}).Retry(step.Retry{}).Refuses(ErrTooLarge, ErrPayload, ErrNoBus, ErrID)
}

// engineKey is the context key under which Topic.Step finds the engine that runs it.
type engineKey struct{}
