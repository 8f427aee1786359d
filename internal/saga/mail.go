package saga

import (
	"fmt"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
)

// The kinds of events that sagas get. Their texts are durable.
const (
	EventSignal  = "signal"  // Name, Data
	EventCancel  = "cancel"  // Name is the reason
	EventUndo    = "undo"    // from the parent
	EventRelease = "release" // from the parent
	EventReply   = "reply"   // from a child: Name is its path, Data its outcome
	EventRelay   = "relay"   // by a person: Data is a Note
	EventSkip    = "skip"    // by a person: Name is a path, Data a Note
	EventSettle  = "settle"  // by a person: Data is a Note with an outcome
)

// Note says who decided something by hand, and why.
type Note struct {
	Who, Why string
	Out, Err []byte // of EventSettle: one of them is not nil
}

const noteVersion = 1

// Append encodes n.
func (n *Note) Append(dst []byte) []byte {
	var mask byte
	for k, b := range [...][]byte{n.Out, n.Err} {
		if b != nil {
			mask |= 1 << k
		}
	}
	dst = append(dst, noteVersion, mask)
	dst = putString(dst, n.Who)
	dst = putString(dst, n.Why)
	for _, b := range [...][]byte{n.Out, n.Err} {
		if b != nil {
			dst = putBytes(dst, b)
		}
	}
	return dst
}

// DecodeNote reads what Append wrote.
func DecodeNote(data []byte) (Note, error) {
	r := reader{data: data}
	if v := r.byte(); v != noteVersion {
		return Note{}, fmt.Errorf("a decision by hand of version %d, this is version %d", v, noteVersion)
	}
	mask := r.byte()
	n := Note{Who: r.string(), Why: r.string()}
	for k, b := range [...]*[]byte{&n.Out, &n.Err} {
		if mask&(1<<k) != 0 {
			*b = r.bytes()
		}
	}
	if r.err != nil {
		return Note{}, fmt.Errorf("a decision by hand: %w", r.err)
	}
	return n, nil
}

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

// signalled keeps a signal until somebody waits for it.
func (m *Machine) signalled(ev broker.Event, now time.Time) {
	if err := m.fits(m.root, len(ev.Data)); err != nil {
		m.broken = &BrokenError{Err: fmt.Errorf("signal %q: %w", ev.Name, err)}
		return
	}
	m.record(nil, &Fact{Kind: Signal, ID: ev.ID, Text: ev.Name, Out: ev.Data}, now)
	for _, i := range m.waits {
		m.decideLater(i)
	}
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

// askedToUndo goes back for the parent, also from the end.
func (m *Machine) askedToUndo(ev broker.Event, now time.Time) {
	if m.root.back != ahead || m.settled != nil || m.pivoted || m.pivot != nil {
		return
	}
	m.outcome = nil
	m.doubt(m.root, now)
	m.record(nil, &Fact{Kind: Asked, ID: ev.ID, err: cancelled("its parent goes back")}, now)
}

func (m *Machine) replied(ev broker.Event, now time.Time) error {
	i := m.at(ev.Name)
	if i == nil || i.op.Kind != plan.Child {
		return &ForeignError{ev.Name, ev.Kind, "this definition has no such child there"}
	}
	o, err := DecodeOutcome(ev.Data)
	if err != nil {
		m.broken = &BrokenError{Path: ev.Name, Err: err}
		return nil
	}
	if !i.awaits(&o) {
		return nil
	}
	if o.End != Succeeded && !i.cancelled {
		m.doubt(i.boundary(), now)
	}
	m.record(i, &Fact{Kind: Reply, ID: ev.ID, Out: ev.Data}, now)
	return nil
}

// awaits says that the child's saga can still come to the outcome o.
func (i *inst) awaits(o *Outcome) bool {
	switch {
	case !i.decided || i.back == undone || i.ended:
		return false
	case o.End == Succeeded:
		return i.phase == open || i.phase == done && o.Hand
	case o.End == Compensated:
		return i.phase == open || i.phase == done
	default:
		return false
	}
}

// applyReply ends a child: done with its output, or undone with its error.
func (m *Machine) applyReply(i *inst, f *Fact) {
	o, err := DecodeOutcome(f.Out)
	switch {
	case err != nil:
		m.broken = &BrokenError{Path: i.Path(), Err: err}
	case o.End == Succeeded:
		m.childDone(i, &o)
	case i.phase == done || i.cancelled:
		m.childUndone(i, &o)
	default:
		m.childFailed(i, &o)
	}
}

func (m *Machine) childDone(i *inst, o *Outcome) {
	i.ended, i.stays = o.Hand, o.Hand
	if i.phase == open {
		i.outData = o.Value
		m.done(i)
		return
	}
	m.resume(i)
}

func (m *Machine) childUndone(i *inst, o *Outcome) {
	m.childEnds(i, o)
	m.undos = append(m.undos, UndoResult{Path: i.Path(), ByHand: o.Hand})
	m.resume(i)
}

// childFailed sends the saga back, or leaves it to a person where there is no way back.
func (m *Machine) childFailed(i *inst, o *Outcome) {
	m.childEnds(i, o)
	if m.pivoted {
		m.halted = append(m.halted, i)
		i.halted = true
		return
	}
	m.blame(i)
	i.back = undone
	m.fail(i)
}

func (m *Machine) childEnds(i *inst, o *Outcome) {
	t := i.ill()
	t.failure, t.kept, t.attempts = lastError{data: o.Err}, o.Kept, o.Attempts
	i.ended = true
	if i.phase == open {
		i.phase = failed
	}
	if m.pivot == i {
		m.pivot = nil
	}
}

func (m *Machine) byPerson(ev broker.Event, now time.Time) error {
	n, err := DecodeNote(ev.Data)
	if err != nil {
		m.broken = &BrokenError{Err: err}
		return nil
	}
	f := Fact{ID: ev.ID, Who: n.Who, Text: n.Why}
	switch ev.Kind {
	case EventRelay:
		f.Kind = Relayed
		m.record(nil, &f, now)
	case EventSettle:
		f.Kind, f.Out, f.Err = Settled, n.Out, n.Err
		m.broken = nil
		m.record(nil, &f, now)
	case EventSkip:
		i := m.at(ev.Name)
		if i == nil || !i.halted || i.back == ahead {
			m.complaint = fmt.Errorf("%w: %q", errNothingToSkip, ev.Name)
			return nil
		}
		f.Kind = Skipped
		m.record(i, &f, now)
		m.record(nil, &Fact{Kind: Relayed, ID: ev.ID, Who: n.Who, Text: n.Why}, now)
	}
	return nil
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
