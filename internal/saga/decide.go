package saga

import (
	"fmt"
	"time"

	"github.com/skald-go/skald/broker"
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

// judge ends a race that somebody has won, or that nobody can win any more.
func (m *Machine) judge(race *inst, now time.Time) Fact {
	if race.pick == plan.None {
		m.doubt(race.boundary(), now)
		return Fact{Kind: Lost}
	}
	m.doubt(race, now)
	return Fact{Kind: Won, Index: int(race.pick)}
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

func (m *Machine) delay(i *inst, now time.Time) (f Fact, err error) {
	defer m.caught(i, &err)
	return Fact{Kind: Due, Due: after(now, max(0, i.op.For(m.valueIn(i))))}, nil
}

// decideWait takes a signal that is there, or sets the time until which to wait.
func (m *Machine) decideWait(i *inst, now time.Time) {
	if len(i.kids) > 0 {
		return
	}
	for k := range m.signals {
		if s := &m.signals[k]; s.name == i.op.Signal && !s.taken {
			m.take(i, s, now)
			return
		}
	}
	if i.op.Within > 0 && !i.decided {
		m.record(i, &Fact{Kind: Due, Due: after(now, i.op.Within)}, now)
	}
}

// take gives a signal to a wait. One that does not decode breaks the saga rather than being lost.
func (m *Machine) take(i *inst, s *letter, now time.Time) {
	if _, err := m.env.Payloads.Decode(i.op.Letter, s.data); err != nil {
		m.broken = &BrokenError{Path: i.Path(), Err: fmt.Errorf("signal %q: %w", s.id, err)}
		return
	}
	m.record(i, &Fact{Kind: Took, ID: s.id}, now)
}

func (m *Machine) beginChild(i *inst, now time.Time) (f Fact, err error) {
	defer m.caught(i, &err)
	def := i.op.Child
	data, err := m.encode(i, i.op.In, m.valueIn(i))
	if err != nil {
		return f, err
	}
	h := Header{Started: now, Headers: m.header.Headers, Parent: m.id, Path: i.Path(), Forward: m.pivoted, Input: data}
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

// encode gives v's bytes, bounded and in memory of their own.
func (m *Machine) encode(i *inst, t *plan.Type, v any) ([]byte, error) {
	data, err := m.env.Payloads.Append(nil, t, v)
	if err != nil {
		return nil, fmt.Errorf("flow: encode %v at %q: %w", t, i.Path(), err)
	}
	return data, m.fits(i, len(data))
}

// fits says whether a value of n bytes may be recorded at i. A quarter of the record is kept for undos.
func (m *Machine) fits(i *inst, n int) error {
	switch {
	case n > m.env.MaxPayload:
		return fmt.Errorf("%w: a value at %q has %d bytes, the limit is %d", ErrTooLarge, i.Path(), n, m.env.MaxPayload)
	case m.size+n > m.env.MaxRecord-m.env.MaxRecord/4:
		return fmt.Errorf("%w: with %d bytes at %q the saga's record would exceed what it may have before its undos, %d of %d",
			ErrTooLarge, n, i.Path(), m.env.MaxRecord-m.env.MaxRecord/4, m.env.MaxRecord)
	}
	return nil
}

// doubt records, for every attempt below i that runs or may have had an effect, that it may.
func (m *Machine) doubt(i *inst, now time.Time) {
	if i.phase == open && i.op.Kind == plan.Step && !i.told() && i.uncertain() {
		m.suspect(i, now)
	}
	for _, kid := range i.kids {
		m.doubt(kid, now)
	}
}

// suspect records that an attempt of i may have had an effect, and what is known of earlier ones.
func (m *Machine) suspect(i *inst, now time.Time) {
	f := Fact{Kind: Suspect, Attempts: i.attempts, In: i.unsavedIn()}
	if t := i.trouble; t != nil {
		f.err, f.Err = t.failure.err, t.failure.data
		if t.notYet {
			f.Since = t.since
		}
	}
	m.record(i, &f, now)
}

// told says that everything of the attempts of i so far stands in the journal.
func (i *inst) told() bool { return i.noted && (i.trouble == nil || !i.trouble.dirty) }

// uncertain says that somebody may have seen an effect of i which is not recorded.
func (i *inst) uncertain() bool {
	return i.running || i.suspect || i.asked()
}

// asked says that i has answered: not yet.
func (i *inst) asked() bool { return i.trouble != nil && i.trouble.notYet }

// clearLimbo records what is known of attempts that were cut off and do not run any more.
func (m *Machine) clearLimbo(now time.Time) bool {
	for k, i := range m.limbo {
		if i.running {
			continue
		}
		m.limbo = append(m.limbo[:k], m.limbo[k+1:]...)
		if i.phase == open {
			m.record(i, &Fact{Kind: Failed, Flag: true, Attempts: i.attempts, In: i.unsavedIn(), err: m.lastError(i)}, now)
		}
		return true
	}
	return false
}

func (m *Machine) lastError(i *inst) error {
	if err := m.errorOf(i); err != nil {
		return err
	}
	return ErrInterrupted
}
