package world

import (
	"fmt"
	"reflect"

	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
)

// oracle evaluates a flow by walking its definition, with nothing of the state machine: only decisions that depend on time, mail and
// luck, and outputs, are read from the journal.
type oracle struct {
	w *World
	s *Stored
}

// run evaluates the whole flow as far as the saga came. It says false if it did not come to the end.
func (o *oracle) run() (any, bool) {
	h, err := saga.DecodeHeader(o.s.Record.Record)
	if err != nil {
		o.w.fail("%s: %v", o.s.ID, err)
	}
	root := o.s.flow.Def.Root
	return o.eval(root, "", o.decode(root.In, h.Input))
}

func (o *oracle) decode(t *plan.Type, data []byte) any { return o.w.decode(o.s, t, data) }

func (w *World) decode(s *Stored, t *plan.Type, data []byte) any {
	v, err := w.Env.Payloads.Decode(t, data)
	if err != nil {
		w.fail("%s: decode %v: %v", s.ID, t, err)
	}
	return v
}

// enters notes what enters the step or child at path.
func (o *oracle) enters(path string, in any) *Standing {
	at := o.s.at(path)
	at.in, at.hasIn = in, true
	return at
}

// equal is reflect.DeepEqual, faster for what most values are.
func equal(a, b any) bool {
	if x, ok := a.(Num); ok {
		y, ok := b.(Num)
		return ok && x == y
	}
	return reflect.DeepEqual(a, b)
}

func (o *oracle) eval(n *plan.Node, prefix string, in any) (any, bool) {
	path := Under(prefix, n.Name)
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
		return in, o.s.at(path).woke
	default:
		return o.wait(n, path, in)
	}
}

func (o *oracle) step(n *plan.Node, path string, in any) (any, bool) {
	at := o.enters(path, in)
	switch {
	case !at.done:
		return nil, false
	case at.out == nil:
		return in, true
	}
	out := o.decode(n.Out, at.out)
	want, _ := n.Step.Do(nil, in)
	if at.proceeded {
		want = Fallback(in)
	}
	o.same(path, "output", out, want)
	return out, true
}

func (o *oracle) same(path, what string, got, want any) {
	if !equal(got, want) {
		o.w.fail("%s: the %s of %s is %v, should be %v", o.s.ID, what, path, got, want)
	}
}

func (o *oracle) child(n *plan.Node, path string, in any) (any, bool) {
	at := o.enters(path, in)
	if c := o.w.stored[o.s.ID+"/"+path]; c != nil {
		h, _ := saga.DecodeHeader(c.Record.Record)
		o.same(path, "input", o.decode(n.In, h.Input), in)
	}
	if at.done {
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
	case !o.s.at(path).decided || err != nil:
		return nil, false
	case k == plan.None:
		return in, true
	}
	return o.eval(n.Kids[k], path, in)
}

func (o *oracle) each(n *plan.Node, path string, in any) (any, bool) {
	if !o.s.at(path).decided {
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
	if at := o.s.at(path); at.raced {
		return outs[at.won], true
	}
	return nil, false
}

func (o *oracle) loop(n *plan.Node, path string, in any) (any, bool) {
	for k := 0; ; k++ {
		out, ok := o.eval(n.Kids[0], fmt.Sprintf("%s#%d", path, k+1), in)
		rounds := o.s.at(path).rounds
		if !ok || k >= len(rounds) {
			return nil, false
		}
		if o.same(path, "end", rounds[k], n.Until(out)); n.Until(out) {
			return out, true
		}
		in = out
	}
}

func (o *oracle) wait(n *plan.Node, path string, in any) (any, bool) {
	at := o.s.at(path)
	switch {
	case at.took != "":
		return n.Combine(in, o.decode(n.Letter, o.s.signals[at.took])), true
	case !at.woke:
		return nil, false
	}
	return o.eval(n.Kids[0], path, in)
}
