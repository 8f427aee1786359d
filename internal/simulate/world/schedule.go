package world

import (
	"slices"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
)

// maxSteps is how much may happen for each saga before the run counts as one that does not end.
const maxSteps = 5_000

// RunOut lets everything happen, in random order, until no saga can go on by itself.
func (w *World) RunOut() {
	for n := 0; w.Step(); n++ {
		if n > maxSteps*(1+len(w.sagas)) {
			w.fail("the sagas do not end")
		}
	}
}

// touch notes that something may happen with s.
func (w *World) touch(s *Stored) {
	if !s.busy {
		s.busy = true
		w.busy = append(w.busy, s)
	}
}

// rest takes the k-th busy saga out.
func (w *World) rest(k int) {
	w.busy[k].busy = false
	last := len(w.busy) - 1
	w.busy[k] = w.busy[last]
	w.busy = w.busy[:last]
}

// Step does one thing. It says false if nothing can happen any more without a person or a signal.
func (w *World) Step() bool {
	w.disturb()
	for {
		n := len(w.busy) + len(w.strays) + len(w.posts)
		if n == 0 || w.Flaky.Time > 0 && OneIn(w.dice, w.Flaky.Time*8) {
			return w.forward() || n > 0
		}
		k := w.dice.N(n)
		switch {
		case k >= len(w.busy)+len(w.strays):
			w.arrive(k - len(w.busy) - len(w.strays))
			return true
		case k >= len(w.busy):
			w.stray(k - len(w.busy))
			return true
		case w.act(w.busy[k]):
			return true
		}
		w.rest(k)
	}
}

// act does one thing with s. It says false if there is nothing to do before something comes or time goes by.
func (w *World) act(s *Stored) bool {
	p := s.Owner
	w.acting = s.family.number
	switch {
	case s.State == broker.Ready:
		w.Adopt(s)
	case s.State != broker.Owned || p.pending != nil:
		return false
	case w.mishap(s):
	case !p.asleep || w.rings(s):
		w.Drive(s)
	case len(p.Calls) > 0:
		w.Finish(p.Calls[s.family.dice.N(len(p.Calls))])
	default:
		return false
	}
	return true
}

// arrive lets mail come that was on its way, sometimes twice.
func (w *World) arrive(k int) {
	it := w.posts[k]
	s := w.stored[it.to]
	if w.strike(s.family, w.Flaky.Twice, MailTwice) == 0 {
		w.posts = slices.Delete(w.posts, k, k+1)
	}
	w.Deliver(it.to, it.event)
}

func (w *World) rings(s *Stored) bool {
	at := s.Owner.M.Wake()
	return !at.IsZero() && !at.After(w.Now)
}

// forward moves the clock to the next moment at which something is due.
func (w *World) forward() bool {
	var next time.Time
	for _, s := range w.open {
		if at := w.due(s); !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if next.IsZero() {
		return false
	}
	if next.After(w.Now) {
		w.Now = next
	}
	for _, s := range w.open {
		if at := w.due(s); !at.IsZero() && !at.After(w.Now) {
			if s.State == broker.Parked {
				s.State = broker.Ready
			}
			w.touch(s)
		}
	}
	return true
}

// due is when something happens to s by itself, or zero.
func (w *World) due(s *Stored) time.Time {
	switch {
	case s.State == broker.Parked:
		return s.Until
	case s.State == broker.Owned && s.Owner.pending == nil:
		return s.Owner.M.Wake()
	}
	return time.Time{}
}

// disturb lets something happen that nobody planned.
func (w *World) disturb() {
	if len(w.late) > 0 && OneIn(w.dice, 10) {
		w.Effect(w.late[0])
		w.late = w.late[1:]
	}
	if w.Flaky.Worker > 0 && len(w.open) > 0 && OneIn(w.dice, max(30, w.Flaky.Worker*len(w.open))) {
		w.strikeWorker()
	}
}

// strikeWorker lets a worker die, or be declared dead, with all that it owns.
func (w *World) strikeWorker() {
	k, fenced := w.dice.N(len(w.workers)), w.dice.N(2) == 1
	what := WorkerDies
	if fenced {
		what = WorkerFenced
	}
	hit := 0
	for _, s := range w.open {
		if s.State == broker.Owned && s.Owner.worker == w.workers[k] && s.family.left > 0 && w.spend(s.family, what) {
			hit++
		}
	}
	switch {
	case hit == 0:
	case fenced:
		w.fence(k)
	default:
		_, owned := w.dismiss(k)
		for _, s := range owned {
			w.Crash(s)
		}
	}
}

// mishap lets something go wrong with an owned saga. It says false if nothing does.
func (w *World) mishap(s *Stored) bool {
	f, p := s.family, s.Owner
	switch {
	case f.left <= 0:
		return false
	case w.strike(f, w.Flaky.Mail, MailStrange) > 0:
		w.surprise(s)
	case w.strike(f, w.Flaky.Crash, Dies) > 0:
		w.Crash(s)
	case w.strike(f, w.Flaky.GiveBack, GivenBack) > 0:
		w.GiveBack(s)
	default:
		return w.mishapOfCall(f, p)
	}
	return true
}

func (w *World) mishapOfCall(f *family, p *Process) bool {
	for _, c := range p.Calls {
		if w.strike(f, w.Flaky.Withdraw, Withdrawn) > 0 {
			w.Withdraw(c)
			return true
		}
		if c.stopped && w.strike(f, w.Flaky.Abandon, Abandoned) > 0 {
			w.Abandon(c)
			return true
		}
	}
	return false
}

// surprise is mail that nobody asked for. It takes its time.
func (w *World) surprise(s *Stored) {
	if OneIn(s.family.dice, 3) {
		w.posts = append(w.posts, post{s.ID, w.event(saga.EventCancel, "changed my mind", nil)})
		return
	}
	data, _ := Payloads{}.Marshal(s.signal())
	name := Pick(s.family.dice, "paid", "sent", "nobody waits for this")
	w.posts = append(w.posts, post{s.ID, w.event(saga.EventSignal, name, data)})
}
