package saga

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skald-go/skald/internal/plan"
)

func (m *Machine) reportDo(i *inst, a Attempt, out any, err error, now time.Time) {
	if err == nil {
		if err = m.reportDone(i, a, out, now); err == nil {
			return
		}
		m.reportFailed(i, a, plan.Permanent, err, now)
		return
	}
	class, mark := Classify(a.Spec, err)
	switch class {
	case plan.NotYet:
		m.reportNotYet(i, a, mark, err, now)
	case plan.Refused:
		m.reportRefused(i, a, plain(err), now)
	default:
		m.reportFailed(i, a, class, plain(err), now)
	}
}

// plain removes a mark that was put around the whole error.
func plain(err error) error {
	if m, ok := err.(*plan.Mark); ok && m.Err != nil {
		return m.Err
	}
	return err
}

func (m *Machine) reportDone(i *inst, a Attempt, out any, now time.Time) error {
	f := Fact{Kind: Done, Attempts: a.Number, In: i.unsavedIn()}
	if !a.Spec.Pass {
		data, err := m.scratch(i, out)
		if err != nil {
			return err
		}
		f.Out = data
	}
	if !m.env.DecodeAll {
		i.out, i.hasOut = out, true
	}
	m.record(i, &f, now)
	return nil
}

func (m *Machine) applyDone(i *inst, f *Fact) {
	i.attempts = f.Attempts
	i.remember(f)
	i.outData = f.Out
	m.done(i)
}

func (m *Machine) reportRefused(i *inst, a Attempt, err error, now time.Time) {
	switch {
	case i.tainted():
		m.reportFailed(i, a, plan.Permanent, err, now)
	case m.pivoted:
		m.halt(i, a.Number, err, now)
	default:
		if t := i.trouble; t != nil {
			t.notYet = false // this is the answer
		}
		if !i.cancelled {
			m.doubt(i.boundary(), now)
		}
		m.record(i, &Fact{Kind: Refused, Attempts: a.Number, err: err}, now)
	}
}

// applyRefused ends a node that had no effect: a step, or a decision that could not be made.
func (m *Machine) applyRefused(i *inst, f *Fact) {
	m.endedBadly(i, f)
	if i.leaf() {
		i.phase = refused
	}
	if i.cancelled {
		m.resume(i)
		return
	}
	m.fail(i)
}

func (m *Machine) reportFailed(i *inst, a Attempt, class plan.Class, err error, now time.Time) {
	i.suspect, i.fresh = true, false
	forever := m.pivoted || a.Spec.Retriable || a.Spec.Pivot
	switch {
	case i.cancelled:
		m.recordFailed(i, a.Number, cutOff(err), err, now)
	case class == plan.Failed && (forever || a.Number < a.Spec.Retry.Attempts):
		i.attempts = a.Number
		m.later(i, Backoff(a.Spec.Retry, a.Number, m.env.Jitter), err, now)
	case m.pivoted || a.Spec.Pivot && a.Spec.Undo == nil:
		m.halt(i, a.Number, err, now)
	default:
		m.recordFailed(i, a.Number, false, err, now)
	}
}

func (m *Machine) recordFailed(i *inst, number int, cut bool, err error, now time.Time) {
	if !i.cancelled && i.op.Step.Undo == nil {
		m.doubt(i.boundary(), now)
	}
	m.record(i, &Fact{Kind: Failed, Flag: cut, Attempts: number, In: i.unsavedIn(), err: err}, now)
}

// cutOff says that err only tells that the attempt's context ended.
func cutOff(err error) (cut bool) {
	defer func() {
		if recover() != nil {
			cut = false
		}
	}()
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrInterrupted)
}

func (m *Machine) applyFailed(i *inst, f *Fact) {
	m.endedBadly(i, f)
	i.phase = failed
	i.remember(f)
	switch {
	case i.cancelled:
		m.resume(i)
	case i.op.Step.Undo != nil:
		i.own, i.back = true, undoing
		m.queueUndo(i)
	default:
		i.kept = !i.op.Step.ReadOnly
		i.back = undone
		m.fail(i)
	}
}

// endedBadly notes how i ended without success.
func (m *Machine) endedBadly(i *inst, f *Fact) {
	i.attempts = f.Attempts
	i.silence()
	t := i.ill()
	t.failure, t.notYet = f.failure(), false
	if m.pivot == i {
		m.pivot = nil
	}
	if !f.Flag {
		m.blame(i)
	}
}

func (m *Machine) reportNotYet(i *inst, a Attempt, mark *plan.Mark, err error, now time.Time) {
	t := i.ill()
	if !t.notYet {
		t.notYet, t.since = true, now
	}
	switch {
	case i.cancelled:
		m.recordFailed(i, a.Number-1, true, ErrInterrupted, now)
	case now.Add(mark.After).Sub(t.since) > m.env.NotYetLimit:
		m.reportFailed(i, a, plan.Permanent, fmt.Errorf("%w: %v after the first NotYet", ErrNotYetLimit, now.Sub(t.since)), now)
	default:
		m.later(i, mark.After, err, now)
	}
}
