package saga

import (
	"errors"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
)

var errNothingToSkip = errors.New("flow: a skip names no undo that failed for good")

// Load gives the machine of a stored saga. The error is a *ForeignError if the definition does not have what the
// record says, and a *BrokenError if the record cannot be read.
func Load(env *Env, prog *Program, r *broker.Record, now time.Time) (*Machine, error) {
	h, err := DecodeHeader(r.Record)
	if err != nil {
		return nil, &BrokenError{Err: err}
	}
	m := take(env, prog, r.ID, h)
	m.rev = r.Rev
	m.loading, m.index = true, map[string]*inst{}
	m.size = len(h.Input)
	m.begin()
	for _, e := range r.Journal {
		if err := m.replay(e); err != nil {
			m.Release()
			return nil, err
		}
	}
	m.loading, m.index = false, nil
	if Takeovers(r) > 0 {
		m.suspectAll(now)
	}
	return m, nil
}

func (m *Machine) replay(e broker.Entry) error {
	f, err := DecodeFact(e, m.header.Started)
	if err != nil {
		return &BrokenError{Path: e.Path, Err: err}
	}
	i, err := m.find(&f)
	if err != nil {
		return err
	}
	m.size += len(e.Path) + len(e.Data)
	if f.ID != "" {
		m.mark(f.ID, false)
	}
	m.apply(i, &f)
	return nil
}

// suspectAll marks every attempt that a dead worker may have begun.
func (m *Machine) suspectAll(now time.Time) {
	for _, i := range m.runnable.waiting() {
		if m.wants(i) && i.back == ahead {
			m.suspectOne(i)
		}
	}
	for _, t := range m.timers {
		if i := t.inst; i != nil && t.live() && !t.at.After(now) && i.op.Kind == plan.Step && i.back == ahead {
			m.suspectOne(i)
		}
	}
}

// suspectOne remembers that an attempt of i may have begun. Where not even its input can be made, none has.
func (m *Machine) suspectOne(i *inst) {
	in, err := m.inputOf(i)
	if err == nil {
		err = m.keepIn(i, in)
	}
	if err != nil {
		return
	}
	i.suspect = true
	t := i.ill()
	if !t.dirty {
		t.dirty = true
		m.dirty = append(m.dirty, i)
	}
}

// NodeState is how one node stands, for people.
type NodeState struct {
	Path     string
	Kind     plan.Kind
	State    string // open, done, refused, failed, undoing, undone, stuck
	Attempts int
	Next     time.Time
	Err      error
}

// Nodes tells how every step, wait and child stands that the saga has come to.
func (m *Machine) Nodes() (nodes []NodeState) {
	m.root.walk(func(i *inst) {
		switch i.op.Kind {
		case plan.Step, plan.Child, plan.Wait, plan.Delay:
			nodes = append(nodes, m.node(i))
		}
	})
	return nodes
}

func (m *Machine) node(i *inst) NodeState {
	n := NodeState{Path: i.Path(), Kind: i.op.Kind, State: i.state(), Attempts: i.attempts, Err: m.errorOf(i)}
	if t := i.trouble; t != nil {
		n.Next = t.next
	}
	if err := m.undoErrorOf(i); err != nil {
		n.Err = err
	}
	return n
}

func (i *inst) state() string {
	switch {
	case i.halted:
		return "stuck"
	case i.backward():
		return "undoing"
	case i.back == undone && (i.phase == done || i.phase == failed):
		return "undone"
	}
	return [...]string{"open", "done", "refused", "failed", "void"}[i.phase]
}

// Compensating says that the saga goes back.
func (m *Machine) Compensating() bool { return m.root.back != ahead }

// Decided says that what the saga will end as is known: its output, or its failure.
func (m *Machine) Decided() bool { return m.outcome != nil || m.root.back != ahead || m.settled != nil }
