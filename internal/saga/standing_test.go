package saga_test

import (
	"reflect"
	"slices"
	"strings"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
)

// standing is what a journal says of one step.
type standing struct {
	done, failed, refused bool
	proceeded             bool
	own                   bool // its failure may be why the saga goes back: its undo comes first
	begun, final          bool // a child; it ended by hand
	undone, skipped       int
	stuck                 bool
	out                   []byte // recorded output
}

// mayRun says that the step is still to be attempted.
func (s *standing) mayRun() bool { return !s.done && !s.failed && !s.refused }

// mayUndo says that the undo is still to be attempted.
func (s *standing) mayUndo() bool { return (s.done || s.failed) && s.undone == 0 && s.skipped == 0 }

// owes says that an effect is there, or may be, which has not been undone.
func (s *standing) owes() bool {
	return (s.done || s.failed || s.begun) && !s.final && s.undone == 0 && s.skipped == 0
}

func (s *stored) at(path string) *standing {
	if s.paths[path] == nil {
		s.paths[path] = &standing{}
	}
	return s.paths[path]
}

// learn reads an entry as soon as it is committed.
func (w *world) learn(s *stored, e broker.Entry) {
	h, err := saga.DecodeHeader(s.Record.Record)
	if err != nil {
		w.fail("%s: header: %v", s.ID, err)
	}
	f, err := saga.DecodeFact(e, h.Started)
	if err != nil {
		w.fail("%s: %v", s.ID, err)
	}
	s.facts = append(s.facts, f)
	w.logf("%s: %v %s%s", s.ID, f.Kind, f.Path, detail(&f))
	at := s.at(f.Path)
	w.checkPivot(s, f)
	switch f.Kind {
	case saga.Done:
		w.once(s, f, at.mayRun())
		at.done, at.out = true, f.Out
	case saga.Failed:
		w.once(s, f, at.mayRun())
		at.failed, at.own = true, !f.Flag
	case saga.Refused:
		w.once(s, f, at.mayRun())
		at.refused = true
	case saga.Proceeded:
		w.once(s, f, at.failed && at.mayUndo())
		at.done, at.failed, at.out, at.proceeded = true, false, f.Out, true
	case saga.Undone:
		w.once(s, f, at.mayUndo())
		at.undone++
		at.stuck = false
	case saga.Skipped:
		w.once(s, f, at.mayUndo())
		at.skipped++
		at.stuck = false
	case saga.Stuck:
		at.stuck = true
	case saga.Begun:
		at.begun = true
	case saga.Reply:
		w.learnReply(s, at, f)
	}
}

// checkPivot looks that a saga which has passed its pivot only goes forward.
func (w *world) checkPivot(s *stored, f saga.Fact) {
	switch f.Kind {
	case saga.Cancelled, saga.Expired, saga.Asked, saga.Failed, saga.Refused, saga.Undone, saga.Proceeded:
		if s.pivoted {
			w.fail("%s: %v %s after the pivot", s.ID, f.Kind, f.Path)
		}
	case saga.Done:
		s.pivoted = s.pivoted || w.place(s, f.Path).node.Step.Pivot
	case saga.Reply:
		if o, err := saga.DecodeOutcome(f.Out); err == nil && o.End == saga.Succeeded && turns(w.place(s, f.Path).node.Child.Root) {
			s.pivoted = true
		}
	}
}

// turns says that there is a pivot in a flow.
func turns(n *plan.Node) bool {
	for _, n := range everyNode(n) {
		if n.Kind == plan.Step && n.Step.Pivot || n.Kind == plan.Child && turns(n.Child.Root) {
			return true
		}
	}
	return false
}

func (w *world) learnReply(s *stored, at *standing, f saga.Fact) {
	o, err := saga.DecodeOutcome(f.Out)
	if err != nil {
		w.fail("%s: %v", s.ID, err)
	}
	if o.End == saga.Succeeded {
		if at.final = o.Hand; !at.done {
			at.done, at.out = true, o.Value
		}
		return
	}
	at.undone++
}

func (w *world) once(s *stored, f saga.Fact, ok bool) {
	if !ok {
		w.fail("%s: %v %s is recorded, which it cannot be after what was recorded before", s.ID, f.Kind, f.Path)
	}
}

// checkStart looks whether an attempt may be made.
func (w *world) checkStart(c *call) {
	s := c.saved
	at := s.at(c.what.Path)
	switch {
	case s.owner.m.Recorded():
		w.fail("%s: %v begins before what was recorded is committed", s.ID, c)
	case !c.what.Undo && !at.mayRun():
		w.fail("%s: %v begins after its outcome was recorded", s.ID, c)
	case c.what.Undo && !at.mayUndo():
		w.fail("%s: %v begins, and there is nothing to undo", s.ID, c)
	case c.what.Undo && c.what.Effect.Cause == nil:
		w.fail("%s: %v begins without a cause", s.ID, c)
	}
	for _, other := range s.owner.calls {
		if other.what.Path == c.what.Path {
			w.fail("%s: %v begins while %v runs", s.ID, c, other)
		}
	}
	if c.what.Undo {
		w.checkEffect(c, at)
	}
	if c.what.Undo && !at.own {
		w.checkOrder(c)
	}
}

// checkEffect looks whether an undo gets what its step returned.
func (w *world) checkEffect(c *call, at *standing) {
	e, t := c.what.Effect, w.place(c.saved, c.what.Path).node.Out
	out := t.Zero()
	switch {
	case !at.done:
	case at.out == nil:
		out = e.In
	default:
		var err error
		if out, err = (payloads{}).Decode(t, at.out); err != nil {
			w.fail("%s: %v", c.saved.ID, err)
		}
	}
	if e.Known != at.done || !reflect.DeepEqual(e.Out, out) {
		w.fail("%s: %v gets %v (known: %v), should be %v (%v)", c.saved.ID, c, e.Out, e.Known, out, at.done)
	}
}

// checkOrder looks whether everything that was done after a step is undone before it.
func (w *world) checkOrder(c *call) {
	s := c.saved
	here, inOrder := w.place(s, c.what.Path), w.settings(s).UndoInOrder
	for path, at := range s.paths {
		if !at.owes() || at.stuck {
			continue
		}
		if there := w.place(s, path); there.undoes() && there.follows(here, inOrder) {
			w.fail("%s: %v begins before the undo of %s", s.ID, c, path)
		}
	}
}

func (w *world) settings(s *stored) plan.Settings {
	if st := w.progs[s.Flow].Def.Root.Settings; st != nil {
		return *st
	}
	return plan.Settings{}
}

// pureless does something with a machine, and looks that no pure function is called if it goes back.
func (w *world) pureless(s *stored, do func(m *saga.Machine)) {
	m := s.owner.m
	back, before := m.Compensating(), w.pures
	do(m)
	if back && w.pures != before {
		w.fail("%s: compensation called %d pure functions", s.ID, w.pures-before)
	}
}

// checkLoaded looks whether a machine that is loaded now is in the state of the one that recorded.
func (w *world) checkLoaded(s *stored, m *saga.Machine) {
	rec := s.Record
	rec.Takeovers = 0
	pures := w.pures
	twin, err := saga.Load(&w.env, w.progs[s.Flow], &rec, w.now)
	if err != nil {
		w.fail("%s: load at revision %d: %v", s.ID, s.Rev, err)
	}
	defer twin.Release()
	if w.pures != pures {
		w.fail("%s: loading called pure functions", s.ID)
	}
	if live, loaded := m.Dump(w.now), twin.Dump(w.now); live != loaded {
		w.fail("%s: at revision %d the machine that ran and the one that was loaded differ:\n%s", s.ID, s.Rev, difference(live, loaded))
	}
	if live, loaded := m.Alarms(w.now), twin.Alarms(w.now); !slices.Equal(live, loaded) {
		w.fail("%s: at revision %d the timers are %v, and loaded %v", s.ID, s.Rev, live, loaded)
	}
}

// difference gives the lines that differ.
func difference(live, loaded string) string {
	a, b := strings.Split(live, "\n"), strings.Split(loaded, "\n")
	var out []string
	for k := range max(len(a), len(b)) {
		var x, y string
		if k < len(a) {
			x = a[k]
		}
		if k < len(b) {
			y = b[k]
		}
		if x != y {
			out = append(out, "  ran:    "+x, "  loaded: "+y)
		}
	}
	return strings.Join(out, "\n")
}

// checkTransition looks whether the way that a saga takes fits what it is in.
func (w *world) checkTransition(s *stored, t broker.Transition) {
	if t.Next == broker.Park && len(s.owner.calls) > 0 {
		w.fail("%s parks while attempts run", s.ID)
	}
}
