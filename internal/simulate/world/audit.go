package world

import (
	"fmt"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
)

// Audit lets the oracle look at sagas that something else has run: at what was committed, at what was attempted, and at the effects.
// It has to be told in the order in which things happened to each saga. The values are numbers, encoded as JSON.
type Audit struct{ w *World }

// NewAudit makes an audit of sagas of these flows, and of their children.
func NewAudit(flows ...*plan.Def) *Audit {
	w := New(Loaded{}, func(format string, args ...any) { panic(&Violation{What: fmt.Sprintf(format, args...)}) }, flows...)
	w.silent, w.audits = true, true
	return &Audit{w}
}

// Begin takes a saga that was started.
func (a *Audit) Begin(start broker.Start) { a.w.born(&family{dice: Loaded{}}, start) }

// Commit takes a transition that was applied.
func (a *Audit) Commit(t broker.Transition) {
	s := a.w.stored[t.ID]
	if s.State == broker.Finished {
		a.w.fail("%s: a commit after the end", s.ID)
	}
	a.w.tally.Commits++
	for _, e := range t.Append {
		s.Journal = append(s.Journal, e)
		a.w.learn(s, e)
	}
	switch t.Next {
	case broker.Finish:
		s.State, s.Outcome = broker.Finished, t.Outcome
		s.ended++
	case broker.Bury:
		s.Relays++
	}
}

// Attempt takes an attempt that began. Late ones, of workers that do not own the saga any more, only have to get what the others get.
func (a *Audit) Attempt(id, path string, undo, late bool, seen Seen) {
	s := a.w.stored[id]
	c := &Call{Saved: s, What: saga.Attempt{Path: path, Undo: undo, In: seen.In, Spec: a.w.place(s, path).node.Step}}
	if undo {
		c.What.Effect = &plan.Effect{In: seen.In, Out: seen.Out, Known: seen.Known, Cause: seen.Cause}
	}
	if !late {
		a.w.checkAttempt(c)
	}
	a.w.tally.Attempts++
	s.calls = append(s.calls, c)
}

// Strike takes a fault that a saga met.
func (a *Audit) Strike(id string, what Fault) {
	f := a.w.stored[id].family
	f.struck = append(f.struck, FaultID{})
	a.w.tally.Faults[what]++
}

// Forgot says that the broker took the saga from a worker that was not dead, as one does that has forgotten a write: then effects may be
// there of which no journal tells.
func (a *Audit) Forgot(id string) { a.w.stored[id].forgot = true }

// Effect takes whether a participant has an effect in the end.
func (a *Audit) Effect(id, path string, there bool) { a.w.stored[id].at(path).effect.there = there }

// Check looks at everything, and gives what is wrong, or how much was looked at. The error is a *Violation.
func (a *Audit) Check(tell func(*Audit)) (t *Tally, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *Violation:
			err = p
		default:
			panic(p)
		}
	}()
	tell(a)
	a.w.CheckEnd()
	a.w.count()
	return &a.w.tally, nil
}
