package world

import (
	"slices"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
)

// CheckEnd looks at everything when all sagas have ended.
func (w *World) CheckEnd() {
	w.settle()
	for _, s := range w.sagas {
		w.acting = s.family.number
		o := &oracle{w, s}
		out, all := o.run()
		end, err := saga.DecodeOutcome(s.Outcome)
		if err != nil {
			w.fail("%s: outcome: %v", s.ID, err)
		}
		if s.ended != 1 || s.State != broker.Finished {
			w.fail("%s ended %d times, and is %v", s.ID, s.ended, s.State)
		}
		w.checkOutcome(s, end, out, all)
		w.checkEffects(s, end)
		w.checkSignals(s)
		for _, c := range s.calls {
			w.checkInput(c)
		}
	}
}

// checkInput looks whether an attempt got what the oracle says that enters there.
func (w *World) checkInput(c *Call) {
	s, in, at := c.Saved, c.What.In, c.Saved.at(c.What.Path)
	if c.What.Undo {
		in = c.What.Effect.In
	}
	if !at.hasIn || !equal(in, at.in) {
		w.fail("%s: the input of %v is %v, should be %v", s.ID, c, in, at.in)
	}
}

func (w *World) checkOutcome(s *Stored, end saga.Outcome, out any, all bool) {
	switch {
	case end.Hand != s.settled:
		w.fail("%s: a person ended it: %v, and its outcome says %v", s.ID, s.settled, end.Hand)
	case end.Hand:
	case end.End == saga.Succeeded && !all:
		w.fail("%s: succeeded, and not everything is done", s.ID)
	case end.End == saga.Succeeded:
		value, err := Payloads{}.Decode(s.flow.Def.Root.Out, end.Value)
		if err != nil || !equal(value, out) {
			w.fail("%s: ended with %v (%v), should be %v", s.ID, value, err, out)
		}
	case end.End != saga.Compensated:
		w.fail("%s: ended as %d", s.ID, end.End)
	case s.pivoted:
		w.fail("%s: compensated after its pivot", s.ID)
	case len(end.Err) == 0:
		w.fail("%s: compensated without an error", s.ID)
	case !w.audits:
		w.checkFailure(s)
	}
}

// checkFailure compares what a machine says of a saga that was undone with what its journal says.
func (w *World) checkFailure(s *Stored) {
	f := w.Fails[s.ID]
	var undone []saga.UndoResult
	cause := ""
	for _, fact := range s.Facts {
		switch fact.Kind {
		case saga.Undone, saga.Skipped:
			undone = append(undone, saga.UndoResult{Path: fact.Path, ByHand: fact.Kind == saga.Skipped})
		case saga.Refused, saga.Failed, saga.Cancelled, saga.Expired, saga.Asked, saga.Reply:
			if text, fails := blames(s, fact); fails && cause == "" {
				cause = text
			}
		}
	}
	told := slices.DeleteFunc(slices.Clone(f.Undone), func(u saga.UndoResult) bool { return w.place(s, u.Path).node.Kind == plan.Child })
	if !slices.Equal(told, undone) {
		w.fail("%s: the undos were %v, and the outcome says %v", s.ID, undone, told)
	}
	if !s.flow.races && f.Cause.Error() != cause {
		w.fail("%s: the first failure was %q, and the outcome says %q", s.ID, cause, f.Cause)
	}
}

// blames says whether a fact is a failure of its own, and its text.
func blames(s *Stored, f saga.Fact) (text string, fails bool) {
	if f.Kind == saga.Reply {
		o, _ := saga.DecodeOutcome(f.Out)
		return string(o.Err), o.End == saga.Compensated
	}
	forgiven := f.Path != "" && s.Paths[f.Path].proceeded
	return string(f.Err), !(f.Kind == saga.Failed && (f.Flag || forgiven)) && !(f.Kind == saga.Refused && f.Flag)
}

// checkEffects compares what a journal says with what the participants have.
func (w *World) checkEffects(s *Stored, end saga.Outcome) {
	for path, at := range s.Paths {
		if path == "" {
			continue
		}
		p := w.place(s, path)
		if p.node.Kind != plan.Step || p.node.Step.ReadOnly {
			continue
		}
		there := at.effect.there
		switch {
		case s.forgot:
		case there && !at.done && !at.failed && !s.settled:
			w.fail("%s: the effect of %s was forgotten", s.ID, path)
		case (at.undone > 0 || at.refused) && there:
			w.fail("%s: the effect of %s is there", s.ID, path)
		case at.done && at.undone+at.skipped == 0 && !there && !at.stuck:
			w.fail("%s: the effect of %s is not there", s.ID, path)
		}
		if !s.settled && end.End == saga.Compensated {
			w.checkUndone(s, path, p, at, end)
		}
	}
}

// checkUndone looks at a step of a saga that went back: it was undone once, or its effect is named.
func (w *World) checkUndone(s *Stored, path string, p place, at *Standing, end saga.Outcome) {
	if p.undoes() && (at.done || at.failed) && at.undone+at.skipped != 1 {
		w.fail("%s: %s was undone %d times", s.ID, path, at.undone+at.skipped)
	}
	stays := at.skipped > 0 || (at.done || at.failed) && !p.undoes()
	if named := slices.Contains(end.Kept, path); named != stays {
		w.fail("%s: %s stays: %v, and the outcome says %v", s.ID, path, stays, named)
	}
}

// checkSignals looks that signals of one name were taken in the order in which they came.
func (w *World) checkSignals(s *Stored) {
	names, waiting := map[string]string{}, map[string][]string{}
	for _, f := range s.Facts {
		switch f.Kind {
		case saga.Signal:
			names[f.ID] = f.Text
			waiting[f.Text] = append(waiting[f.Text], f.ID)
		case saga.Took:
			queue := waiting[names[f.ID]]
			if len(queue) == 0 || queue[0] != f.ID {
				w.fail("%s: signal %s was taken, and %v wait", s.ID, f.ID, queue)
			}
			waiting[names[f.ID]] = queue[1:]
		}
	}
}
