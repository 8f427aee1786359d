package saga

import (
	"time"

	"github.com/skald-go/skald/internal/plan"
)

// doubt records, for every attempt below i that runs or may have had an effect, that it may.
func (m *Machine) doubt(i *inst, now time.Time) {
	if i.phase == open && i.op.Kind == plan.Step && !i.told() && i.uncertain() {
		m.suspect(i, now)
	}
	for _, kid := range i.kids {
		m.doubt(kid, now)
	}
}

// suspect records that an attempt of i may have had an effect, and what is known of earlier ones.
func (m *Machine) suspect(i *inst, now time.Time) {
	f := Fact{Kind: Suspect, Attempts: i.attempts, In: i.unsavedIn()}
	if t := i.trouble; t != nil {
		f.err, f.Err = t.failure.err, t.failure.data
		if t.notYet {
			f.Since = t.since
		}
	}
	m.record(i, &f, now)
}

// told says that everything of the attempts of i so far stands in the journal.
func (i *inst) told() bool { return i.noted && (i.trouble == nil || !i.trouble.dirty) }

// uncertain says that somebody may have seen an effect of i which is not recorded.
func (i *inst) uncertain() bool {
	return i.running || i.suspect || i.asked()
}

// asked says that i has answered: not yet.
func (i *inst) asked() bool { return i.trouble != nil && i.trouble.notYet }

// tainted says that an earlier attempt of i may have had an effect. The suspicion that a cancel puts on the attempt that has just
// answered does not count.
func (i *inst) tainted() bool { return i.suspect && !i.fresh }

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

// clearLimbo records what is known of attempts that were cut off and do not run any more.
func (m *Machine) clearLimbo(now time.Time) bool {
	for k, i := range m.limbo {
		if i.running {
			continue
		}
		m.limbo = append(m.limbo[:k], m.limbo[k+1:]...)
		if i.phase == open {
			m.record(i, &Fact{Kind: Failed, Flag: true, Attempts: i.attempts, In: i.unsavedIn(), err: m.lastError(i)}, now)
		}
		return true
	}
	return false
}

func (m *Machine) lastError(i *inst) error {
	if err := m.errorOf(i); err != nil {
		return err
	}
	return ErrInterrupted
}

// doubtRunning records that attempts run of which this machine will not hear.
func (m *Machine) doubtRunning(now time.Time) {
	m.root.walk(func(i *inst) {
		if i.running && !i.noted && i.phase == open {
			m.suspect(i, now)
		}
	})
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
