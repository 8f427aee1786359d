package world

import (
	"slices"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
)

// worker is a membership in the broker. It drives many sagas.
type worker struct {
	token  int
	fenced bool // it was declared dead
}

// Process drives one saga, in one worker.
type Process struct {
	M     *saga.Machine
	Calls []*Call // running attempts

	saved   *Stored
	worker  *worker
	Inbox   []broker.Event
	asleep  bool               // nothing to do until something comes
	pending *broker.Transition // whose answer did not come
	dead    bool
}

// Call is one attempt of a step or an undo.
type Call struct {
	Saved   *Stored
	What    saga.Attempt
	At      time.Time
	stopped bool // its context has ended
	orphan  bool // nobody waits for it
}

// String is "do path" or "undo path".
func (c *Call) String() string {
	op := "do "
	if c.What.Undo {
		op = "undo "
	}
	return op + c.What.Path
}

// Stopped says that the context of the attempt has ended.
func (c *Call) Stopped() bool { return c.stopped }

// Answer is what an attempt comes to.
type Answer struct {
	Err    error
	Effect bool // the participant did what it was asked for
}

// hire lets a new worker join.
func (w *World) hire() {
	w.tokens++
	w.workers = append(w.workers, &worker{token: w.tokens})
}

// dismiss takes a worker out, and lets another join. What it owned is taken over.
func (w *World) dismiss(k int) (gone *worker, owned []*Stored) {
	gone = w.workers[k]
	w.workers = slices.Delete(w.workers, k, k+1)
	w.hire()
	for _, s := range w.open {
		if s.State == broker.Owned && s.Owner.worker == gone {
			owned = append(owned, s)
		}
	}
	return gone, owned
}

// Adopt loads a saga into a process of its own.
func (w *World) Adopt(s *Stored) {
	rec := s.Record
	if w.strike(s.family, w.Flaky.GiveBack, HandedOver) > 0 {
		w.handOver(s, &rec)
		return
	}
	m, err := saga.Load(&w.Env, s.flow.Program, &rec, w.Now)
	if err != nil {
		w.fail("load %s: %v", s.ID, err)
	}
	w.logf("%s is loaded at revision %d, %d takeovers", s.ID, s.Rev, s.Takeovers)
	w.own(s, m)
}

// handOver is what an engine does that gets a saga and does not begin it.
func (w *World) handOver(s *Stored, rec *broker.Record) {
	before := saga.Takeovers(rec)
	t := broker.Transition{ID: s.ID, Rev: s.Rev, Next: broker.GiveBack}
	if e, ok := saga.HandOver(rec, w.Now); ok {
		t.Append = []broker.Entry{e}
	}
	w.Apply(s, t)
	if after := s.Record; saga.Takeovers(&after) != before {
		w.fail("%s: %d takeovers became %d when it was handed over", s.ID, before, saga.Takeovers(&after))
	}
}

func (w *World) own(s *Stored, m *saga.Machine) {
	s.State = broker.Owned
	s.Owner = &Process{M: m, saved: s, worker: w.workers[w.dice.N(len(w.workers))], Inbox: slices.Clone(s.Mail)}
	w.touch(s)
}

// Crash ends a process without a word. What its attempts did may show later.
func (w *World) Crash(s *Stored) {
	w.logf("%s: the process dies", s.ID)
	w.drop(s.Owner)
	s.Owner, s.State = nil, broker.Ready
	s.Takeovers++
	w.touch(s)
}

// drop forgets a process. Its attempts may still have an effect.
func (w *World) drop(p *Process) {
	for _, c := range p.Calls {
		w.orphan(c)
	}
	p.Calls, p.dead = nil, true
}

// orphan leaves an attempt whose process is gone, or has given it up: it may have its effect now, later, or never.
func (w *World) orphan(c *Call) {
	c.orphan = true
	switch c.Saved.family.dice.N(3) {
	case 1:
		w.Effect(c)
	case 2:
		if c.What.Undo {
			w.Effect(c)
		} else {
			w.late = append(w.late, c)
		}
	}
}

// fence declares a worker dead that lives on: it learns of it when it wants to commit something.
func (w *World) fence(k int) {
	gone, owned := w.dismiss(k)
	gone.fenced = true
	for _, s := range owned {
		w.logf("%s: its worker is declared dead, and does not know", s.ID)
		if s.Owner.pending == nil {
			w.strays = append(w.strays, s.Owner)
		}
		s.Owner, s.State = nil, broker.Ready
		s.Takeovers++
		w.touch(s)
	}
}

// stray lets a process go on whose saga is, or may be, not its own any more.
func (w *World) stray(k int) {
	p := w.strays[k]
	w.acting = p.saved.family.number
	w.strays = slices.Delete(w.strays, k, k+1)
	if p.dead {
		return
	}
	if p.pending == nil {
		w.goOnStale(p)
	}
	w.repeat(p)
}

// goOnStale lets a process that does not know that its worker counts as dead decide what it wants to commit.
func (w *World) goOnStale(p *Process) {
	told := w.Fails[p.saved.ID]
	p.M.Advance(w.Now)
	t, ok := p.M.Transition(w.Now)
	if !ok {
		t = p.M.GiveBack(w.Now)
	}
	p.pending = &t
	w.Fails[p.saved.ID] = told // nobody will hear of it
}

// repeat sends a transition again whose answer did not come.
func (w *World) repeat(p *Process) {
	t := *p.pending
	w.logf("%s: revision %d is asked for again", p.saved.ID, t.Rev+1)
	ack, err := w.submit(p, t)
	if lost(err) {
		w.logf("%s: refused, %v", p.saved.ID, err)
		w.drop(p)
		return
	}
	p.pending, p.asleep = nil, false
	w.touch(p.saved)
	w.committed(p, ack)
}
