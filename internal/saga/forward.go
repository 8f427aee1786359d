package saga

import (
	"github.com/skald-go/skald/internal/plan"
)

// enter makes the instance of o inside up, and starts it.
func (m *Machine) enter(o *op, up *inst, index int) *inst {
	i := m.alloc()
	i.op, i.up, i.index, i.pick = o, up, int32(index), plan.None
	if up != nil {
		up.kids = append(up.kids, i)
	}
	if m.loading && o.Name != "" {
		m.index[i.Path()] = i
	}
	if up == nil {
		m.root = i
	}
	m.begun(i)
	return i
}

// alloc gives an inst that never moves.
func (m *Machine) alloc() *inst {
	if len(m.arena) == cap(m.arena) {
		m.arena = make([]inst, 0, 16)
	}
	m.arena = m.arena[:len(m.arena)+1]
	return &m.arena[len(m.arena)-1]
}

// kids gives room for n of them.
func (m *Machine) kids(n int) []*inst {
	if cap(m.slots)-len(m.slots) < n {
		m.slots = make([]*inst, 0, max(16, n))
	}
	from := len(m.slots)
	m.slots = m.slots[:from+n]
	return m.slots[from : from : from+n]
}

// begun does what a node does first.
func (m *Machine) begun(i *inst) {
	o := i.op
	if o.pivot {
		m.pivot = i
	}
	switch o.Kind {
	case plan.Step:
		m.queue(i)
	case plan.Seq:
		if len(o.kids) == 0 {
			m.done(i)
			return
		}
		i.kids = m.kids(len(o.kids))
		m.enter(o.kids[0], i, -1)
	case plan.Map:
		m.done(i)
	case plan.Join:
		i.kids = m.kids(1)
		m.enter(o.kids[0], i, -1)
	case plan.All, plan.Race:
		i.kids, i.pending = m.kids(len(o.kids)), int32(len(o.kids))
		for _, kid := range o.kids {
			m.enter(kid, i, -1)
		}
	case plan.Loop:
		m.enter(o.kids[0], i, 1)
	case plan.Wait:
		m.waits = append(m.waits, i)
		m.decideLater(i)
	case plan.Choice, plan.Each, plan.Delay, plan.Child:
		m.decideLater(i)
	}
}

func (m *Machine) queue(i *inst) {
	if !i.queued {
		i.queued = true
		m.runnable.put(i)
	}
}

func (m *Machine) decideLater(i *inst) { m.undecided.put(i) }

// done ends i with its output, and lets what contains it go on.
func (m *Machine) done(i *inst) {
	i.phase = done
	i.silence()
	if t := i.trouble; t != nil {
		t.failure, t.undoing, t.undos, t.notYet = lastError{}, lastError{}, 0, false
	}
	if i.op.pivot {
		m.pivoted, m.pivot = true, nil
	}
	if i.cancelled {
		m.resume(i)
		return
	}
	if i.up != nil {
		m.kidDone(i.up, i)
	}
}

func (m *Machine) kidDone(up, kid *inst) {
	switch o := up.op; o.Kind {
	case plan.Seq:
		if next := kid.op.pos + 1; next < len(o.kids) {
			m.enter(o.kids[next], up, -1)
			return
		}
		m.done(up)
	case plan.All:
		up.pending--
		if up.pending == 0 {
			m.done(up)
		}
	case plan.Each:
		m.itemDone(up)
	case plan.Race, plan.Loop:
		if o.Kind == plan.Race && up.pick == plan.None {
			up.pick = int32(kid.op.pos)
		}
		m.decideLater(up)
	default:
		m.done(up)
	}
}

func (m *Machine) itemDone(each *inst) {
	each.pending--
	if each.pending == 0 {
		m.done(each)
		return
	}
	if int(each.pick) < cap(each.kids) {
		m.nextItem(each)
	}
}

// nextItem enters the item that is next in order. Each.pick counts the entered ones.
func (m *Machine) nextItem(each *inst) {
	index := int(each.pick)
	each.pick++
	m.enter(each.op.kids[0], each, index)
}

// openItems starts the items of an Each whose number is known.
func (m *Machine) openItems(each *inst, count int) {
	if count == 0 {
		m.done(each)
		return
	}
	each.pending, each.pick = int32(count), 0
	each.kids = make([]*inst, 0, count)
	width := count
	if p := each.op.Parallel; p > 0 {
		width = min(p, count)
	}
	for int(each.pick) < width && !each.cancelled {
		m.nextItem(each)
	}
}
