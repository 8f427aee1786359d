package flow

import "github.com/skald-go/skald/internal/plan"

// Loop runs body on the value, then on body's output, until until holds for an output, and goes on
// with that. Each answer of until, a pure function, is recorded before the next round. When max
// rounds did not satisfy it, the saga fails with ErrRounds.
func (f Flow[I, O]) Loop(name string, max int, body Part[O, O], until func(O) bool) Flow[I, O] {
	at := f.named("Loop", name)
	if max < 1 {
		at.panicf("max is %d: at least one round runs", max)
	}
	kid := inner(at, "the body", body)
	at.checkFunc("until", until == nil)
	return f.next[O](at, &plan.Node{
		Kind: plan.Loop, Name: name, Kids: []*plan.Node{kid}, In: f.def.Root.Out, Out: f.def.Root.Out,
		Until: func(out any) bool { return until(plan.Cast[O](out)) }, Max: max,
	})
}
