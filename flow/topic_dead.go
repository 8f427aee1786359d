package flow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
)

// The errors of events.
var (
	// ErrNoBus says that the engine's broker carries no events.
	ErrNoBus = errors.New("flow: the broker has no bus")
	// ErrNoEvent says that there is no such dead event: it never was, or somebody decided before.
	ErrNoEvent = errors.New("flow: no such dead event")
	// ErrListening says that engines listen for the group.
	ErrListening = errors.New("flow: somebody listens for the group")
)

// DeadEvent is an event that a group could not handle, and that needs a person. It is kept until somebody decides, and holds up no other.
type DeadEvent struct {
	Topic, Group string
	EventID      string
	Key          string // that ordered it
	Attempts     int
	Err          error // of the last attempt
	Headers      Headers
	Published    time.Time // by the clock of who published it
	Died         time.Time // by the clock of the broker; zero in Options.OnDeadEvent

	ref     string
	payload []byte
}

// GroupStatus tells how far a group is with a topic.
type GroupStatus struct {
	Group   string
	Lag     uint64    // events that the group is not done with: Unread and Open
	Unread  uint64    // that nobody was given yet
	Open    uint64    // that are handled, wait for another attempt, or for one of their key
	Dead    int       // that need a person
	Lost    uint64    // that the broker dropped before the group had handled them, since there is the group
	LostAt  time.Time // when the last of those was missed
	Readers []string  // names of the engines that listen
}

// Groups tells how far the groups of a topic are, in order of their names.
func (e *Engine) Groups(ctx context.Context, topic string) (all []GroupStatus, err error) {
	what := fmt.Sprintf("flow: groups of %q", topic)
	bus, err := e.askBus()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	var groups []broker.Group
	err = insist(ctx, func() error {
		groups, err = bus.Groups(ctx, topic)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	for _, g := range groups {
		all = append(all, GroupStatus{
			Group: g.Name, Lag: g.Unread + uint64(g.Open), Unread: g.Unread, Open: uint64(g.Open), Dead: g.Dead, Lost: g.Lost, LostAt: g.LostAt, Readers: g.Readers,
		})
	}
	return all, nil
}

func (e *Engine) askBus() (broker.Bus, error) {
	if e.isZero() {
		return nil, ErrZero
	}
	return e.bus()
}

// DeadEvents walks over the dead events of a group, the oldest first. After an error it ends.
func (e *Engine) DeadEvents(ctx context.Context, topic, group string) iter.Seq2[DeadEvent, error] {
	return func(yield func(DeadEvent, error) bool) {
		bus, err := e.askBus()
		if err != nil {
			yield(DeadEvent{}, fmt.Errorf("flow: dead events of %q on %q: %w", group, topic, err))
			return
		}
		for d, err := range bus.Dead(ctx, topic, group) {
			if err != nil {
				yield(DeadEvent{}, fmt.Errorf("flow: dead events of %q on %q: %w", group, topic, err))
				return
			}
			if !yield(e.readDead(d), nil) {
				return
			}
		}
	}
}

func (e *Engine) readDead(d broker.DeadEvent) DeadEvent {
	event := DeadEvent{
		Topic: d.Topic, Group: d.Group, EventID: d.ID, Key: d.Key, Attempts: d.Attempts, Err: e.errors.Decode(d.Reason), Died: d.At, ref: d.Ref,
	}
	if sent, err := openEnvelope(d.Data); err == nil {
		event.Headers, event.Published, event.payload = sent.Headers, time.Unix(0, sent.At), sent.Payload
	}
	return event
}

// Read gives what a dead event carries. ErrPayload says that it does not decode as an E; ErrConflict that it is one of another topic.
func (t Topic[E]) Read(e *Engine, d DeadEvent) (E, error) {
	switch {
	case t.letter == nil || e.isZero():
		return zero[E](), fmt.Errorf("flow: read event %q: %w", d.EventID, ErrZero)
	case d.Topic != t.name:
		return zero[E](), fmt.Errorf("flow: read event %q: it is one of %q, not of %q: %w", d.EventID, d.Topic, t.name, ErrConflict)
	}
	event, err := e.readEvent(t.letter, d.payload)
	if err != nil {
		return zero[E](), fmt.Errorf("flow: read event %q of %q: %w", d.EventID, t.name, err)
	}
	return plan.Cast[E](event), nil
}

// Redeliver hands a dead event, as DeadEvents gave it, to its group again, with fresh attempts; it comes after those of its key that are open. ErrNoEvent says that somebody else
// decided first.
func (e *Engine) Redeliver(ctx context.Context, d DeadEvent, by By) error {
	return e.decideEvent(ctx, "redeliver", d, by, broker.Bus.Relive)
}

// DropEvent forgets a dead event. ErrNoEvent says that somebody else decided first.
func (e *Engine) DropEvent(ctx context.Context, d DeadEvent, by By) error {
	return e.decideEvent(ctx, "drop", d, by, broker.Bus.Drop)
}

func (e *Engine) decideEvent(ctx context.Context, what string, d DeadEvent, by By, do func(broker.Bus, context.Context, string, string, string) error) error {
	bus, err := e.askBus()
	if err == nil {
		err = by.check()
	}
	if err == nil {
		err = insist(ctx, func() error { return do(bus, ctx, d.Topic, d.Group, d.ref) })
	}
	if errors.Is(err, broker.ErrNoEvent) {
		err = fmt.Errorf("%w (%w)", ErrNoEvent, err)
	}
	if err != nil {
		return fmt.Errorf("flow: %s event %q of %q on %q: %w", what, d.EventID, d.Group, d.Topic, err)
	}
	e.log.InfoContext(ctx, "a person decided about a dead event", "topic", d.Topic, "group", d.Group, "event", d.EventID, "decision", what, "who", by.Who, "why", by.Why)
	return nil
}

// ForgetGroup removes a group that nobody listens for any more, with its dead events: the broker keeps nothing for it any longer. ErrListening
// says that an engine does.
func (e *Engine) ForgetGroup(ctx context.Context, topic, group string) error {
	bus, err := e.askBus()
	if err == nil {
		err = insist(ctx, func() error { return bus.Forget(ctx, topic, group) })
	}
	if errors.Is(err, broker.ErrRead) {
		err = fmt.Errorf("%w (%w)", ErrListening, err)
	}
	if err != nil {
		return fmt.Errorf("flow: forget group %q of %q: %w", group, topic, err)
	}
	return nil
}

// deadEvent logs and tells that an event is dead.
func (e *Engine) deadEvent(ctx context.Context, a broker.Arrival, sent envelope, err error) {
	e.log.ErrorContext(ctx, "an event is dead: redeliver or drop it", "topic", a.Topic, "group", a.Group, "event", a.ID, "attempts", a.Attempt, "error", err)
	if e.opts.OnDeadEvent == nil {
		return
	}
	d := DeadEvent{
		Topic: a.Topic, Group: a.Group, EventID: a.ID, Key: a.Key, Attempts: a.Attempt, Err: err, Headers: sent.Headers, payload: sent.Payload,
	}
	if sent.At != 0 {
		d.Published = time.Unix(0, sent.At)
	}
	e.tell(ctx, "OnDeadEvent", func(ctx context.Context) { e.opts.OnDeadEvent(ctx, d) })
}

// lost logs, remembers and tells that a group lost events.
func (e *Engine) lost(a broker.Arrival) {
	e.log.Error("a group lost events: the broker dropped them before they were handled, as its bounds say; let more engines listen, or raise the bounds",
		"topic", a.Topic, "group", a.Group, "events", a.Lost)
	e.events.mu.Lock()
	if e.events.losses == nil {
		e.events.losses = make(map[hearing]loss)
	}
	key := hearing{a.Topic, a.Group}
	e.events.losses[key] = loss{e.events.losses[key].events + a.Lost, time.Now()}
	e.events.mu.Unlock()
	if e.opts.OnAlert != nil {
		alert := Alert{Kind: AlertLost, Topic: a.Topic, Group: a.Group, Events: a.Lost}
		e.tell(context.Background(), "OnAlert", func(ctx context.Context) { e.opts.OnAlert(ctx, alert) })
	}
}

// lossReported is for how long Health tells of a loss.
const lossReported = time.Hour

// trouble says what groups have lost lately.
func (v *events) trouble() (errs []error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for key, l := range v.losses {
		if time.Since(l.at) < lossReported {
			errs = append(errs, fmt.Errorf("flow: group %q of %q lost %d events that the broker dropped unread, the last %v ago",
				key.group, key.topic, l.events, time.Since(l.at).Round(time.Second)))
		}
	}
	return errs
}

// sagaIDOf makes an ID of names, one of which may be any text.
func sagaIDOf(topic, group, event string) string {
	id := topic + ":" + group + ":" + event
	if plan.CheckName(id) == nil {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}
