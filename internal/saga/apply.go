package saga

import (
	"time"

	"github.com/skald-go/skald/internal/plan"
)

// apply makes f true. i is what f.Path names, or nil if f is about the whole saga.
func (m *Machine) apply(i *inst, f *Fact) {
	switch f.Kind {
	case Done:
		m.applyDone(i, f)
	case Refused:
		m.applyRefused(i, f)
	case Failed:
		m.applyFailed(i, f)
	case Tried:
		m.applyTried(i, f)
	case Suspect:
		m.applySuspect(i, f)
	case Chose, Items, Round, Won:
		m.applyDecision(i, f)
	case Lost:
		m.applyLost(i)
	case Due:
		i.decided = true
		m.alarm(i, f.Due)
	case Begun:
		i.decided, i.forward = true, f.Flag
	case Woke:
		m.applyWoke(i)
	case Took:
		m.applyTook(i, f)
	case Undone, Skipped:
		m.applyUndone(i, f)
	case Stuck:
		m.applyStuck(i, f)
	case Proceeded:
		m.applyProceeded(i, f)
	case Reply:
		m.applyReply(i, f)
	default:
		m.applyToSaga(f)
	}
}

func (m *Machine) applyToSaga(f *Fact) {
	switch f.Kind {
	case Signal:
		m.signals = append(m.signals, letter{id: f.ID, name: f.Text, data: f.Out})
	case Cancelled, Expired, Asked:
		t := m.root.ill()
		t.failure = f.failure()
		t.fails = append(t.fails, m.root)
		m.endedBy = f.ID
		m.goBack()
	case Late:
		m.late = true
	case Slow:
		m.slow = true
	case Relayed:
		m.relay()
	case Settled:
		m.settled = &Fact{Kind: Settled, ID: f.ID, Who: f.Who, Text: f.Text, Out: f.Out, Err: f.Err, At: f.At, Flag: f.Flag}
	}
}

// remember keeps what entered i, if the fact has it.
func (i *inst) remember(f *Fact) {
	if f.In != nil {
		i.inData, i.saved = f.In, true
	}
}

func (m *Machine) applyDone(i *inst, f *Fact) {
	i.attempts = f.Attempts
	i.remember(f)
	i.outData = f.Out
	m.done(i)
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

func (m *Machine) applyTried(i *inst, f *Fact) {
	t := i.ill()
	t.since, t.notYet, t.next = f.Since, !f.Since.IsZero(), f.Due
	if f.Flag {
		t.undos, t.undoing = f.Attempts, f.failure()
	} else {
		i.attempts, t.failure = f.Attempts, f.failure()
		i.suspects(f)
	}
	if m.loading {
		i.queued = false
		m.alarm(i, f.Due)
	}
}

func (m *Machine) applySuspect(i *inst, f *Fact) {
	i.fresh = i.running && !i.suspect
	i.suspect, i.noted = true, true
	i.attempts = f.Attempts
	i.remember(f)
	if f.Err != nil {
		t := i.ill()
		t.failure, t.since, t.notYet = f.failure(), f.Since, !f.Since.IsZero()
	}
}

// suspects notes that an attempt of i may have had an effect, if f says so.
func (i *inst) suspects(f *Fact) {
	i.remember(f)
	i.suspect = i.suspect || f.Suspect
	i.noted = i.noted || f.Suspect
}

func (m *Machine) applyDecision(i *inst, f *Fact) {
	i.decided = true
	switch f.Kind {
	case Chose:
		i.pick = int32(i.op.arm(f.Text))
		if i.pick == plan.None {
			m.done(i)
			return
		}
		i.kids = m.kids(1)
		m.enter(i.op.kids[i.pick], i, -1)
	case Items:
		i.outData = f.Out
		m.openItems(i, f.Index)
	case Round:
		i.decided = false
		if f.Flag {
			m.done(i)
			return
		}
		m.enter(i.op.kids[0], i, f.Index+1)
	case Won:
		i.pick = int32(f.Index)
		for k, kid := range i.kids {
			if k != f.Index {
				m.cancel(kid)
			}
		}
		m.undoLosers(i)
	}
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

func (m *Machine) applyTook(i *inst, f *Fact) {
	s := m.letter(f.ID, i.op.Signal)
	s.taken, i.outData = true, s.data
	m.dropWait(i)
	m.done(i)
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

func (m *Machine) dropWait(i *inst) {
	for k, w := range m.waits {
		if w == i {
			m.waits = append(m.waits[:k], m.waits[k+1:]...)
			return
		}
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
		m.afterHalt(i)
	case i.own:
		i.own, i.back = false, undone
		m.fail(i)
	default:
		m.isBack(i)
	}
}

// afterHalt looks at the races that waited for i.
func (m *Machine) afterHalt(i *inst) {
	for up := i.up; up != nil; up = up.up {
		if up.op.Kind == plan.Race && up.back == ahead {
			m.raceBack(up)
			return
		}
	}
}

func (m *Machine) applyStuck(i *inst, f *Fact) {
	t := i.ill()
	i.silence()
	t.notYet, i.halted = false, true
	m.halted = append(m.halted, i)
	if !f.Flag {
		i.attempts, t.failure = f.Attempts, f.failure()
		i.suspects(f)
		return
	}
	t.undos, t.undoing = f.Attempts, f.failure()
	own := i.own
	i.own = false
	switch {
	case m.settings().StopAtFailed: // what would follow waits for it
	case !i.owed:
		i.owed = true
		m.owed++
		m.isBack(i)
	}
	if own {
		m.fail(i)
	}
}

func (m *Machine) applyProceeded(i *inst, f *Fact) {
	m.forgive(i)
	i.own, i.back, i.suspect = false, ahead, false
	i.outData = f.Out
	i.hasOut = false
	m.done(i)
}

func (m *Machine) unhalt(i *inst) {
	i.halted = false
	for k, h := range m.halted {
		if h == i {
			m.halted = append(m.halted[:k], m.halted[k+1:]...)
			return
		}
	}
}

// relay lets everything that failed for good try again.
func (m *Machine) relay() {
	m.broken = nil
	halted := m.halted
	m.halted = nil
	for _, i := range halted {
		if i.op.Kind == plan.Child && i.decided { // its saga has ended: there is nothing to try again
			m.halted = append(m.halted, i)
			continue
		}
		i.halted = false
		t := i.ill()
		t.undos, t.since, t.notYet = 0, time.Time{}, false
		if i.op.Kind != plan.Step {
			m.decideLater(i)
			continue
		}
		if i.phase == open {
			i.attempts = 0
		}
		m.queue(i)
	}
}
