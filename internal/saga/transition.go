package saga

import (
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
)

// Transition gives what is to be committed now. It says false if there is nothing: an attempt runs, or a
// short wait is on, and nothing has changed.
func (m *Machine) Transition(now time.Time) (broker.Transition, bool) {
	t := broker.Transition{ID: m.id, Rev: m.rev}
	m.way(&t, now)
	if t.Next == broker.Keep && len(m.bufs.entries) == 0 && len(m.consume) == 0 && len(m.send) == 0 {
		return t, false
	}
	m.complete(&t, now)
	return t, true
}

// GiveBack is the transition that leaves the saga to others, while attempts may still run here.
func (m *Machine) GiveBack(now time.Time) broker.Transition {
	t := broker.Transition{ID: m.id, Rev: m.rev, Next: broker.GiveBack}
	m.doubtRunning(now)
	m.complete(&t, now)
	return t
}

// doubtRunning records that attempts run of which this machine will not hear.
func (m *Machine) doubtRunning(now time.Time) {
	m.root.walk(func(i *inst) {
		if i.running && !i.noted && i.phase == open {
			m.suspect(i, now)
		}
	})
}

func (m *Machine) complete(t *broker.Transition, now time.Time) {
	m.recordDirty(now)
	t.Append, t.Consume, t.Send = m.bufs.entries, m.consume, m.send
}

func (m *Machine) way(t *broker.Transition, now time.Time) {
	switch {
	case m.broken != nil:
		m.doubtRunning(now)
		t.Next = broker.Bury
		t.Outcome = m.failedWith(DeadLetter).Append(nil)
	case m.outcome != nil:
		m.finish(t)
	case m.idle():
		m.park(t, now)
	}
}

// finish ends the saga, or holds it for its parent.
func (m *Machine) finish(t *broker.Transition) {
	o := m.outcome
	m.bufs.outcome = o.Append(m.bufs.outcome[:0])
	t.Outcome, t.Keep = m.bufs.outcome, m.env.Keep
	t.Next = broker.Finish
	if m.header.Parent != "" {
		m.reply(t.Outcome)
		if o.End == Succeeded && m.settled == nil && !m.released && !m.pivoted {
			t.Next = broker.Hold
			return
		}
	}
	if o.End == Succeeded || m.settled != nil {
		m.releaseChildren()
	}
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
	for _, s := range m.send {
		if s.ID == m.id+op {
			return
		}
	}
	m.send = append(m.send, broker.Message{
		ID:    m.id + op,
		To:    m.header.Parent,
		Event: &broker.Event{ID: m.id + op, Kind: EventReply, Name: m.header.Path, Data: outcome},
	})
}

// releaseChildren lets the children end for good; if a person ended this saga, those that still run go back.
func (m *Machine) releaseChildren() {
	m.root.walk(func(i *inst) {
		switch {
		case i.op.Kind != plan.Child || i.op.pivot || i.forward || i.ended:
		case i.phase == done:
			m.post(i, "release", EventRelease)
		case i.phase == open && i.decided && i.back == ahead:
			m.post(i, "undo", EventUndo)
		}
	})
}

// idle says that nothing can happen in this process but by time or mail.
func (m *Machine) idle() bool {
	return m.running == 0 && !m.ready() && m.undecided.empty() && len(m.limbo) == 0
}

func (m *Machine) park(t *broker.Transition, now time.Time) {
	if len(m.halted) > 0 && !m.retrying() {
		t.Next = broker.Bury
		t.Outcome = m.failedWith(DeadLetter).Append(nil)
		return
	}
	first, ok := m.timers.first()
	if ok && first.at.Sub(now) <= m.env.Moment {
		return
	}
	t.Next, t.Until = broker.Park, first.at
}

// retrying says that a step or undo waits for its next attempt.
func (m *Machine) retrying() bool {
	for _, t := range m.timers {
		if t.inst != nil && t.live() && t.inst.op.Kind == plan.Step {
			return true
		}
	}
	return false
}

// Wake is when something is due, or zero.
func (m *Machine) Wake() time.Time {
	first, _ := m.timers.first()
	return first.at
}

// recordDirty records what was kept in memory while it could change quickly.
func (m *Machine) recordDirty(now time.Time) {
	dirty := m.dirty
	m.dirty = m.dirty[:0]
	for _, i := range dirty {
		t := i.ill()
		t.dirty = false
		switch {
		case i.phase == open && i.back == ahead && !i.cancelled && !t.next.IsZero():
			m.tried(i, &Fact{Kind: Tried, Attempts: i.attempts, Suspect: i.suspect, In: i.unsavedIn()}, t.failure, now)
		case i.backward() && i.phase != open && !i.halted && !t.next.IsZero():
			m.tried(i, &Fact{Kind: Tried, Flag: true, Attempts: t.undos}, t.undoing, now)
		case i.phase == open && i.suspect && !i.noted:
			m.suspect(i, now)
		}
	}
}

func (m *Machine) tried(i *inst, f *Fact, last lastError, now time.Time) {
	f.Due, f.err, f.Err = i.trouble.next, last.err, last.data
	if i.trouble.notYet {
		f.Since = i.trouble.since
	}
	m.record(i, f, now)
}

// Committed says that the last Transition was applied.
func (m *Machine) Committed(rev uint64) {
	m.rev = rev
	b := m.bufs
	clear(b.entries)
	b.entries = b.entries[:0]
	m.consume, m.send = m.consume[:0], nil
}

// Recorded says that something is to be committed before attempts are made.
func (m *Machine) Recorded() bool {
	return m.broken != nil || len(m.bufs.entries) > 0 || len(m.consume) > 0 || len(m.send) > 0
}

// Broken gives what is wrong with the saga, or nil.
func (m *Machine) Broken() error { return m.broken }

// Break stops the saga: it needs a person.
func (m *Machine) Break(err error) { m.broken = err }

// Outcome is the saga's end, or nil as long as it has none.
func (m *Machine) Outcome() *Outcome { return m.outcome }
