package saga

import (
	"github.com/skald-go/skald/internal/plan"
)

// fail reports that i failed for good and is itself back: everything up to its boundary goes back.
func (m *Machine) fail(i *inst) {
	b := i.boundary()
	m.cancel(b)
	m.undo(b)
}

// goBack sends the whole saga back, for a cause that is not a step's.
func (m *Machine) goBack() {
	m.cancel(m.root)
	m.undo(m.root)
}

// blame notes i as a cause of the failure of its boundary, or of the one around it if that has failed before. Parts that lost a
// race are nobody's cause.
func (m *Machine) blame(i *inst) {
	b := i.boundary()
	for b.up != nil && b.cancelled && len(b.fails()) == 0 {
		if b.up.decided {
			return
		}
		b = b.up.boundary()
	}
	m.blames++
	i.ill().order = m.blames
	t := b.ill()
	t.fails = append(t.fails, i)
}

// fails gives what failed in a boundary, in order.
func (i *inst) fails() []*inst {
	if i.trouble == nil {
		return nil
	}
	return i.trouble.fails
}

func (m *Machine) forgive(i *inst) {
	t := i.boundary().ill()
	for k, f := range t.fails {
		if f == i {
			t.fails = append(t.fails[:k:k], t.fails[k+1:]...)
			return
		}
	}
}

// cancel stops everything below i from going forward.
func (m *Machine) cancel(i *inst) {
	if i.cancelled {
		return
	}
	i.cancelled = true
	i.own = false
	if i.phase == open {
		m.stop(i)
	}
	for _, kid := range i.kids {
		m.cancel(kid)
	}
}

// stop ends what an open node was about to do.
func (m *Machine) stop(i *inst) {
	i.silence()
	switch i.op.Kind {
	case plan.Step:
		if m.pivot == i {
			m.pivot = nil
		}
		if !i.suspect && !i.running {
			i.phase = void
			return
		}
		m.limbo = append(m.limbo, i)
		if i.running {
			m.stopped = append(m.stopped, Attempt{inst: i})
		}
	case plan.Delay:
		i.phase = void
	case plan.Wait:
		if len(i.kids) == 0 {
			i.phase = void
		}
	case plan.Child:
		if !i.decided {
			i.phase = void
		}
	}
}

// undo makes i go back. What contains i is told when it is.
func (m *Machine) undo(i *inst) {
	switch i.back {
	case undoing: // it tells by itself
		return
	case undone:
		m.kidBack(i)
		return
	}
	i.back = undoing
	if i.leaf() {
		m.undoLeaf(i)
		return
	}
	m.undoNext(i)
}

// resume goes on with the undo of a leaf whose outcome has become known.
func (m *Machine) resume(i *inst) {
	if i.back == undoing {
		i.back = ahead
		m.undo(i)
	}
}

// undoNext starts the undos inside i that may start now; if all are done, i is back.
func (m *Machine) undoNext(i *inst) {
	if i.asking { // by a kid that is back at once
		return
	}
	i.asking = true
	width, busy := m.undoWidth(i), 0
	for k := range i.kids {
		if width == 1 {
			k = len(i.kids) - 1 - k
		}
		kid := i.kids[k]
		if kid.back == ahead {
			m.undo(kid)
		}
		if kid.back == undoing {
			busy++
		}
		if busy == width {
			break
		}
	}
	if i.asking = false; busy == 0 {
		m.isBack(i)
	}
}

// undoWidth is how many kids of i are undone at once. If it is 1, the last kid is undone first.
func (m *Machine) undoWidth(i *inst) int {
	switch {
	case m.settings().UndoInOrder:
		return 1
	case i.op.Kind == plan.Each && i.op.Parallel > 0:
		return i.op.Parallel
	case i.op.Kind == plan.All || i.op.Kind == plan.Each || i.op.Kind == plan.Race:
		return len(i.kids)
	default:
		return 1
	}
}

// isBack ends the undo of i.
func (m *Machine) isBack(i *inst) {
	i.back = undone
	m.kidBack(i)
}

func (m *Machine) kidBack(i *inst) {
	up := i.up
	switch {
	case up == nil:
	case up.op.Kind == plan.Race && up.back == ahead:
		m.kidOfRaceBack(up)
	case up.back == undoing:
		m.undoNext(up)
	}
}
