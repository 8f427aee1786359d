package saga

import (
	"time"

	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/step"
)

// Backoff is the pause after the n-th attempt: see step.Retry.
func Backoff(r plan.Retry, n int, jitter func() float64) time.Duration {
	d, limit := r.Delay, r.MaxDelay
	if d <= 0 {
		d, limit = step.DefaultDelay, step.DefaultMaxDelay
	}
	for ; n > 1 && d < limit; n-- {
		d += min(d, limit-d)
	}
	return time.Duration(jitter() * float64(min(d, limit)))
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

// recordDirty records what was kept in memory while it could change quickly.
func (m *Machine) recordDirty(now time.Time) {
	dirty := m.dirty
	m.dirty = m.dirty[:0]
	for _, i := range dirty {
		t := i.ill()
		t.dirty = false
		switch {
		case i.phase == open && i.back == ahead && !i.cancelled && !t.next.IsZero():
			m.tried(i, &Fact{Kind: Tried, Attempts: i.attempts, Suspect: i.suspect, In: i.unsavedIn()}, t.failure, now)
		case i.backward() && i.phase != open && !i.halted && !t.next.IsZero():
			m.tried(i, &Fact{Kind: Tried, Flag: true, Attempts: t.undos}, t.undoing, now)
		case i.phase == open && i.suspect && !i.noted:
			m.suspect(i, now)
		}
	}
}

func (m *Machine) tried(i *inst, f *Fact, last lastError, now time.Time) {
	f.Due, f.err, f.Err = i.trouble.next, last.err, last.data
	if i.trouble.notYet {
		f.Since = i.trouble.since
	}
	if i.brief() {
		m.jot(i, f, now)
	} else {
		m.record(i, f, now)
	}
}

func (m *Machine) applyTried(i *inst, f *Fact) {
	t := i.ill()
	t.tries++
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

// retrying says that a step or undo waits for its next attempt.
func (m *Machine) retrying() bool {
	for _, t := range m.timers {
		if t.inst != nil && t.live() && t.inst.op.Kind == plan.Step {
			return true
		}
	}
	return false
}
