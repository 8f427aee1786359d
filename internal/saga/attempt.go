package saga

import (
	"time"

	"github.com/skald-go/skald/internal/plan"
)

// Attempt is one call of a step or an undo that is to be made.
type Attempt struct {
	inst   *inst
	Path   string
	Number int // 1 is the first
	Undo   bool
	Again  bool // an undo after one that has answered Proceed
	Spec   *plan.StepSpec
	In     any          // of a step
	Effect *plan.Effect // of an undo
}

// Is says whether a and b are attempts of the same node.
func (a *Attempt) Is(b *Attempt) bool { return a.inst == b.inst }

// Useless says that the step was cancelled while the attempt ran: its outcome only matters for the undo.
func (a *Attempt) Useless() bool { return !a.Undo && a.inst.cancelled }

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

func (m *Machine) attemptUndo(i *inst, a Attempt) (Attempt, bool) {
	var err error
	a.Undo, a.Again, a.Number = true, i.proceeded, 1
	if i.trouble != nil {
		a.Number += i.trouble.undos
	}
	if a.Effect, err = m.effectOf(i); err != nil {
		m.broken = err
		return a, false
	}
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

// remember keeps what entered i, if the fact has it.
func (i *inst) remember(f *Fact) {
	if f.In != nil {
		i.inData, i.saved = f.In, true
	}
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
