package step

import "github.com/skald-go/skald/internal/plan"

// Effect is what an undo has to take back.
type Effect[I, O any] struct {
	In    I     // exactly what the step was given
	Out   O     // what it returned, if Known; otherwise the zero value
	Known bool  // false: nobody can say whether the step had its effect
	Cause error // why the saga compensates
}

// Proceed is returned by an undo to say: do not go back, go on as if the step had returned out. The
// engine accepts it only from the undo of the very step whose failure started the compensation, and
// not after a cancel, a deadline or the failure of a sibling; elsewhere it counts as GiveUp.
func (e Effect[I, O]) Proceed(out O) error {
	return &plan.Mark{Class: plan.Proceed, Out: out}
}

func typed[I, O any](e plan.Effect) Effect[I, O] {
	return Effect[I, O]{In: plan.Cast[I](e.In), Out: plan.Cast[O](e.Out), Known: e.Known, Cause: e.Cause}
}
