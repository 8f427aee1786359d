package flow

import (
	"errors"
	"fmt"
	"slices"

	"github.com/skald-go/skald/internal/plan"
)

// ErrNoCase says that a Switch without a Default met a key that no Case names.
var ErrNoCase = errors.New("no such case")

// If goes on with what then makes of the value if cond holds, else with what otherwise makes of it.
// The decision is recorded before a part runs; cond is a pure function.
func (f Flow[I, O]) If[P any](name string, cond func(O) bool, then, otherwise Part[O, P]) Flow[I, P] {
	at := f.named("If", name)
	at.checkFunc("cond", cond == nil)
	yes := inner(at, "the part for true", then)
	if isNil(otherwise) {
		at.panicf("the part for false is nil: use When for a part that may be left out")
	}
	no := inner(at, "the part for false", otherwise)
	return f.next[P](at, &plan.Node{
		Kind: plan.Choice, Name: name, Kids: []*plan.Node{yes, no}, Labels: []string{"yes", "no"},
		In: f.def.Root.Out, Out: yes.Out,
		Pick: func(in any) (int, error) {
			if cond(plan.Cast[O](in)) {
				return 0, nil
			}
			return 1, nil
		},
	})
}

// When goes on with what part makes of the value if cond holds, else with the value as it is.
// The decision is recorded before the part runs; cond is a pure function.
func (f Flow[I, O]) When(name string, cond func(O) bool, part Part[O, O]) Flow[I, O] {
	at := f.named("When", name)
	at.checkFunc("cond", cond == nil)
	return f.next[O](at, &plan.Node{
		Kind: plan.Choice, Name: name, Kids: []*plan.Node{inner(at, "the part", part)}, Labels: []string{"yes"},
		Optional: true, In: f.def.Root.Out, Out: f.def.Root.Out,
		Pick: func(in any) (int, error) {
			if cond(plan.Cast[O](in)) {
				return 0, nil
			}
			return plan.None, nil
		},
	})
}

// Arm is one way through a Switch: a Case or the Default.
type Arm[I, O any] struct {
	key       string
	otherwise bool
	part      Part[I, O]
}

// Case is the arm for one key.
func Case[I, O any](key string, part Part[I, O]) Arm[I, O] { return Arm[I, O]{key: key, part: part} }

// Default is the arm for every key that has no Case.
func Default[I, O any](part Part[I, O]) Arm[I, O] { return Arm[I, O]{otherwise: true, part: part} }

// Switch goes on with what the arm for key(value) makes of the value. The decision is recorded
// before a part runs; key is a pure function. A key that has no arm fails the saga with ErrNoCase.
func (f Flow[I, O]) Switch[P any](name string, key func(O) string, arms ...Arm[O, P]) Flow[I, P] {
	at := f.named("Switch", name)
	at.checkFunc("key", key == nil)
	if len(arms) == 0 {
		at.panicf("there is no arm: give it a flow.Case or a flow.Default")
	}
	node := &plan.Node{Kind: plan.Choice, Name: name, In: f.def.Root.Out}
	cases, otherwise := map[string]int{}, plan.None
	for i, arm := range arms {
		if slices.Contains(node.Labels, arm.label()) {
			at.panicf("there are two arms for %q: leave one out", arm.label())
		}
		if arm.otherwise {
			otherwise = i
		} else {
			cases[arm.key] = i
		}
		node.Kids = append(node.Kids, inner(at, arm.role(), arm.part))
		node.Labels = append(node.Labels, arm.label())
	}
	node.Out = node.Kids[0].Out
	node.Pick = func(in any) (int, error) {
		k := key(plan.Cast[O](in))
		if i, ok := cases[k]; ok {
			return i, nil
		}
		if otherwise == plan.None {
			return plan.None, fmt.Errorf("flow: %v: %w: %q", at, ErrNoCase, k)
		}
		return otherwise, nil
	}
	return f.next[P](at, node)
}

func (a Arm[I, O]) role() string {
	if a.otherwise {
		return "the part of Default"
	}
	return fmt.Sprintf("the part of Case %q", a.key)
}

func (a Arm[I, O]) label() string {
	if a.otherwise {
		return plan.Otherwise
	}
	return a.key
}
