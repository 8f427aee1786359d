package saga

import (
	"fmt"
	"time"

	"github.com/skald-go/skald/internal/plan"
)

// Advance makes every decision that can be made now, and fires the timers that are due.
func (m *Machine) Advance(now time.Time) {
	for m.broken == nil {
		switch {
		case len(m.limbo) > 0 && m.clearLimbo(now):
		case !m.undecided.empty():
			m.decide(m.undecided.take(), now)
		default:
			t, ok := m.timers.due(now)
			if !ok && m.conclude(now) {
				return
			}
			if ok {
				m.ring(t, now)
			}
		}
	}
}

// ring does what a timer was set for.
func (m *Machine) ring(t timer, now time.Time) {
	i := t.inst
	switch {
	case i == nil && t.gen == slowTimer:
		if !m.slow && !m.over() {
			m.record(nil, &Fact{Kind: Slow}, now)
		}
	case i == nil:
		m.expire(now)
	case i.op.Kind == plan.Step:
		m.queue(i)
	case i.op.Kind == plan.Child:
		m.overdue(i, now)
	default:
		m.record(i, &Fact{Kind: Woke}, now)
	}
}

func (m *Machine) expire(now time.Time) {
	switch {
	case m.over() || m.root.back != ahead || m.late:
	case m.pivoted || m.pivot != nil:
		m.record(nil, &Fact{Kind: Late}, now)
	default:
		m.doubt(m.root, now)
		m.record(nil, &Fact{Kind: Expired, err: ErrDeadline}, now)
	}
}

// over says that the forward way has come to its end.
func (m *Machine) over() bool {
	return m.settled != nil || m.root.phase == done && m.root.back == ahead
}

func (m *Machine) decide(i *inst, now time.Time) {
	if i.cancelled || i.halted || i.phase != open || i.decided && i.op.Kind != plan.Wait {
		return
	}
	var f Fact
	var err error
	switch i.op.Kind {
	case plan.Choice:
		f, err = m.choose(i)
	case plan.Each:
		f, err = m.list(i)
	case plan.Loop:
		if i.kids[len(i.kids)-1].phase != done {
			return
		}
		f, err = m.round(i)
	case plan.Race:
		f = m.judge(i, now)
	case plan.Delay:
		f, err = m.delay(i, now)
	case plan.Wait:
		m.decideWait(i, now)
		return
	case plan.Child:
		f, err = m.beginChild(i, now)
	}
	if err != nil {
		m.undecidable(i, err, now)
		return
	}
	m.record(i, &f, now)
}

// undecidable ends a node whose decision could not be made: nothing happened there.
func (m *Machine) undecidable(i *inst, err error, now time.Time) {
	if b, ok := err.(*BrokenError); ok {
		m.broken = b
		return
	}
	switch {
	case m.pivoted:
		m.halt(i, i.attempts, err, now)
	case i.uncertain():
		m.recordFailed(i, i.attempts, false, err, now)
	default:
		m.doubt(i.boundary(), now)
		m.record(i, &Fact{Kind: Refused, Attempts: i.attempts, err: err}, now)
	}
}

func (m *Machine) choose(i *inst) (f Fact, err error) {
	defer m.caught(i, &err)
	pick, err := i.op.Pick(m.valueIn(i))
	if err != nil {
		return f, err
	}
	return Fact{Kind: Chose, Text: i.op.label(pick)}, nil
}

func (m *Machine) list(i *inst) (f Fact, err error) {
	defer m.caught(i, &err)
	items := i.op.Items(m.valueIn(i))
	data, err := m.encode(i, i.op.Slice, items)
	if err != nil {
		return f, err
	}
	if !m.env.DecodeAll {
		i.out, i.hasOut = items, true
	}
	return Fact{Kind: Items, Index: i.op.Count(items), Out: data}, nil
}

func (m *Machine) round(i *inst) (f Fact, err error) {
	defer m.caught(i, &err)
	n := len(i.kids)
	if i.op.Until(m.valueOut(i.kids[n-1])) {
		return Fact{Kind: Round, Index: n, Flag: true}, nil
	}
	if n >= i.op.Max {
		return f, fmt.Errorf("%w: %d rounds of %q", ErrRounds, n, i.Path())
	}
	return Fact{Kind: Round, Index: n}, nil
}

func (m *Machine) applyDecision(i *inst, f *Fact) {
	i.decided = true
	switch f.Kind {
	case Chose:
		i.pick = int32(i.op.arm(f.Text))
		if i.pick == plan.None {
			m.done(i)
			return
		}
		i.kids = m.kids(1)
		m.enter(i.op.kids[i.pick], i, -1)
	case Items:
		i.outData = f.Out
		m.openItems(i, f.Index)
	case Round:
		i.decided = false
		if f.Flag {
			m.done(i)
			return
		}
		m.enter(i.op.kids[0], i, f.Index+1)
	}
}
