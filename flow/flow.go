package flow

import (
	"fmt"

	"github.com/skald-go/skald/internal/plan"
)

// Part is what a flow is made of: it takes an I and promises an O. A step.Step, a Flow and a
// ChildSaga are parts.
type Part[I, O any] interface {
	// Plan gives the erased node of the part; it is for the constructors of this package.
	Plan() plan.Typed[I, O]
}

// Flow is the definition of a saga that takes an I and ends with an O. It is an immutable value:
// its methods return changed copies, and it may be used by many goroutines at once. A mistake in
// the definition panics in the call that makes it, with a message that names the flow, the culprit
// and the way out.
//
// A Flow is a part of other flows: there it runs inside their saga, its name a segment of its paths.
type Flow[I, O any] struct{ def *plan.Def }

// Definition is a Flow of any types, for Engine.Serve.
type Definition interface {
	Name() string
	definition() (*plan.Def, error)
}

// New begins a flow that takes an I: as it stands, it ends with what it was given. The name is
// durable: sagas are stored under it.
//
// New panics if the name cannot be part of a path, or if a value of I could not come back whole
// from storage. So do all methods that add a part, for the values that they make.
func New[I any](name string) Flow[I, I] {
	at := place{call: fmt.Sprintf("New(%q)", name)}
	at.checkName(name)
	in := plan.TypeOf[I]()
	at.checkType(in)
	return Flow[I, I]{&plan.Def{Name: name, Root: &plan.Node{Kind: plan.Seq, In: in, Out: in}}}
}

// Name is the flow's name.
func (f Flow[I, O]) Name() string { return f.at("Name", "").flow }

// As returns the flow under another name, for a flow that uses it twice as a part.
func (f Flow[I, O]) As(name string) Flow[I, O] {
	f.at("As", name).checkName(name)
	return Flow[I, O]{&plan.Def{Name: name, Root: f.def.Root}}
}

// Plan makes a Flow a part of other flows.
func (f Flow[I, O]) Plan() plan.Typed[I, O] {
	if f.def == nil {
		return plan.Typed[I, O]{}
	}
	return plan.Typed[I, O]{Node: f.def.Root.WithName(f.def.Name)}
}

// Then goes on with what part makes of the value.
func (f Flow[I, O]) Then[P any](part Part[O, P]) Flow[I, P] {
	at := f.at("Then", "")
	return f.next[P](at, inner(at, "the part", part))
}

// Also runs part on the value, and goes on with what join makes of the value and the part's output.
// join is a pure function: it runs again whenever the saga is taken up.
func (f Flow[I, O]) Also[B, P any](part Part[O, B], join func(O, B) P) Flow[I, P] {
	at := f.at("Also", "")
	kid := inner(at, "the part", part)
	at.checkFunc("join", join == nil)
	return f.next[P](at, &plan.Node{
		Kind: plan.Join, Kids: []*plan.Node{kid}, In: f.def.Root.Out, Out: plan.TypeOf[P](),
		Combine: func(in, out any) any { return join(plan.Cast[O](in), plan.Cast[B](out)) },
	})
}

// Use runs part on what in makes of the value, and goes on with what out makes of the value and the
// part's output: for parts that know nothing of this flow. in and out are pure functions: they run
// again whenever the saga is taken up.
func (f Flow[I, O]) Use[A, B, P any](part Part[A, B], in func(O) A, out func(O, B) P) Flow[I, P] {
	at := f.at("Use", "")
	kid := inner(at, "the part", part)
	at.checkFunc("in", in == nil)
	at.checkFunc("out", out == nil)
	return f.next[P](at, &plan.Node{
		Kind: plan.Join, Kids: []*plan.Node{kid}, In: f.def.Root.Out, Out: plan.TypeOf[P](),
		Adapt:   func(v any) any { return in(plan.Cast[O](v)) },
		Combine: func(v, got any) any { return out(plan.Cast[O](v), plan.Cast[B](got)) },
	})
}

// Map goes on with pure(value). It is not recorded and has no name: pure runs again whenever the
// saga is taken up, and must give the same for the same.
func (f Flow[I, O]) Map[P any](pure func(O) P) Flow[I, P] {
	at := f.at("Map", "")
	at.checkFunc("the function", pure == nil)
	return f.next[P](at, &plan.Node{
		Kind: plan.Map, In: f.def.Root.Out, Out: plan.TypeOf[P](),
		Pure: func(in any) any { return pure(plan.Cast[O](in)) },
	})
}

func (f Flow[I, O]) definition() (*plan.Def, error) {
	if f.def == nil {
		return nil, fmt.Errorf("flow: a zero %T was used: make it with flow.New", f)
	}
	return f.def, nil
}

// at is the place of a call on f.
func (f Flow[I, O]) at(call, name string) place {
	if f.def == nil {
		panic(fmt.Sprintf("flow: %s on a zero %T: make it with flow.New", call, f))
	}
	return place{flow: f.def.Name, call: call, name: name}
}

// next is f with one more node at its end.
func (f Flow[I, O]) next[P any](at place, n *plan.Node) Flow[I, P] {
	root := *f.def.Root
	root.Kids = append(root.Kids[:len(root.Kids):len(root.Kids)], n)
	root.Out = n.Out
	def := &plan.Def{Name: f.def.Name, Root: &root}
	at.checkType(n.Out)
	at.checkDef(def)
	return Flow[I, P]{def}
}
