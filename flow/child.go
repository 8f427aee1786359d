package flow

import (
	"fmt"

	"github.com/skald-go/skald/internal/plan"
)

// ChildSaga is a flow that runs as a saga of its own inside the sagas of another flow.
type ChildSaga[I, O any] struct{ node *plan.Node }

// Child makes f a part that runs as a saga of its own: with its own journal and its own settings,
// under the ID of the parent and the path of the part. The parent waits for its outcome; when the
// parent compensates, a child that was done is undone as a whole. What the flow locks, the root of the
// parents must have locked; see Flow.Lock.
func Child[I, O any](f Flow[I, O]) ChildSaga[I, O] {
	def, err := f.definition()
	if err != nil {
		panic(fmt.Sprintf("flow: Child of a zero %T: make it with flow.New", f))
	}
	if s := def.Root.Settings; s != nil && s.KeyedBy != nil {
		panic(fmt.Sprintf("flow: Child of %q, which has KeyedBy: that orders sagas by when they are started, and a child starts with what its parent has done: "+
			"order the parent, or lock with Lock", def.Name))
	}
	return ChildSaga[I, O]{&plan.Node{Kind: plan.Child, Name: def.Name, Child: def, In: def.Root.In, Out: def.Root.Out}}
}

// As returns the child under another name, for a flow that uses it twice. The flow that it runs
// keeps its own name.
func (c ChildSaga[I, O]) As(name string) ChildSaga[I, O] {
	if c.node == nil {
		panic(fmt.Sprintf("flow: As on a zero %T: make it with flow.Child", c))
	}
	place{call: fmt.Sprintf("Child %q.As(%q)", c.node.Name, name)}.checkName(name)
	return ChildSaga[I, O]{c.node.WithName(name)}
}

// Plan makes a ChildSaga a part of flows.
func (c ChildSaga[I, O]) Plan() plan.Typed[I, O] { return plan.Typed[I, O]{Node: c.node} }
