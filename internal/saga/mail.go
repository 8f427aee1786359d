package saga

import (
	"fmt"
	"time"

	"github.com/skald-go/skald/broker"
)

// The kinds of events that sagas get. Their texts are durable.
const (
	EventSignal  = "signal"  // Name, Data
	EventCancel  = "cancel"  // Name is the reason
	EventUndo    = "undo"    // from the parent; Name is undoAlone if it does not wait for that
	EventRelease = "release" // from the parent
	EventReply   = "reply"   // from a child: Name is its path, Data its outcome
	EventRelay   = "relay"   // by a person: Data is a Note
	EventSkip    = "skip"    // by a person: Name is a path, Data a Note
	EventSettle  = "settle"  // by a person: Data is a Note with an outcome
)

const undoAlone = "alone"

// Mail takes an event. One that was taken before is passed over. Events of a kind that is not known are left in the mailbox, and the error says so.
func (m *Machine) Mail(ev broker.Event, now time.Time) error {
	if consumed, seen := m.seen[ev.ID]; seen {
		if !consumed {
			m.consumed(ev.ID)
		}
		return nil
	}
	if err := m.read(ev, now); err != nil {
		return fmt.Errorf("flow: event %q of kind %q for saga %q: %w", ev.ID, ev.Kind, m.id, err)
	}
	m.consumed(ev.ID)
	return nil
}

func (m *Machine) consumed(id string) {
	m.mark(id, true)
	m.consume = append(m.consume, id)
}

// mark remembers that an event was taken: it may come again.
func (m *Machine) mark(id string, consumed bool) {
	if m.seen == nil {
		m.seen = map[string]bool{}
	}
	m.seen[id] = consumed
}

func (m *Machine) read(ev broker.Event, now time.Time) error {
	switch ev.Kind {
	case EventSignal:
		m.signalled(ev, now)
	case EventCancel:
		m.askedToCancel(ev, now)
	case broker.Granted:
		m.granted(ev, now)
	case EventUndo:
		m.askedToUndo(ev, now)
	case EventRelease:
		m.released = true
	case EventReply:
		return m.replied(ev, now)
	case EventRelay, EventSkip, EventSettle:
		return m.byPerson(ev, now)
	default:
		return &ForeignError{"", ev.Kind, "this version knows no such event"}
	}
	return nil
}

func (m *Machine) askedToCancel(ev broker.Event, now time.Time) {
	switch {
	case m.over() || m.root.back != ahead:
	case m.pivoted || m.pivot != nil:
		m.record(nil, &Fact{Kind: Denied, ID: ev.ID}, now)
	default:
		m.doubt(m.root, now)
		m.record(nil, &Fact{Kind: Cancelled, ID: ev.ID, Text: ev.Name, err: cancelled(ev.Name)}, now)
	}
}

func cancelled(reason string) error {
	if reason == "" {
		return ErrCancelled
	}
	return fmt.Errorf("%w: %s", ErrCancelled, reason)
}

// at finds the inst of a path.
func (m *Machine) at(path string) (found *inst) {
	m.root.walk(func(i *inst) {
		if found == nil && i.op.Name != "" && i.Path() == path {
			found = i
		}
	})
	return found
}
