package flow

import (
	"fmt"

	"github.com/skald-go/skald/internal/plan"
)

// Both runs two parts on the value side by side, and goes on with what join, a pure function, makes
// of the value and their outputs. When one fails for good, the other is cancelled and both are undone.
func (f Flow[I, O]) Both[A, B, P any](name string, a Part[O, A], b Part[O, B], join func(O, A, B) P) Flow[I, P] {
	at := f.named("Both", name)
	kids := []*plan.Node{inner(at, "the first part", a), inner(at, "the second part", b)}
	at.checkFunc("join", join == nil)
	return f.next[P](at, &plan.Node{
		Kind: plan.All, Name: name, Kids: kids, In: f.def.Root.Out, Out: plan.TypeOf[P](),
		Gather: func(in any, outs []any) any {
			return join(plan.Cast[O](in), plan.Cast[A](outs[0]), plan.Cast[B](outs[1]))
		},
	})
}

// All3 is Both for three parts.
func (f Flow[I, O]) All3[A, B, C, P any](name string, a Part[O, A], b Part[O, B], c Part[O, C], join func(O, A, B, C) P) Flow[I, P] {
	at := f.named("All3", name)
	kids := []*plan.Node{inner(at, "the first part", a), inner(at, "the second part", b), inner(at, "the third part", c)}
	at.checkFunc("join", join == nil)
	return f.next[P](at, &plan.Node{
		Kind: plan.All, Name: name, Kids: kids, In: f.def.Root.Out, Out: plan.TypeOf[P](),
		Gather: func(in any, outs []any) any {
			return join(plan.Cast[O](in), plan.Cast[A](outs[0]), plan.Cast[B](outs[1]), plan.Cast[C](outs[2]))
		},
	})
}

// EachOption says how Each runs its items.
type EachOption struct{ parallel int }

// Parallel lets Each run at most n items at once. Without it all items run at once.
func Parallel(n int) EachOption { return EachOption{n} }

// Each runs part on every item that items finds in the value, side by side, and goes on with what
// join makes of the value and the outputs, in the order of the items. Both are pure functions; the
// items are recorded before a part runs. No item is no error: join gets an empty slice. When one
// item fails for good, the others are cancelled and all are undone.
func (f Flow[I, O]) Each[E, F, P any](name string, items func(O) []E, part Part[E, F], join func(O, []F) P, opts ...EachOption) Flow[I, P] {
	at := f.named("Each", name)
	at.checkFunc("items", items == nil)
	kid := inner(at, "the part", part)
	at.checkFunc("join", join == nil)
	node := &plan.Node{
		Kind: plan.Each, Name: name, Kids: []*plan.Node{kid}, In: f.def.Root.Out, Out: plan.TypeOf[P](), Slice: plan.TypeOf[[]E](),
		Items: func(in any) any { return items(plan.Cast[O](in)) },
		Count: func(items any) int { return len(plan.Cast[[]E](items)) },
		Item:  func(items any, i int) any { return plan.Cast[[]E](items)[i] },
		Gather: func(in any, outs []any) any {
			all := make([]F, len(outs))
			for i, out := range outs {
				all[i] = plan.Cast[F](out)
			}
			return join(plan.Cast[O](in), all)
		},
	}
	for _, opt := range opts {
		if opt.parallel < 1 {
			at.panicf("Parallel(%d): at least one item runs at a time", opt.parallel)
		}
		node.Parallel = opt.parallel
	}
	return f.next[P](at, node)
}

// Race runs parts on the value side by side, and goes on with the output of the first that succeeds
// once the others are cancelled and undone. When all fail, the race fails.
func (f Flow[I, O]) Race[P any](name string, a, b Part[O, P], more ...Part[O, P]) Flow[I, P] {
	at := f.named("Race", name)
	node := &plan.Node{Kind: plan.Race, Name: name, In: f.def.Root.Out}
	for i, part := range append([]Part[O, P]{a, b}, more...) {
		node.Kids = append(node.Kids, inner(at, fmt.Sprintf("competitor %d", i+1), part))
	}
	node.Out = node.Kids[0].Out
	return f.next[P](at, node)
}
