package world

import (
	"slices"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
)

// Drive does what an engine does with an owned saga until it has to wait.
func (w *World) Drive(s *Stored) {
	p := s.Owner
	for pass := 0; ; pass++ {
		if pass > 10_000 {
			w.fail("%s: the driver does not come to rest", s.ID)
		}
		w.Read(s)
		p.M.Advance(w.Now)
		if t, ok := p.M.Transition(w.Now); ok {
			if !w.commit(p, t) {
				return
			}
			continue
		}
		w.cutOff(p)
		if !w.launch(s) && !p.M.Recorded() {
			p.asleep = true
			return
		}
	}
}

// Read gives the inbox to the machine, sometimes twice.
func (w *World) Read(s *Stored) {
	p := s.Owner
	inbox := p.Inbox
	p.Inbox = nil
	for _, ev := range inbox {
		for range 1 + w.strike(s.family, w.Flaky.Twice, MailTwice) {
			if err := p.M.Mail(ev, w.Now); err != nil {
				w.fail("%s: mail %v: %v", s.ID, ev, err)
			}
		}
		s.told = append(s.told, ev)
	}
	if len(s.told) > 0 && w.strike(s.family, w.Flaky.Twice, MailTwice) > 0 {
		if err := p.M.Mail(Pick(s.family.dice, s.told...), w.Now); err != nil {
			w.fail("%s: mail again: %v", s.ID, err)
		}
	}
}

func (w *World) cutOff(p *Process) {
	for _, a := range p.M.Stopped() {
		for _, c := range p.Calls {
			if c.What.Is(&a) {
				c.stopped = true
			}
		}
	}
}

// launch begins what is to be attempted.
func (w *World) launch(s *Stored) (some bool) {
	p := s.Owner
	for {
		a, ok := w.next(s)
		if !ok {
			return some
		}
		c := &Call{Saved: s, What: a, At: w.Now}
		w.logf("%s: begins %v #%d", s.ID, c, a.Number)
		w.checkStart(c)
		s.family.steps++
		w.tally.Attempts++
		w.Calls = append(w.Calls, c)
		s.calls = append(s.calls, c)
		p.Calls = append(p.Calls, c)
		some = true
	}
}

// next asks the machine for an attempt, and looks that no pure function is called if it goes back.
func (w *World) next(s *Stored) (saga.Attempt, bool) {
	m := s.Owner.M
	back, before := m.Compensating(), w.pures
	a, ok := m.Next(w.Now)
	w.checkPure(s, back, before)
	return a, ok
}

// Finish lets a running attempt answer.
func (w *World) Finish(c *Call) {
	s, p := c.Saved, c.Saved.Owner
	w.ends(c)
	a := w.Answers(c)
	w.logf("%s: %v answers %v%s", s.ID, c, a.Err, map[bool]string{true: ", with effect"}[a.Effect])
	if a.Effect {
		w.Effect(c)
	}
	var out any
	if !c.What.Undo && a.Err == nil {
		out, a.Err = c.What.Spec.Do(nil, c.What.In)
	}
	if a.Err != nil {
		s.heard(a.Err)
	}
	back, before := p.M.Compensating(), w.pures
	p.M.Report(c.What, out, a.Err, w.Now)
	w.checkPure(s, back, before)
}

// ends takes an attempt out of those that run.
func (w *World) ends(c *Call) {
	p := c.Saved.Owner
	p.Calls = slices.DeleteFunc(p.Calls, func(other *Call) bool { return other == c })
	p.asleep = false
	w.touch(c.Saved)
}

// Withdraw takes an attempt back that waited for a goroutine.
func (w *World) Withdraw(c *Call) {
	w.logf("%s: %v is withdrawn", c.Saved.ID, c)
	w.ends(c)
	c.Saved.Owner.M.Withdraw(c.What, w.Now)
}

// Abandon reports an attempt that does not return.
func (w *World) Abandon(c *Call) {
	w.logf("%s: %v is abandoned", c.Saved.ID, c)
	w.ends(c)
	w.orphan(c)
	c.Saved.Owner.M.Report(c.What, nil, saga.ErrInterrupted, w.Now)
}

// GiveBack is what an engine does that shuts down and waits no longer.
func (w *World) GiveBack(s *Stored) {
	p := s.Owner
	w.Read(s)
	p.M.Advance(w.Now)
	t, ok := p.M.Transition(w.Now)
	if !ok || t.Next == broker.Keep {
		t = p.M.GiveBack(w.Now)
	}
	w.commit(p, t)
}

// commit stores t, if nothing goes wrong. It says false if the process does not go on with the saga now.
func (w *World) commit(p *Process, t broker.Transition) bool {
	s := p.saved
	f := s.family
	switch {
	case w.strike(f, w.Flaky.Crash, DiesBefore) > 0:
		w.Crash(s)
		return false
	case w.strike(f, w.Flaky.Commit, CommitFails) > 0:
		w.unanswered(p, t)
		return false
	}
	ack, err := w.submit(p, t)
	if err != nil {
		w.fail("%s: its owner's transition is refused: %v", s.ID, err)
	}
	if w.Watch != nil {
		w.Watch(s)
	}
	switch {
	case w.strike(f, w.Flaky.Crash, DiesAfter) > 0:
		if ack.Owned {
			w.Crash(s)
		} else {
			w.drop(p)
		}
		return false
	case w.strike(f, w.Flaky.Commit, ReplyLost) > 0:
		w.unanswered(p, t)
		return false
	}
	w.committed(p, ack)
	return ack.Owned
}

// unanswered leaves a process that will send t again.
func (w *World) unanswered(p *Process, t broker.Transition) {
	p.pending, p.asleep = &t, true
	w.strays = append(w.strays, p)
}

// committed takes the broker's answer.
func (w *World) committed(p *Process, ack broker.Ack) {
	s := p.saved
	p.M.Committed(ack.Rev)
	if p.M.Broken() == nil && s.Rev == ack.Rev {
		w.checkLoaded(s, p.M)
	}
	p.Inbox = append(p.Inbox, ack.Mail...)
	if !ack.Owned {
		w.drop(p)
		p.M.Release()
	}
}
