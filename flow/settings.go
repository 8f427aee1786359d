package flow

import (
	"fmt"
	"time"

	"github.com/skald-go/skald/internal/plan"
)

// Deadline bounds every saga of the flow, from its start: a saga that is not done by then is
// compensated. Past a pivot the deadline only alerts, and it never cuts an undo short.
//
// Like all settings it belongs to a whole saga: a flow that has one cannot be a part of another
// flow, except as flow.Child.
func (f Flow[I, O]) Deadline(d time.Duration) Flow[I, O] {
	at := f.at(fmt.Sprintf("Deadline(%v)", d), "")
	if d <= 0 {
		at.panicf("a saga needs time")
	}
	return f.set(func(s *plan.Settings) { s.Deadline = d })
}

// Version numbers the definition; without it the version is 1. Raise it when a Map, condition, join
// or the like changes so that it gives other values: sagas that were started before keep to the
// version that they were started with, and both can be served side by side.
func (f Flow[I, O]) Version(n int) Flow[I, O] {
	at := f.at(fmt.Sprintf("Version(%d)", n), "")
	if n < 1 {
		at.panicf("versions count from 1")
	}
	return f.set(func(s *plan.Settings) { s.Version = n })
}

// UndoInOrder undoes parts that ran side by side one after the other, the last first. Without it
// they are undone side by side.
func (f Flow[I, O]) UndoInOrder() Flow[I, O] {
	f.at("UndoInOrder", "")
	return f.set(func(s *plan.Settings) { s.UndoInOrder = true })
}

// StopUndoOnFailure stops compensating when an undo has failed for good: what would be undone after
// it is left as it is. Without it the other undos still run. Either way the saga is a dead letter.
func (f Flow[I, O]) StopUndoOnFailure() Flow[I, O] {
	f.at("StopUndoOnFailure", "")
	return f.set(func(s *plan.Settings) { s.StopAtFailed = true })
}

func (f Flow[I, O]) set(change func(*plan.Settings)) Flow[I, O] {
	root, settings := *f.def.Root, plan.Settings{}
	if root.Settings != nil {
		settings = *root.Settings
	}
	change(&settings)
	root.Settings = &settings
	return Flow[I, O]{&plan.Def{Name: f.def.Name, Root: &root}}
}
