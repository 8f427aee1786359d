package saga

import (
	"fmt"

	"github.com/skald-go/skald/internal/plan"
)

// kinds is a set of node kinds.
type kinds uint16

func of(all ...plan.Kind) (s kinds) {
	for _, k := range all {
		s |= 1 << k
	}
	return s
}

func (s kinds) has(k plan.Kind) bool { return s&(1<<k) != 0 }

// about says what kinds of nodes a kind of fact can be about; the others are about the whole saga.
var about = [len(factNames)]kinds{
	Done:      of(plan.Step),
	Refused:   of(plan.Step, plan.Choice, plan.Each, plan.Loop, plan.Delay, plan.Child),
	Failed:    of(plan.Step),
	Tried:     of(plan.Step),
	Suspect:   of(plan.Step),
	Chose:     of(plan.Choice),
	Items:     of(plan.Each),
	Round:     of(plan.Loop),
	Won:       of(plan.Race),
	Lost:      of(plan.Race),
	Due:       of(plan.Delay, plan.Wait),
	Woke:      of(plan.Delay, plan.Wait),
	Took:      of(plan.Wait),
	Undone:    of(plan.Step),
	Stuck:     of(plan.Step, plan.Choice, plan.Each, plan.Loop, plan.Delay, plan.Child),
	Proceeded: of(plan.Step),
	Begun:     of(plan.Child),
	Reply:     of(plan.Child),
	Skipped:   of(plan.Step),
	Overdue:   of(plan.Child),
}

// find gives the inst that a loaded fact is about, or nil if it is about the whole saga. The error is a *ForeignError if this
// definition cannot have recorded the fact, and a *BrokenError if nobody can.
func (m *Machine) find(f *Fact) (*inst, error) {
	nodes := about[f.Kind]
	if nodes == 0 {
		return nil, m.admits(f)
	}
	i, ok := m.index[f.Path]
	if !ok {
		return nil, foreign(f, "this definition has no such path there")
	}
	if !nodes.has(i.op.Kind) {
		return nil, foreign(f, fmt.Sprintf("it is a %v now", i.op.Kind))
	}
	if !i.ready(f) {
		return nil, foreign(f, "it is not at that point")
	}
	return i, m.fitsTo(i, f)
}

func foreign(f *Fact, why string) error { return &ForeignError{f.Path, f.Kind.String(), why} }

// admits says why f cannot be about the whole saga as it stands.
func (m *Machine) admits(f *Fact) error {
	switch f.Kind {
	case Cancelled, Expired, Asked:
		if m.root.back != ahead {
			return foreign(f, "the saga goes back already")
		}
	case Granted:
		if !m.barred {
			return foreign(f, "the saga has begun already")
		}
	}
	if f.Path != "" {
		return foreign(f, "it is about the whole saga")
	}
	return nil
}

// ready says that i is in a state that f can follow.
func (i *inst) ready(f *Fact) bool {
	switch f.Kind {
	case Done, Failed, Suspect:
		return i.phase == open && !i.halted
	case Refused:
		return i.phase == open && !i.halted && !i.decided && (i.op.Kind == plan.Step || !i.cancelled)
	case Tried, Stuck:
		if f.Flag {
			return i.goesBack()
		}
		return i.goesOn()
	case Undone:
		return i.goesBack()
	case Proceeded:
		return i.goesBack() && i.own
	case Skipped:
		return i.halted && i.back != ahead
	case Reply:
		return i.decided
	case Overdue:
		return i.goesOn() && i.decided
	case Woke:
		return i.goesOn() && i.decided && len(i.kids) == 0
	case Took:
		return i.goesOn() && len(i.kids) == 0
	default:
		return i.goesOn() && !i.decided
	}
}

func (i *inst) goesOn() bool { return i.phase == open && i.back == ahead && !i.cancelled && !i.halted }

func (i *inst) goesBack() bool {
	return i.backward() && !i.halted && i.leaf() && (i.phase == done || i.phase == failed)
}

// fitsTo says why what f tells is not possible for i.
func (m *Machine) fitsTo(i *inst, f *Fact) error {
	switch f.Kind {
	case Done:
		if f.Out == nil && !i.op.Step.Pass {
			return foreign(f, "its output was not recorded")
		}
	case Proceeded:
		if f.Out == nil {
			return foreign(f, "its output was not recorded")
		}
	case Chose:
		if i.op.arm(f.Text) == noArm || f.Text == "" && !i.op.Optional {
			return foreign(f, fmt.Sprintf("there is no arm %q", f.Text))
		}
	case Items:
		return m.countItems(i, f)
	case Round:
		if f.Index != len(i.kids) || i.kids[f.Index-1].phase != done {
			return foreign(f, fmt.Sprintf("it is in round %d", len(i.kids)))
		}
	case Won:
		if f.Index < 0 || f.Index >= len(i.kids) || i.kids[f.Index].phase != done || i.kids[f.Index].back != ahead {
			return foreign(f, fmt.Sprintf("part %d did not succeed", f.Index))
		}
	case Lost:
		if i.pick != plan.None || !i.allBack() {
			return foreign(f, "it can still be won")
		}
	case Due:
		if i.op.Kind == plan.Wait && len(i.op.kids) == 0 {
			return foreign(f, "it waits for ever")
		}
	case Took:
		if m.letter(f.ID, i.op.Signal) == nil {
			return &BrokenError{Path: f.Path, Err: fmt.Errorf("signal %q never came", f.ID)}
		}
	case Reply:
		return m.fitsReply(i, f)
	}
	return nil
}

func (m *Machine) countItems(i *inst, f *Fact) error {
	items, err := m.env.Payloads.Decode(i.op.Slice, f.Out)
	switch {
	case err != nil:
		return &BrokenError{Path: f.Path, Err: err}
	case i.op.Count(items) != f.Index:
		return &BrokenError{Path: f.Path, Err: fmt.Errorf("%d items were recorded as %d", i.op.Count(items), f.Index)}
	}
	i.out, i.hasOut = items, true
	return nil
}

func (m *Machine) fitsReply(i *inst, f *Fact) error {
	o, err := DecodeOutcome(f.Out)
	switch {
	case err != nil:
		return &BrokenError{Path: f.Path, Err: err}
	case !i.awaits(&o):
		return foreign(f, "it has ended already")
	}
	return nil
}
