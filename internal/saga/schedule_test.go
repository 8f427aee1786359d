package saga_test

import (
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
)

// maxSteps is how long a run may take before it counts as one that does not end.
const maxSteps = 20_000

// run lets everything happen, in random order, until no saga can go on by itself.
func (w *world) run() {
	for n := 0; w.step(); n++ {
		if n > maxSteps {
			w.fail("the sagas do not end")
		}
	}
}

// step does one thing. It says false if nothing can happen any more without a person or a signal.
func (w *world) step() bool {
	w.disturb()
	acts := w.acts()
	if len(acts) > 0 && w.strike(w.flaky.time) == 0 {
		acts[w.dice.n(len(acts))]()
		return true
	}
	return w.forward() || len(acts) > 0
}

// acts lists what can happen now.
func (w *world) acts() (acts []func()) {
	for _, id := range w.ids {
		s := w.stored[id]
		switch {
		case s.state == broker.Ready:
			acts = append(acts, func() { w.adopt(s) })
		case s.state != broker.Owned:
		case !s.owner.asleep || w.rings(s):
			acts = append(acts, func() { w.drive(s) })
		default:
			for _, c := range s.owner.calls {
				acts = append(acts, func() { w.finish(c) })
			}
		}
	}
	return acts
}

func (w *world) rings(s *stored) bool {
	at := s.owner.m.Wake()
	return !at.IsZero() && !at.After(w.now)
}

// forward moves the clock to the next moment at which something is due.
func (w *world) forward() bool {
	var next time.Time
	for _, id := range w.ids {
		s := w.stored[id]
		at := s.until
		switch s.state {
		case broker.Owned:
			at = s.owner.m.Wake()
		case broker.Parked:
		default:
			continue
		}
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if next.IsZero() {
		return false
	}
	if next.After(w.now) {
		w.now = next
	}
	for _, s := range w.stored {
		if s.state == broker.Parked && !s.until.IsZero() && !s.until.After(w.now) {
			s.state = broker.Ready
		}
	}
	return true
}

// disturb lets something happen that nobody planned.
func (w *world) disturb() {
	if w.strike(w.flaky.mail) > 0 {
		w.surprise(w.stored[pick(w.dice, w.ids...)])
	}
	if len(w.bank.late) > 0 && oneIn(w.dice, 10) {
		w.bank.apply(w.bank.late[0])
		w.bank.late = w.bank.late[1:]
	}
	for _, id := range w.ids {
		s := w.stored[id]
		if s.state != broker.Owned {
			continue
		}
		switch {
		case w.strike(w.flaky.crash) > 0:
			w.crash(s)
		case w.strike(w.flaky.giveBack) > 0:
			w.giveBack(s)
		default:
			for _, c := range s.owner.calls {
				if w.strike(w.flaky.withdraw) > 0 {
					w.withdraw(c)
					break
				}
				if c.stopped && w.strike(w.flaky.abandon) > 0 {
					w.abandon(c)
					break
				}
			}
		}
	}
}

// surprise is mail that nobody asked for.
func (w *world) surprise(s *stored) {
	if oneIn(w.dice, 3) {
		w.post(s.ID, saga.EventCancel, "changed my mind", nil)
		return
	}
	data, _ := payloads{}.Marshal(w.answer)
	w.post(s.ID, saga.EventSignal, pick(w.dice, "paid", "sent", "nobody waits for this"), data)
}

// giveBack is what an engine does that shuts down and waits no longer.
func (w *world) giveBack(s *stored) {
	p := s.owner
	w.read(s)
	p.m.Advance(w.now)
	t, ok := p.m.Transition(w.now)
	if !ok || t.Next == broker.Keep {
		t = p.m.GiveBack(w.now)
	}
	w.commit(s, t)
}

// buried gives the dead letters.
func (w *world) buried() (dead []*stored) {
	for _, id := range w.ids {
		if w.stored[id].state == broker.Buried {
			dead = append(dead, w.stored[id])
		}
	}
	return dead
}

// awaited gives the names of the signals that a parked saga waits for.
func (w *world) awaited(s *stored) []string {
	m, err := saga.Load(&w.env, w.progs[s.Flow], &s.Record, w.now)
	if err != nil {
		w.fail("load %s: %v", s.ID, err)
	}
	defer m.Release()
	return m.Awaited()
}
