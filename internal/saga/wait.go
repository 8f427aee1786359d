package saga

import (
	"fmt"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
)

func (m *Machine) delay(i *inst, now time.Time) (f Fact, err error) {
	defer m.caught(i, &err)
	return Fact{Kind: Due, Due: after(now, max(0, i.op.For(m.valueIn(i))))}, nil
}

type letter struct {
	id, name string
	data     []byte
	taken    bool
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

// letter finds a signal that nobody has taken.
func (m *Machine) letter(id, name string) *letter {
	for k := range m.signals {
		if s := &m.signals[k]; s.id == id && s.name == name && !s.taken {
			return s
		}
	}
	return nil
}

func (m *Machine) applyTook(i *inst, f *Fact) {
	s := m.letter(f.ID, i.op.Signal)
	s.taken, i.outData = true, s.data
	m.dropWait(i)
	m.done(i)
}

func (m *Machine) applyWoke(i *inst) {
	i.silence()
	m.dropWait(i)
	if i.op.Kind == plan.Wait {
		m.enter(i.op.kids[0], i, -1)
		return
	}
	m.done(i)
}

func (m *Machine) dropWait(i *inst) {
	for k, w := range m.waits {
		if w == i {
			m.waits = append(m.waits[:k], m.waits[k+1:]...)
			return
		}
	}
}
