package saga

import (
	"time"

	"github.com/skald-go/skald/broker"
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

func (m *Machine) complete(t *broker.Transition, now time.Time) {
	m.recordDirty(now)
	t.Append, t.Consume, t.Send = m.bufs.entries, m.consume, m.send
	if t.Next != broker.Finish {
		t.Memo = m.memo()
	}
}

func (m *Machine) way(t *broker.Transition, now time.Time) {
	switch {
	case m.broken != nil:
		m.doubtRunning(now)
		m.bury(t)
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
	if m.header.Service != "" {
		m.finishRemote(t)
		return
	}
	if m.header.Parent != "" {
		m.reply(t.Outcome)
		if o.End == Succeeded && m.settled == nil && !m.released && !m.pivoted {
			t.Next = broker.Hold
			return
		}
	}
	m.letGo()
}

// letGo releases the children of a saga that keeps what they did.
func (m *Machine) letGo() {
	if m.outcome.End == Succeeded || m.settled != nil {
		m.releaseChildren()
	}
}

// bury leaves the saga to a person.
func (m *Machine) bury(t *broker.Transition) {
	t.Next = broker.Bury
	t.Outcome = m.failedWith(DeadLetter).Append(nil)
	if m.header.Service != "" {
		m.tellDead(t.Outcome)
	}
}

// idle says that nothing can happen in this process but by time or mail.
func (m *Machine) idle() bool {
	return m.running == 0 && !m.ready() && m.undecided.empty() && len(m.limbo) == 0
}

func (m *Machine) park(t *broker.Transition, now time.Time) {
	if len(m.halted) > 0 && !m.retrying() {
		m.bury(t)
		return
	}
	first, ok := m.timers.first()
	if ok && first.at.Sub(now) <= m.env.Moment {
		return
	}
	t.Next, t.Until = broker.Park, first.at
}

// Wake is when something is due, or zero.
func (m *Machine) Wake() time.Time {
	first, _ := m.timers.first()
	return first.at
}

// Committed says that the last Transition was applied.
func (m *Machine) Committed(rev uint64) {
	m.rev = rev
	b := m.bufs
	clear(b.entries)
	b.entries = b.entries[:0]
	m.consume, m.send = m.consume[:0], nil
	m.jotted = false
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
