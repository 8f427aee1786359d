package saga

import (
	"fmt"
	"time"

	"github.com/skald-go/skald/internal/plan"
)

func (m *Machine) undoLeaf(i *inst) {
	switch {
	case i.phase == refused || i.phase == void:
		m.isBack(i)
	case i.op.Kind == plan.Child:
		m.undoChild(i)
	case i.phase == open: // its attempt still runs, or its outcome is about to be recorded
	case i.op.Step.Undo != nil:
		m.queueUndo(i)
	default:
		i.kept = !i.op.Step.ReadOnly
		m.isBack(i)
	}
}

func (m *Machine) queueUndo(i *inst) {
	if t := i.trouble; t != nil {
		i.silence()
		t.notYet = false
	}
	m.queue(i)
}

func (m *Machine) reportUndo(i *inst, a Attempt, err error, now time.Time) {
	if err == nil {
		m.doubtOwn(i, now)
		m.record(i, &Fact{Kind: Undone, Attempts: a.Number}, now)
		return
	}
	class, mark := Classify(a.Spec, err)
	switch class {
	case plan.NotYet:
		m.undoNotYet(i, a, mark, err, now)
	case plan.Proceed:
		m.proceed(i, a, mark.Out, now)
	case plan.GiveUp, plan.Permanent:
		m.stuck(i, a, plain(err), now)
	default:
		if a.Number >= a.Spec.RetryUndo.Attempts {
			m.stuck(i, a, plain(err), now)
			return
		}
		i.ill().undos = a.Number
		m.later(i, Backoff(a.Spec.RetryUndo, a.Number, m.env.Jitter), err, now)
	}
}

func (m *Machine) undoNotYet(i *inst, a Attempt, mark *plan.Mark, err error, now time.Time) {
	t := i.ill()
	if !t.notYet {
		t.notYet, t.since = true, now
	}
	if now.Add(mark.After).Sub(t.since) > m.env.NotYetLimit {
		m.stuck(i, a, fmt.Errorf("%w: %v after the first NotYet", ErrNotYetLimit, now.Sub(t.since)), now)
		return
	}
	m.later(i, mark.After, err, now)
}

// proceed takes the answer of an undo that replaces the output of its step, if it comes in time.
func (m *Machine) proceed(i *inst, a Attempt, out any, now time.Time) {
	if !i.own || len(i.boundary().ill().fails) != 1 {
		m.stuck(i, a, ErrTooLate, now)
		return
	}
	data, err := m.scratch(i, out)
	if err != nil {
		m.stuck(i, a, err, now)
		return
	}
	m.record(i, &Fact{Kind: Proceeded, Attempts: a.Number, Out: data}, now)
	if !m.env.DecodeAll && i.phase == done {
		i.out, i.hasOut = out, true
	}
}

func (m *Machine) applyProceeded(i *inst, f *Fact) {
	m.forgive(i)
	i.own, i.back, i.proceeded = false, ahead, true
	i.outData = f.Out
	i.hasOut = false
	m.done(i)
}

func (m *Machine) stuck(i *inst, a Attempt, err error, now time.Time) {
	m.doubtOwn(i, now)
	m.record(i, &Fact{Kind: Stuck, Flag: true, Attempts: a.Number, err: err}, now)
}

// doubtOwn prepares for the failure that follows when the undo of a failed step has answered.
func (m *Machine) doubtOwn(i *inst, now time.Time) {
	if i.own {
		m.doubt(i.boundary(), now)
	}
}

func (m *Machine) applyUndone(i *inst, f *Fact) {
	m.undos = append(m.undos, UndoResult{Path: i.Path(), ByHand: f.Kind == Skipped})
	if f.Kind == Skipped {
		i.kept = true
	}
	i.queued = false
	i.silence()
	if t := i.trouble; t != nil {
		t.undoing, t.undos, t.notYet = lastError{}, 0, false
	}
	m.unhalt(i)
	switch {
	case i.owed:
		i.owed = false
		m.owed--
		m.paid(i)
		m.afterHalt(i)
	case i.own:
		i.own, i.back = false, undone
		m.fail(i)
	default:
		m.isBack(i)
	}
}
