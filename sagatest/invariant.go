package sagatest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/skald-go/skald/flow"
)

// Final is how a saga ended.
type Final struct {
	State   flow.State // StateDone or StateUndone
	Output  any        // of a saga that is done
	Err     error      // of one that is not
	Relayed bool       // it was a dead letter before, as the cell meant it to be
	Calls   []Call     // what was executed
}

// Invariant is something that must hold of a world when a saga has ended, however that was. It is bound to the world before the
// saga starts, so that it can compare.
type Invariant[W any] struct {
	Name string
	// Bind is called with the fresh world, and gives the check that is called when the saga has ended.
	Bind func(world W) func(Final) error

	compares bool // with the world before the saga: what others do meanwhile breaks it
}

// Holds is an invariant that looks at the world alone. A method expression makes a short one:
//
//	sagatest.Holds("no account is below zero", (*Bank).Solvent)
func Holds[W any](name string, check func(W) error) Invariant[W] {
	if check == nil {
		return Invariant[W]{Name: name} // the matrix refuses it
	}
	return Check(name, func(w W, _ Final) error { return check(w) })
}

// Check is an invariant that looks at the world and at how the saga ended.
func Check[W any](name string, check func(W, Final) error) Invariant[W] {
	if check == nil {
		return Invariant[W]{Name: name}
	}
	return Invariant[W]{Name: name, Bind: func(w W) func(Final) error { return func(f Final) error { return check(w, f) } }}
}

// Conserved is an invariant that a sum, such as that of all money, is what it was in the fresh world. Where others act meanwhile, it
// is not looked at.
func Conserved[W any, V comparable](name string, sum func(W) V) Invariant[W] {
	if sum == nil {
		return Invariant[W]{Name: name}
	}
	return Invariant[W]{Name: name, compares: true, Bind: func(w W) func(Final) error {
		before := sum(w)
		return func(Final) error {
			if now := sum(w); now != before {
				return fmt.Errorf("%v, was %v", now, before)
			}
			return nil
		}
	}}
}

// NothingHeld is an invariant that nothing is reserved, locked or held any more. held names what is.
func NothingHeld[W any](name string, held func(W) []string) Invariant[W] {
	if held == nil {
		return Invariant[W]{Name: name}
	}
	return Holds(name, func(w W) error {
		if left := held(w); len(left) > 0 {
			slices.Sort(left)
			return fmt.Errorf("still held: %s", strings.Join(left, ", "))
		}
		return nil
	})
}

// WhenDone is an invariant of sagas that are done.
func WhenDone[W any](name string, check func(W) error) Invariant[W] {
	return when(name, flow.StateDone, check)
}

// WhenUndone is an invariant of sagas that are undone. World.Snapshot says the same of the whole world.
func WhenUndone[W any](name string, check func(W) error) Invariant[W] {
	return when(name, flow.StateUndone, check)
}

func when[W any](name string, s flow.State, check func(W) error) Invariant[W] {
	if check == nil {
		return Invariant[W]{Name: name}
	}
	return Check(name, func(w W, f Final) error {
		if f.State != s {
			return nil
		}
		return check(w)
	})
}
