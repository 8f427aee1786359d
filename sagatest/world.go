package sagatest

import (
	"context"
	"time"

	"github.com/skald-go/skald/flow"
)

// World is what a saga runs in: its participants, as fakes in memory, and what must hold of them. New and Input are needed.
//
// The functions run inside a bubble of package testing/synctest: they wait on channels, timers and mutexes of their own only, use no network,
// and time is virtual. Every cell of the matrix has a world of its own. Where parts of a saga run side by side, Meanwhile and Break are called
// while steps run, and take the locks that these take; Snapshot and Invariants are called when nothing runs.
type World[W, I any] struct {
	New   func() W  // a fresh world, the same each time
	Input func(W) I // what the saga is started with

	Invariants []Invariant[W] // hold when the saga has ended, however that was
	// Snapshot gives a copy of all that sagas change, with maps and lists of its own. A saga that ended undone leaves it as it was, and a step that refuses does not change it.
	Snapshot func(W) any
	// Keeps are the paths of steps whose effects may stay in a saga that is undone, with or without the numbers of items and rounds. Others that
	// have no compensation and are not ReadOnly are a mistake.
	Keeps []string

	// Signals is called whenever a saga waits for a signal, or for time to pass, and sends what comes then. Without it nothing comes.
	Signals func(W, Waiting) error
	// Meanwhile is what others do to the world between a step and its undo. It makes the cells of OthersAct.
	Meanwhile func(W)
	// Break lets the participant of the step with that path fail until repair is called, so that its effect does not happen. It gives nil
	// if the step has none that could. It makes the cells of ParticipantFails.
	Break func(w W, path string) (repair func())

	// Expect says how cells end that do not end as usual, by their names, "charge/lost-reply": StateDone, StateUndone or StateDeadLetter.
	Expect map[string]flow.State
	// Skip names cells, or nodes, that are left out, and why.
	Skip map[string]string
	// Pairs adds the cells in which a step fails by the first fault and an undo that follows suffers the second.
	Pairs []Pair

	Options  flow.Options  // of the engines: Errors, Codec, Propagators and so on
	Limit    time.Duration // of virtual time that a saga may take; 0 is 60 days
	Attempts int           // that a step or an undo may need in one cell; 0 is 5,000
	Patience time.Duration // of real time in which nothing moves before a cell is given up; 0 is 10 s
	Verbose  bool          // log the whole table although all is well; go test -v does, too
}

// Pair is two faults in one saga: of a step, one of Refused, FailsBefore, LostReply, TimesOut and Panics, and of an undo that follows.
type Pair struct{ Step, Undo Fault }

// AllPairs is every pair that there is.
func AllPairs() (pairs []Pair) {
	for _, f := range stepFaults {
		for _, u := range undoFaults {
			if f.fails() {
				pairs = append(pairs, Pair{f, u})
			}
		}
	}
	return pairs
}

// Waiting is a saga that waits.
type Waiting struct {
	Context context.Context
	Engine  *flow.Engine
	Saga    string // ID
	Path    string // of the Wait, WaitFor or Delay

	outline *outline
	child   string // path of the child that waits; empty: the saga itself
}

// Send gives the signal to the saga. One that the saga waits for nowhere is an error, and so is one of another type.
func (w Waiting) Send[S any](signal flow.Signal[S], value S) error {
	err := signal.Send(w.Context, w.Engine, w.Saga, value)
	if err == nil && w.outline != nil {
		err = w.outline.awaits(w.child, signal)
	}
	return err
}
