package inmem

import (
	"slices"

	"github.com/skald-go/skald/broker"
)

// mailbox holds the events of a saga. The nil mailbox is empty.
type mailbox struct {
	events []broker.Event
	seen   map[string]struct{} // IDs of all that ever came
	told   int                 // so many of events the owner knows
	hinted bool                // the owner's worker has been told to look
}

// add copies ev into the box, once per ID.
func (m *mailbox) add(ev broker.Event) bool {
	if _, again := m.seen[ev.ID]; again {
		return false
	}
	if m.seen == nil {
		m.seen = make(map[string]struct{})
	}
	m.seen[ev.ID] = struct{}{}
	ev.Data = slices.Clone(ev.Data)
	m.events = append(m.events, ev)
	return true
}

func (m *mailbox) has(id string) bool {
	if m == nil {
		return false
	}
	_, ok := m.seen[id]
	return ok
}

// all copies what is in the box, for its owner or for a reader.
func (m *mailbox) all() []broker.Event {
	if m == nil {
		return nil
	}
	return copied(m.events)
}

// known notes that the owner knows all events.
func (m *mailbox) known() {
	if m != nil {
		m.told = len(m.events)
	}
}

// tell is all for the owner, who knows them from now on.
func (m *mailbox) tell() []broker.Event {
	m.known()
	return m.all()
}

// news is what the owner does not know yet.
func (m *mailbox) news() []broker.Event {
	fresh := copied(m.events[m.told:])
	m.known()
	return fresh
}

// consume removes events; IDs that are not there are passed over. What is left must be told again.
func (m *mailbox) consume(ids []string) {
	if m == nil || len(ids) == 0 {
		return
	}
	m.events = slices.DeleteFunc(m.events, func(ev broker.Event) bool { return slices.Contains(ids, ev.ID) })
}

func (m *mailbox) empty() bool {
	return m == nil || len(m.events) == 0
}

// drain drops all events, and remembers that they came.
func (m *mailbox) drain() {
	if m != nil {
		m.events, m.told = nil, 0
	}
}

func copied(events []broker.Event) []broker.Event {
	if len(events) == 0 {
		return nil
	}
	events = slices.Clone(events)
	for i := range events {
		events[i].Data = slices.Clone(events[i].Data)
	}
	return events
}

// unhint prepares the box for another owner.
func (m *mailbox) unhint() {
	if m != nil {
		m.hinted = false
	}
}
