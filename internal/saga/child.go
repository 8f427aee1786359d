package saga

import (
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
)

func (m *Machine) beginChild(i *inst, now time.Time) (f Fact, err error) {
	defer m.caught(i, &err)
	def := i.op.Child
	data, err := m.encode(i, i.op.In, m.valueIn(i))
	if err != nil {
		return f, err
	}
	h := Header{Started: now, Headers: m.header.Headers, Parent: m.id, Path: i.Path(), Forward: m.pivoted, Input: data}
	if i.op.Remote != nil {
		return m.beginRemote(i, h), nil
	}
	if err := m.checkLocks(i); err != nil {
		return f, err
	}
	h.Claims = m.header.Claims
	m.send = append(m.send, broker.Message{
		ID: m.id + "/" + i.Path() + "~start",
		To: m.childID(i),
		Start: &broker.Start{
			ID:     m.childID(i),
			Served: broker.Served{Flow: def.Name, Version: def.Version()},
			Record: h.Append(nil),
			Parent: m.id,
		},
	})
	return Fact{Kind: Begun, Flag: m.pivoted}, nil
}

func (m *Machine) childID(i *inst) string {
	if i.op.Remote != nil {
		return remoteID(m.env.Service, m.id, i.Path())
	}
	return m.id + "/" + i.Path()
}

// post sends an event to the saga of a child.
func (m *Machine) post(i *inst, op, kind string) { m.postAs(i, op, kind, "") }

func (m *Machine) postAs(i *inst, op, kind, name string) {
	message := broker.Message{
		ID:    m.id + "/" + i.Path() + "~" + op,
		To:    m.childID(i),
		Event: &broker.Event{ID: m.id + "~" + op, Kind: kind, Name: name},
	}
	if r := i.op.Remote; r != nil {
		message.Service = r.Service
	}
	m.send = append(m.send, message)
}

// undoChild asks the saga of a child to go back.
func (m *Machine) undoChild(i *inst) {
	if i.ended {
		i.kept = i.stays
		m.isBack(i)
		return
	}
	if !m.loading {
		m.post(i, "undo", EventUndo)
	}
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
	if o.End == Compensated && !i.cancelled {
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
	case o.End == DeadLetter:
		return i.op.Remote != nil
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
		return
	case o.End == DeadLetter:
		i.ill().dead = lastError{data: o.Err}
	case o.End == Succeeded:
		m.childDone(i, &o)
	case i.phase == done || i.cancelled:
		m.childUndone(i, &o)
	default:
		m.childFailed(i, &o)
	}
	if i.op.Remote != nil {
		m.heardOf(i, &o)
	}
}

func (m *Machine) childDone(i *inst, o *Outcome) {
	i.ended = o.Hand || o.Final
	i.stays = i.ended
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
	t.kept = o.Kept
	if !i.overdue {
		t.failure, t.attempts = lastError{data: o.Err}, o.Attempts
	}
	i.silence()
	i.ended = true
	if i.phase == open {
		i.phase = failed
	}
	if m.pivot == i {
		m.pivot = nil
	}
}

// releaseChildren lets the children end for good; if a person ended this saga, those that still run go back.
func (m *Machine) releaseChildren() {
	m.root.walk(func(i *inst) {
		switch {
		case i.op.Kind != plan.Child || i.op.pivot || i.forward || i.ended:
		case i.op.Remote != nil && i.awaited():
			m.postAs(i, "alone", EventUndo, undoAlone)
		case i.phase == done:
			m.post(i, "release", EventRelease)
		case i.phase == open && i.decided && i.back == ahead:
			m.post(i, "undo", EventUndo)
		}
	})
}

// askedToUndo goes back for the parent, also from the end.
func (m *Machine) askedToUndo(ev broker.Event, now time.Time) {
	alone := ev.Name == undoAlone
	if m.root.back != ahead || m.settled != nil || m.pivoted || m.pivot != nil {
		if alone {
			m.letLoose(now)
		}
		return
	}
	m.outcome = nil
	m.doubt(m.root, now)
	m.record(nil, &Fact{Kind: Asked, ID: ev.ID, Flag: alone, err: cancelled("its parent goes back")}, now)
}

// reply tells the parent. The event's ID differs between the ends that a child can come to, one after the other.
func (m *Machine) reply(outcome []byte) {
	op := "~done"
	switch {
	case m.outcome.Hand:
		op = "~settled"
	case m.outcome.End != Succeeded:
		op = "~undone"
	}
	m.replyAs(m.id+op, outcome)
}

// replyAs sends an outcome to the parent, in an event of that ID.
func (m *Machine) replyAs(id string, outcome []byte) {
	for _, s := range m.send {
		if s.ID == id {
			return
		}
	}
	m.send = append(m.send, broker.Message{
		ID:      id,
		Service: m.header.Service,
		To:      m.header.Parent,
		Event:   &broker.Event{ID: id, Kind: EventReply, Name: m.header.Path, Data: outcome},
	})
}
