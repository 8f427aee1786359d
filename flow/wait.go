package flow

import (
	"fmt"
	"time"

	"github.com/skald-go/skald/internal/plan"
)

// Delay goes on with the same value d(value) later, counted from the moment the saga got there. The
// time survives restarts; a time that is not positive goes on at once. d is a pure function.
func (f Flow[I, O]) Delay(name string, d func(O) time.Duration) Flow[I, O] {
	at := f.named("Delay", name)
	at.checkFunc("d", d == nil)
	return f.next[O](at, &plan.Node{
		Kind: plan.Delay, Name: name, In: f.def.Root.Out, Out: f.def.Root.Out,
		For: func(in any) time.Duration { return d(plan.Cast[O](in)) },
	})
}

// Signal is a typed message that the world sends to a saga, under a name. What comes before the
// saga waits for it is kept, and several are received in the order in which they came.
type Signal[S any] struct {
	name   string // what senders and waiters agree on
	path   string // of the Wait
	letter *plan.Type
}

// NewSignal names a signal that carries an S. It panics if the name cannot be part of a path, or if
// a value of S could not come back whole from storage.
func NewSignal[S any](name string) Signal[S] {
	at := place{call: fmt.Sprintf("NewSignal(%q)", name)}
	at.checkName(name)
	letter := plan.TypeOf[S]()
	at.checkType(letter)
	return Signal[S]{name: name, path: name, letter: letter}
}

// As returns the same signal, waited for under another name, for a flow that waits for it twice.
// Send is not touched by it.
func (s Signal[S]) As(path string) Signal[S] {
	at := place{call: fmt.Sprintf("Signal %q.As(%q)", s.name, path)}
	at.checkSignal(s.letter)
	at.checkName(path)
	return Signal[S]{name: s.name, path: path, letter: s.letter}
}

// Wait goes on when the signal comes, with what join, a pure function, makes of the value and of
// what was sent. It waits for ever: see WaitFor and Deadline.
func (f Flow[I, O]) Wait[S, P any](signal Signal[S], join func(O, S) P) Flow[I, P] {
	at := f.at("Wait", signal.path)
	at.checkSignal(signal.letter)
	at.checkFunc("join", join == nil)
	return f.next[P](at, waitNode(f.def.Root.Out, signal, join))
}

// WaitFor is Wait with a limit: if the signal does not come within that time, the flow goes on with
// what late makes of the value. A signal wins over a limit that ends at the same moment.
func (f Flow[I, O]) WaitFor[S, P any](signal Signal[S], within time.Duration, join func(O, S) P, late Part[O, P]) Flow[I, P] {
	at := f.at("WaitFor", signal.path)
	at.checkSignal(signal.letter)
	if within <= 0 {
		at.panicf("within is %v: it must be positive", within)
	}
	at.checkFunc("join", join == nil)
	node := waitNode(f.def.Root.Out, signal, join)
	node.Within = within
	node.Kids = []*plan.Node{inner(at, "the late part", late)}
	return f.next[P](at, node)
}

func waitNode[O, S, P any](in *plan.Type, signal Signal[S], join func(O, S) P) *plan.Node {
	return &plan.Node{
		Kind: plan.Wait, Name: signal.path, Signal: signal.name, Letter: signal.letter,
		In: in, Out: plan.TypeOf[P](),
		Combine: func(in, letter any) any { return join(plan.Cast[O](in), plan.Cast[S](letter)) },
	}
}
