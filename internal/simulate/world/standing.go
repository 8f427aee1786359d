package world

import (
	"slices"
	"strings"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
)

// Standing is what a journal says of one path, and what the participant has.
type Standing struct {
	done, failed, refused bool
	proceeded             bool
	own                   bool // its failure may be why the saga goes back: its undo comes first
	begun, final          bool // a child; it ended by hand
	undone, skipped       int
	stuck, relayed        bool   // its undo failed for good; it is tried again
	out                   []byte // recorded output

	decided bool   // of an If, Switch or Each
	rounds  []bool // of a Loop: it ends after this one
	woke    bool   // of a Delay or Wait
	took    string // of a Wait: the signal's event
	won     int    // of a Race
	raced   bool

	effect effect
	in     any // the oracle's: what enters
	hasIn  bool
}

// mayRun says that the step is still to be attempted.
func (s *Standing) mayRun() bool { return !s.done && !s.failed && !s.refused }

// mayUndo says that the undo is still to be attempted.
func (s *Standing) mayUndo() bool { return (s.done || s.failed) && s.undone == 0 && s.skipped == 0 }

// owes says that an effect is there, or may be, which has not been undone.
func (s *Standing) owes() bool {
	return (s.done || s.failed || s.begun) && !s.final && s.undone == 0 && s.skipped == 0
}

func (s *Stored) at(path string) *Standing {
	at := s.Paths[path]
	if at == nil {
		at = &Standing{}
		s.Paths[path] = at
	}
	return at
}

// heard notes the error of an attempt: only such a one can be a cause.
func (s *Stored) heard(err error) {
	if s.errs == nil {
		s.errs = map[string]bool{}
	}
	s.errs[err.Error()] = true
	if mark := plan.MarkOf(err); mark != nil && mark.Err != nil {
		s.errs[mark.Err.Error()] = true
	}
}

// learn reads an entry as soon as it is committed.
func (w *World) learn(s *Stored, e broker.Entry) {
	f, err := saga.DecodeFact(e, s.started)
	if err != nil {
		w.fail("%s: %v", s.ID, err)
	}
	s.Facts = append(s.Facts, f)
	w.tally.Facts[f.Kind]++
	if !w.silent {
		w.logf("%s: %v %s%s", s.ID, f.Kind, f.Path, detail(&f))
	}
	if s.ended > 0 {
		w.fail("%s: %v %s is recorded after the end", s.ID, f.Kind, f.Path)
	}
	at := s.at(f.Path)
	w.checkPivot(s, f)
	switch f.Kind {
	case saga.Done:
		w.once(s, f, at.mayRun())
		at.done, at.out = true, f.Out
		w.tally.Steps++
	case saga.Failed:
		w.once(s, f, at.mayRun())
		at.failed, at.own = true, !f.Flag
		w.tally.Steps++
	case saga.Refused:
		w.once(s, f, at.mayRun() && !at.effect.there)
		at.refused = true
		w.tally.Steps++
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
		at.stuck, at.relayed = true, false
	case saga.Begun:
		at.begun = true
	case saga.Reply:
		w.learnReply(s, at, f)
	case saga.Settled:
		s.settled = true
	case saga.Relayed:
		for _, at := range s.Paths {
			at.relayed = at.stuck
		}
	default:
		w.learnDecision(s, at, f)
	}
}

func (w *World) learnDecision(s *Stored, at *Standing, f saga.Fact) {
	switch f.Kind {
	case saga.Chose, saga.Items:
		w.once(s, f, !at.decided)
		at.decided = true
	case saga.Round:
		at.rounds = append(at.rounds, f.Flag)
	case saga.Woke:
		w.once(s, f, !at.woke && at.took == "")
		at.woke = true
	case saga.Took:
		w.once(s, f, !at.woke && at.took == "")
		at.took = f.ID
	case saga.Won:
		w.once(s, f, !at.raced)
		at.raced, at.won = true, f.Index
	case saga.Signal:
		if s.signals == nil {
			s.signals = map[string][]byte{}
		}
		_, twice := s.signals[f.ID]
		w.once(s, f, !twice)
		s.signals[f.ID] = f.Out
	}
}

// detail says what else an entry tells.
func detail(f *saga.Fact) (d string) {
	if f.Flag {
		d += " flag"
	}
	if f.Suspect {
		d += " suspect"
	}
	if f.Err != nil {
		d += " err=" + string(f.Err)
	}
	if f.Text != "" {
		d += " " + f.Text
	}
	return d
}

// checkPivot looks that a saga which has passed its pivot only goes forward.
func (w *World) checkPivot(s *Stored, f saga.Fact) {
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

func (w *World) learnReply(s *Stored, at *Standing, f saga.Fact) {
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

func (w *World) once(s *Stored, f saga.Fact, ok bool) {
	if !ok {
		w.fail("%s: %v %s is recorded, which it cannot be after what was recorded before", s.ID, f.Kind, f.Path)
	}
}

// checkStart looks whether an attempt may be made now.
func (w *World) checkStart(c *Call) {
	s := c.Saved
	if s.Owner.M.Recorded() {
		w.fail("%s: %v begins before what was recorded is committed", s.ID, c)
	}
	for _, other := range s.Owner.Calls {
		if other.What.Path == c.What.Path {
			w.fail("%s: %v begins while %v runs", s.ID, c, other)
		}
	}
	w.checkAttempt(c)
}

// checkAttempt looks whether an attempt may be made after what was recorded.
func (w *World) checkAttempt(c *Call) {
	s := c.Saved
	at := s.at(c.What.Path)
	switch {
	case s.ended > 0:
		w.fail("%s: %v begins after the end", s.ID, c)
	case !c.What.Undo && !at.mayRun():
		w.fail("%s: %v begins after its outcome was recorded", s.ID, c)
	case c.What.Undo && !at.mayUndo():
		w.fail("%s: %v begins, and there is nothing to undo", s.ID, c)
	case c.What.Undo && c.What.Effect.Cause == nil:
		w.fail("%s: %v begins without a cause", s.ID, c)
	}
	if c.What.Undo {
		w.checkEffect(c, at)
	}
	if c.What.Undo && !at.own {
		w.checkOrder(c)
	}
}

// checkEffect looks whether an undo gets what its step returned.
func (w *World) checkEffect(c *Call, at *Standing) {
	e, t := c.What.Effect, w.place(c.Saved, c.What.Path).node.Out
	out := t.Zero()
	switch {
	case !at.done:
	case at.out == nil:
		out = e.In
	default:
		out = w.decode(c.Saved, t, at.out)
	}
	if e.Known != at.done || !equal(e.Out, out) {
		w.fail("%s: %v gets %v (known: %v), should be %v (%v)", c.Saved.ID, c, e.Out, e.Known, out, at.done)
	}
}

// checkOrder looks whether everything that was done after a step is undone before it. An undo that failed for good is not waited for, but by
// those that failed and were relayed with it.
func (w *World) checkOrder(c *Call) {
	s := c.Saved
	here, inOrder := w.place(s, c.What.Path), s.settings().UndoInOrder
	relayed := s.at(c.What.Path).relayed
	for path, at := range s.Paths {
		if path == "" || !at.owes() || at.stuck && !(relayed && at.relayed) {
			continue
		}
		if there := w.place(s, path); there.undoes() && there.follows(here, inOrder) {
			w.fail("%s: %v begins before the undo of %s", s.ID, c, path)
		}
	}
}

func (s *Stored) settings() plan.Settings {
	if st := s.flow.Def.Root.Settings; st != nil {
		return *st
	}
	return plan.Settings{}
}

// checkPure looks that no pure function was called since there were so many calls, if the saga went back then.
func (w *World) checkPure(s *Stored, back bool, before int) {
	if back && w.pures != before {
		w.fail("%s: compensation called %d pure functions", s.ID, w.pures-before)
	}
}

// thrift is how many commits a thrifty world lets pass until it looks at one: a prime, so that all kinds of commits have their turn.
const thrift = 11

// checkLoaded looks whether a machine that is loaded now is in the state of the one that recorded.
func (w *World) checkLoaded(s *Stored, m *saga.Machine) {
	if w.thrifty && w.tally.Commits%thrift != 0 {
		return
	}
	rec := s.Record
	rec.Takeovers = 0
	pures := w.pures
	twin, err := saga.Load(&w.Env, s.flow.Program, &rec, w.Now)
	if err != nil {
		w.fail("%s: load at revision %d: %v", s.ID, s.Rev, err)
	}
	defer twin.Release()
	if w.pures != pures {
		w.fail("%s: loading called pure functions", s.ID)
	}
	if live, loaded := m.Dump(w.Now), twin.Dump(w.Now); live != loaded {
		w.fail("%s: at revision %d the machine that ran and the one that was loaded differ:\n%s", s.ID, s.Rev, difference(live, loaded))
	}
	if live, loaded := m.Alarms(w.Now), twin.Alarms(w.Now); !slices.Equal(live, loaded) {
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
func (w *World) checkTransition(s *Stored, t broker.Transition) {
	if t.Next == broker.Park && s.Owner != nil && len(s.Owner.Calls) > 0 {
		w.fail("%s parks while attempts run", s.ID)
	}
}
