package saga

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skald-go/skald/internal/plan"
)

// Attempt is one call of a step or an undo that is to be made.
type Attempt struct {
	inst   *inst
	Path   string
	Number int // 1 is the first
	Undo   bool
	Spec   *plan.StepSpec
	In     any          // of a step
	Effect *plan.Effect // of an undo
}

// Is says whether a and b are attempts of the same node.
func (a *Attempt) Is(b *Attempt) bool { return a.inst == b.inst }

// Next gives an attempt to be made now. It gives none while something that was recorded is not committed, which Next
// itself may have recorded: see Recorded.
func (m *Machine) Next(now time.Time) (a Attempt, ok bool) {
	for !m.Recorded() && m.ready() {
		i := m.runnable.take()
		i.queued = false
		if a, ok = m.attempt(i, now); ok {
			i.running = true
			m.running++
			return a, true
		}
	}
	return Attempt{}, false
}

// ready drops what is not to run any more from the front of the queue, and says whether something is left.
func (m *Machine) ready() bool {
	for !m.runnable.empty() {
		if m.wants(m.runnable.first()) {
			return true
		}
		m.runnable.take().queued = false
	}
	return false
}

// wants says whether an attempt of i is to be made.
func (m *Machine) wants(i *inst) bool {
	switch {
	case !i.queued || i.running || i.halted || m.settled != nil:
		return false
	case i.backward():
		return i.phase == done || i.phase == failed
	default:
		return i.phase == open && i.back == ahead && !i.cancelled
	}
}

func (m *Machine) attempt(i *inst, now time.Time) (Attempt, bool) {
	a := Attempt{inst: i, Path: i.Path(), Spec: i.op.Step}
	if i.backward() {
		return m.attemptUndo(i, a)
	}
	a.Number = i.attempts + 1
	in, err := m.inputOf(i)
	if err == nil {
		err = m.keepIn(i, in)
	}
	if err == nil && i.op.In.Shared && i.uncertain() {
		in, err = m.inputAgain(i)
	}
	if err != nil {
		m.undecidable(i, err, now)
		return a, false
	}
	a.In = in
	return a, true
}

// keepIn encodes what enters i before it runs, so that its undo gets what the step got, and refuses what is too large.
func (m *Machine) keepIn(i *inst, in any) (err error) {
	if i.inData != nil || i.op.Step.Undo == nil || recordedIn(i) {
		return nil
	}
	i.inData, err = m.encode(i, i.op.In, in)
	return err
}

// unsavedIn is what entered i, if the next fact about i has to tell it.
func (i *inst) unsavedIn() []byte {
	if i.saved {
		return nil
	}
	return i.inData
}

func (m *Machine) attemptUndo(i *inst, a Attempt) (Attempt, bool) {
	var err error
	a.Undo, a.Number = true, 1
	if i.trouble != nil {
		a.Number += i.trouble.undos
	}
	if a.Effect, err = m.effectOf(i); err != nil {
		m.broken = err
		return a, false
	}
	return a, true
}

// Stopped gives the attempts that are to be cut off, once.
func (m *Machine) Stopped() []Attempt {
	s := m.stopped
	m.stopped = nil
	return s
}

// Report takes the outcome of an attempt.
func (m *Machine) Report(a Attempt, out any, err error, now time.Time) {
	i := a.inst
	if !i.running || a.Undo != (i.phase != open) {
		return
	}
	i.running = false
	m.running--
	if m.settled != nil || m.broken != nil {
		return
	}
	if a.Undo {
		m.reportUndo(i, a, err, now)
		return
	}
	m.reportDo(i, a, out, err, now)
}

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

// scratch encodes an output into memory that is valid until the next call.
func (m *Machine) scratch(i *inst, out any) (data []byte, err error) {
	defer m.caught(i, &err)
	b := m.bufs
	b.scratch, err = m.env.Payloads.Append(b.scratch[:0], i.op.Out, out)
	if err != nil {
		return nil, fmt.Errorf("flow: encode %v, the output of %q: %w", i.op.Out, i.Path(), err)
	}
	return b.scratch, m.fits(i, len(b.scratch))
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

// tainted says that an earlier attempt of i may have had an effect. The suspicion that a cancel puts on the attempt that has just
// answered does not count.
func (i *inst) tainted() bool { return i.suspect && !i.fresh }

func (m *Machine) reportFailed(i *inst, a Attempt, class plan.Class, err error, now time.Time) {
	i.suspect, i.fresh = true, false
	forever := m.pivoted || a.Spec.Retriable || a.Spec.Pivot
	switch {
	case i.cancelled:
		m.recordFailed(i, a.Number, cutOff(err), err, now)
	case class == plan.Failed && (forever || a.Number < a.Spec.Retry.Attempts):
		i.attempts = a.Number
		m.later(i, backoff(a.Spec.Retry, a.Number, m.env.Jitter), err, now)
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

// halt leaves i to a person.
func (m *Machine) halt(i *inst, number int, err error, now time.Time) {
	m.record(i, &Fact{Kind: Stuck, Attempts: number, Suspect: i.suspect, In: i.unsavedIn(), err: err}, now)
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
		m.later(i, backoff(a.Spec.RetryUndo, a.Number, m.env.Jitter), err, now)
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

// later lets i try again after a while.
func (m *Machine) later(i *inst, pause time.Duration, err error, now time.Time) {
	t := i.ill()
	if t.next = after(now, pause); i.backward() {
		t.undoing = lastError{err: err}
	} else {
		t.failure = lastError{err: err}
	}
	if pause <= 0 {
		m.queue(i)
	} else {
		m.alarm(i, t.next)
	}
	if !t.dirty {
		t.dirty = true
		m.dirty = append(m.dirty, i)
	}
}
