package saga

import (
	"time"

	"github.com/skald-go/skald/broker"
)

// Takeovers counts the workers in a row that died over a saga. The broker counts from the last revision on, and
// those that gave the saga back without beginning it have noted in the journal how many there were before.
func Takeovers(r *broker.Record) int {
	n := r.Takeovers
	if last := len(r.Journal) - 1; last >= 0 {
		if f, err := DecodeFact(r.Journal[last], time.Time{}); err == nil && f.Kind == Passed {
			n += f.Attempts
		}
	}
	return n
}

// HandOver is what a worker notes that gives a saga back without beginning it, if there is anything to note.
func HandOver(r *broker.Record, now time.Time) (entry broker.Entry, ok bool) {
	n := Takeovers(r)
	h, err := DecodeHeader(r.Record)
	if n == 0 || err != nil {
		return broker.Entry{}, false
	}
	f := Fact{Kind: Passed, Attempts: n, At: now}
	return broker.Entry{Data: f.append(nil, h.Started)}, true
}

// Withdraw takes an attempt back that was not made. It is to be made again, unless it was cut off: then it had no effect.
func (m *Machine) Withdraw(a Attempt, now time.Time) {
	i := a.inst
	if !i.running {
		return
	}
	i.running = false
	m.running--
	switch {
	case m.settled != nil || m.broken != nil:
	case i.cancelled && i.phase == open && !i.tainted() && !i.asked():
		m.record(i, &Fact{Kind: Refused, Flag: true, Attempts: i.attempts, err: ErrInterrupted}, now)
	default:
		m.queue(i)
	}
}
