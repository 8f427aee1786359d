package flow

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/step"
)

// ListenOption changes how a group listens to a topic.
type ListenOption func(*listener)

// Redeliver says how often an event is handed to the group, and with which pauses, before it is a dead letter: as Retry does for a step. The zero
// Retry, 10 times, holds without it. A worker that dies counts as a failed attempt.
func Redeliver(r step.Retry) ListenOption { return func(l *listener) { l.retry = r } }

// HandlerTimeout bounds one call of the handler; the default is a minute.
func HandlerTimeout(d time.Duration) ListenOption { return func(l *listener) { l.timeout = d } }

// AtOnce bounds how many events of the group this engine handles at once, instead of Options.Handlers.
func AtOnce(n int) ListenOption { return func(l *listener) { l.atOnce = n } }

// FromNow makes a group that does not exist yet begin with what is published from now on, instead of with the oldest event that the broker still keeps.
func FromNow() ListenOption { return func(l *listener) { l.fromNow = true } }

// listener is a group's handler, without its types.
type listener struct {
	topic, group string
	handle       func(ctx context.Context, payload []byte) error
	retry        step.Retry
	timeout      time.Duration
	atOnce       int
	fromNow      bool
	open         *openGroup // that it is of, or nil
	noRollback   []error
	burying      func(ctx context.Context, payload []byte, cause error) error // nil, or what is to be done before an event is a dead letter
}

// On lets the engine handle the topic's events for a group, while it runs. All engines with handlers of one group share its events: each event is handled by one of
// them. Groups know nothing of each other. The name of a group is durable.
//
// handle returns nil when it is done with the event. After an error or a panic the event is handed out again, as Redeliver says, to any engine of
// the group; step.Permanent, and step.Refused, make it a dead letter at once, and step.NotYet lets it come again without counting. It may be
// called more than once for an event, also after it has returned nil. Its ctx carries what the propagators extracted, DeliveryFrom, and ends with its timeout,
// when the engine ends and Grace is over, or when the engine was declared dead: then another has the event. What does not decode as an E is a dead letter at once.
//
// It panics if the topic is zero, the group cannot be part of a path, handle is nil, the engine handles the topic for the group already, its
// broker has no bus, or Run was called.
func (t Topic[E]) On(e *Engine, group string, handle func(ctx context.Context, event E) error, opts ...ListenOption) {
	at := t.at(fmt.Sprintf("On(%q)", group))
	at.checkName(group)
	at.checkFunc("the handler", handle == nil)
	e.listen(at, opts, listener{topic: t.name, group: group, handle: func(ctx context.Context, payload []byte) error {
		event, err := e.readEvent(t.letter, payload)
		if err != nil {
			return step.Permanent(err)
		}
		return handle(ctx, plan.Cast[E](event))
	}})
}

// readEvent decodes what was published.
func (e *Engine) readEvent(letter *plan.Type, payload []byte) (any, error) {
	event, err := e.payloads.Decode(letter, payload)
	if err != nil {
		return nil, fmt.Errorf("%w: the event is no %v: %w", ErrPayload, letter, err)
	}
	return event, nil
}

// listen adds a listener.
func (e *Engine) listen(at place, opts []ListenOption, l listener) {
	if e.isZero() {
		at.panicf("on an Engine that NewEngine did not make")
	}
	for _, opt := range opts {
		opt(&l)
	}
	l.check(at)
	if _, err := e.bus(); err != nil {
		at.panicf("%v", err)
	}
	if e.phase.Load() != fresh {
		at.panicf("after Run: say what an engine listens to before it runs")
	}
	l.timeout, l.atOnce = cmp.Or(l.timeout, step.DefaultTimeout), cmp.Or(l.atOnce, e.opts.Handlers)
	if !e.events.add(&l) {
		at.panicf("the engine listens to the topic for this group already: give one of them another group")
	}
}

func (l *listener) check(at place) {
	if l.timeout < 0 || l.atOnce < 0 || l.retry.Attempts < 0 || l.retry.Delay < 0 || l.retry.MaxDelay < 0 {
		at.panicf("HandlerTimeout, AtOnce or Redeliver is negative")
	}
}

func (l *listener) read() broker.Read {
	return broker.Read{Topic: l.topic, Group: l.group, Room: l.atOnce, New: l.fromNow}
}

// policy is the group's retry with its defaults.
func (l *listener) policy() plan.Retry {
	return plan.Retry{
		Attempts: cmp.Or(l.retry.Attempts, 10), Delay: cmp.Or(l.retry.Delay, step.DefaultDelay),
		MaxDelay: max(cmp.Or(l.retry.MaxDelay, step.DefaultMaxDelay), l.retry.Delay),
	}
}
