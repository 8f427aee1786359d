package saga

import (
	"time"

	"github.com/skald-go/skald/internal/plan"
)

// NodeState is how one node stands, for people.
type NodeState struct {
	Path     string
	Kind     plan.Kind
	State    string // open, done, refused, failed, undoing, undone, stuck
	Attempts int
	Next     time.Time
	Err      error
	Service  string    // of a child of another service
	Since    time.Time // for how long its outcome, or that of its undo, is waited for
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
	if r := i.op.Remote; r != nil {
		n.Service = r.Service
		if t := i.trouble; t != nil && i.awaited() {
			n.Since = t.since
			if err := m.decodeError(&t.dead); err != nil {
				n.Err = err
			}
		}
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

// Failing says that something has failed for good, or somebody wants the saga to end: it goes back, or the undo of
// the step that failed is still to answer.
func (m *Machine) Failing() bool {
	return m.root.back != ahead || m.root.trouble != nil && len(m.root.trouble.fails) > 0
}

// Decided says that what the saga will end as is known: its output, or its failure.
func (m *Machine) Decided() bool { return m.outcome != nil || m.root.back != ahead || m.settled != nil }
