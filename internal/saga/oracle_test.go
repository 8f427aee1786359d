package saga_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
)

// oracle evaluates a flow by walking its definition, with nothing of the state machine: only decisions that depend on time, mail and
// luck, and outputs, are read from the journal.
type oracle struct {
	w       *world
	s       *stored
	in      map[string]any // by path: what entered steps and children
	took    map[string]string
	woke    map[string]bool
	won     map[string]int
	decided map[string]bool
	rounds  map[string][]bool
	signals map[string][]byte
}

func (w *world) oracle(s *stored) *oracle {
	o := &oracle{
		w: w, s: s, in: map[string]any{}, took: map[string]string{}, woke: map[string]bool{}, won: map[string]int{},
		decided: map[string]bool{}, rounds: map[string][]bool{}, signals: map[string][]byte{},
	}
	for _, f := range s.facts {
		switch f.Kind {
		case saga.Took:
			o.took[f.Path] = f.ID
		case saga.Signal:
			o.signals[f.ID] = f.Out
		case saga.Woke:
			o.woke[f.Path] = true
		case saga.Won:
			o.won[f.Path] = f.Index
		case saga.Chose, saga.Items:
			o.decided[f.Path] = true
		case saga.Round:
			o.rounds[f.Path] = append(o.rounds[f.Path], f.Flag)
		}
	}
	return o
}

// run evaluates the whole flow as far as the saga came. It says false if it did not come to the end.
func (o *oracle) run() (any, bool) {
	h, err := saga.DecodeHeader(o.s.Record.Record)
	if err != nil {
		o.w.fail("%s: %v", o.s.ID, err)
	}
	root := o.w.progs[o.s.Flow].Def.Root
	return o.eval(root, "", o.decode(root.In, h.Input))
}

func (o *oracle) decode(t *plan.Type, data []byte) any {
	v, err := payloads{}.Decode(t, data)
	if err != nil {
		o.w.fail("%s: decode %v: %v", o.s.ID, t, err)
	}
	return v
}

func (o *oracle) eval(n *plan.Node, prefix string, in any) (any, bool) {
	path := under(prefix, n.Name)
	switch n.Kind {
	case plan.Step:
		return o.step(n, path, in)
	case plan.Child:
		return o.child(n, path, in)
	case plan.Map:
		return n.Pure(in), true
	case plan.Join:
		return o.join(n, path, in)
	case plan.Seq:
		v, ok := in, true
		for _, kid := range n.Kids {
			if v, ok = o.eval(kid, path, v); !ok {
				return nil, false
			}
		}
		return v, true
	case plan.Choice:
		return o.choice(n, path, in)
	case plan.Each:
		return o.each(n, path, in)
	case plan.All:
		return o.gather(n, path, in, n.Kids, func(int) (string, any) { return path, in })
	case plan.Race:
		return o.race(n, path, in)
	case plan.Loop:
		return o.loop(n, path, in)
	case plan.Delay:
		return in, o.woke[path]
	default:
		return o.wait(n, path, in)
	}
}

func (o *oracle) step(n *plan.Node, path string, in any) (any, bool) {
	o.in[path] = in
	at := o.s.paths[path]
	switch {
	case at == nil || !at.done:
		return nil, false
	case at.out == nil:
		return in, true
	}
	out := o.decode(n.Out, at.out)
	want, _ := n.Step.Do(nil, in)
	if at.proceeded {
		want = o.w.fallback(in)
	}
	o.same(path, "output", out, want)
	return out, true
}

func (o *oracle) same(path, what string, got, want any) {
	if !reflect.DeepEqual(got, want) {
		o.w.fail("%s: the %s of %s is %v, should be %v", o.s.ID, what, path, got, want)
	}
}

func (o *oracle) child(n *plan.Node, path string, in any) (any, bool) {
	o.in[path] = in
	if c := o.w.stored[o.s.ID+"/"+path]; c != nil {
		h, _ := saga.DecodeHeader(c.Record.Record)
		o.same(path, "input", o.decode(n.In, h.Input), in)
	}
	if at := o.s.paths[path]; at != nil && at.done {
		return o.decode(n.Out, at.out), true
	}
	return nil, false
}

func (o *oracle) join(n *plan.Node, path string, in any) (any, bool) {
	part := in
	if n.Adapt != nil {
		part = n.Adapt(in)
	}
	out, ok := o.eval(n.Kids[0], path, part)
	if !ok {
		return nil, false
	}
	return n.Combine(in, out), true
}

func (o *oracle) choice(n *plan.Node, path string, in any) (any, bool) {
	k, err := n.Pick(in)
	switch {
	case !o.decided[path] || err != nil:
		return nil, false
	case k == plan.None:
		return in, true
	}
	return o.eval(n.Kids[k], path, in)
}

func (o *oracle) each(n *plan.Node, path string, in any) (any, bool) {
	if !o.decided[path] {
		return nil, false
	}
	items := n.Items(in)
	kids := make([]*plan.Node, n.Count(items))
	for k := range kids {
		kids[k] = n.Kids[0]
	}
	return o.gather(n, path, in, kids, func(k int) (string, any) { return fmt.Sprintf("%s[%d]", path, k), n.Item(items, k) })
}

func (o *oracle) gather(n *plan.Node, path string, in any, kids []*plan.Node, part func(k int) (string, any)) (any, bool) {
	outs, all := make([]any, len(kids)), true
	for k, kid := range kids {
		prefix, v := part(k)
		out, ok := o.eval(kid, prefix, v)
		outs[k], all = out, all && ok
	}
	if !all {
		return nil, false
	}
	return n.Gather(in, outs), true
}

func (o *oracle) race(n *plan.Node, path string, in any) (any, bool) {
	outs := make([]any, len(n.Kids))
	for k, kid := range n.Kids {
		outs[k], _ = o.eval(kid, path, in)
	}
	k, ok := o.won[path]
	if !ok {
		return nil, false
	}
	return outs[k], true
}

func (o *oracle) loop(n *plan.Node, path string, in any) (any, bool) {
	for k := 0; ; k++ {
		out, ok := o.eval(n.Kids[0], fmt.Sprintf("%s#%d", path, k+1), in)
		if !ok || k >= len(o.rounds[path]) {
			return nil, false
		}
		if o.same(path, "end", o.rounds[path][k], n.Until(out)); n.Until(out) {
			return out, true
		}
		in = out
	}
}

func (o *oracle) wait(n *plan.Node, path string, in any) (any, bool) {
	if id, ok := o.took[path]; ok {
		return n.Combine(in, o.decode(n.Letter, o.signals[id])), true
	}
	if !o.woke[path] {
		return nil, false
	}
	return o.eval(n.Kids[0], path, in)
}

// checkEnd looks at everything when all sagas have ended.
func (w *world) checkEnd() {
	for _, id := range w.ids {
		s := w.stored[id]
		o := w.oracle(s)
		out, all := o.run()
		end, err := saga.DecodeOutcome(s.outcome)
		if err != nil {
			w.fail("%s: outcome: %v", id, err)
		}
		if s.ended != 1 {
			w.fail("%s ended %d times", id, s.ended)
		}
		w.checkOutcome(s, end, out, all)
		w.checkEffects(s, end)
		w.checkSignals(s)
		for _, c := range w.calls {
			if c.saved == s {
				w.checkInput(o, c)
			}
		}
	}
	w.checkStray()
}

func (w *world) checkInput(o *oracle, c *call) {
	in := c.what.In
	if c.what.Undo {
		in = c.what.Effect.In
	}
	o.same(c.what.Path, "input", in, o.in[c.what.Path])
}

func (w *world) checkOutcome(s *stored, end saga.Outcome, out any, all bool) {
	switch {
	case end.Hand != s.settled:
		w.fail("%s: a person ended it: %v, and its outcome says %v", s.ID, s.settled, end.Hand)
	case end.Hand:
	case end.End == saga.Succeeded && !all:
		w.fail("%s: succeeded, and not everything is done", s.ID)
	case end.End == saga.Succeeded:
		value, err := payloads{}.Decode(w.progs[s.Flow].Def.Root.Out, end.Value)
		if err != nil || !reflect.DeepEqual(value, out) {
			w.fail("%s: ended with %v (%v), should be %v", s.ID, value, err, out)
		}
	case end.End != saga.Compensated:
		w.fail("%s: ended as %d", s.ID, end.End)
	case s.pivoted:
		w.fail("%s: compensated after its pivot", s.ID)
	case len(end.Err) == 0:
		w.fail("%s: compensated without an error", s.ID)
	default:
		w.checkFailure(s)
	}
}

// checkFailure compares what a machine says of a saga that was undone with what its journal says.
func (w *world) checkFailure(s *stored) {
	f := w.fails[s.ID]
	var undone []saga.UndoResult
	cause := ""
	for _, fact := range s.facts {
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
	if !w.races(s) && f.Cause.Error() != cause {
		w.fail("%s: the first failure was %q, and the outcome says %q", s.ID, cause, f.Cause)
	}
}

// blames says whether a fact is a failure of its own, and its text.
func blames(s *stored, f saga.Fact) (text string, fails bool) {
	if f.Kind == saga.Reply {
		o, _ := saga.DecodeOutcome(f.Out)
		return string(o.Err), o.End == saga.Compensated
	}
	forgiven := f.Path != "" && s.paths[f.Path].proceeded
	return string(f.Err), !(f.Kind == saga.Failed && (f.Flag || forgiven)) && !(f.Kind == saga.Refused && f.Flag)
}

// races says that there is a race in a saga's flow.
func (w *world) races(s *stored) bool {
	return slices.ContainsFunc(everyNode(w.progs[s.Flow].Def.Root), func(n *plan.Node) bool { return n.Kind == plan.Race })
}

// checkEffects compares what a journal says with what the participants have.
func (w *world) checkEffects(s *stored, end saga.Outcome) {
	kept := map[string]bool{}
	for _, path := range end.Kept {
		kept[path] = true
	}
	for path, at := range s.paths {
		if path == "" {
			continue
		}
		p, there := w.place(s, path), w.bank.effects[s.ID+"/"+path]
		if p.node.Kind != plan.Step {
			continue
		}
		stays := at.skipped > 0 || (at.done || at.failed) && !p.undoes() && !p.node.Step.ReadOnly && (end.End != saga.Succeeded || w.raceLost(s, path))
		switch {
		case p.node.Step.ReadOnly:
		case at.undone > 0 && there, at.refused && there:
			w.fail("%s: the effect of %s is there", s.ID, path)
		case at.done && at.undone+at.skipped == 0 && !there && !at.stuck:
			w.fail("%s: the effect of %s is not there", s.ID, path)
		}
		if s.settled {
			continue
		}
		if end.End == saga.Compensated && p.undoes() && (at.done || at.failed) && at.undone+at.skipped != 1 {
			w.fail("%s: %s was undone %d times", s.ID, path, at.undone+at.skipped)
		}
		if end.End == saga.Compensated && stays != kept[path] {
			w.fail("%s: %s stays: %v, and the outcome says %v", s.ID, path, stays, kept[path])
		}
	}
}

// raceLost says that path belongs to a part that lost its race.
func (w *world) raceLost(s *stored, path string) bool { return false }

// checkStray looks for effects that no journal tells of.
func (w *world) checkStray() {
	for key := range w.bank.effects {
		known := false
		for _, s := range w.stored {
			if path, ok := strings.CutPrefix(key, s.ID+"/"); ok && s.paths[path] != nil {
				at := s.paths[path]
				known = known || at.done || at.failed || s.settled
			}
		}
		if !known {
			w.fail("the effect of %s was forgotten", key)
		}
	}
}

// checkSignals looks that signals of one name were taken in the order in which they came.
func (w *world) checkSignals(s *stored) {
	names, waiting := map[string]string{}, map[string][]string{}
	for _, f := range s.facts {
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
