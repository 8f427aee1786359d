package sagatest

import "errors"

// ErrInjected is the error of an attempt that a fault made fail. It is registered with the codec of the engines, so that callers see it.
var ErrInjected = errors.New("sagatest: injected fault")

// Fault is what goes wrong at a node of a saga. Its text is the last part of the name of a cell.
type Fault string

// NoFault is the cell in which nothing goes wrong.
const NoFault Fault = "no-fault"

// The faults of a step. Those that fail do so for every attempt that the step's Retry grants; a step that is tried until it is done
// succeeds after that.
const (
	Refused          Fault = "refused"                   // it refuses: with the first error of Refuses, or ErrInjected
	FailsBefore      Fault = "fails-before"              // it fails, and nothing happened
	LostReply        Fault = "lost-reply"                // it had its effect, and nobody hears of it
	TimesOut         Fault = "times-out"                 // its time is over when the request arrives
	Panics           Fault = "panics"                    // it panics before anything happened
	RunsTwice        Fault = "runs-twice"                // the request is delivered twice, and the first reply counts
	RunsTwiceUndone  Fault = "runs-twice-then-undone"    // likewise, and a later step refuses
	DiesBefore       Fault = "worker-dies-before-commit" // after the effect, so that another worker runs it again
	DiesAfter        Fault = "worker-dies-after-commit"  // once its outcome is stored
	Cancelled        Fault = "cancelled"                 // somebody cancels the saga meanwhile
	DeadlinePasses   Fault = "deadline-passes"           // the saga's deadline passes meanwhile
	OthersAct        Fault = "others-act"                // World.Meanwhile happens after it, and a later step refuses
	ParticipantFails Fault = "participant-fails"         // World.Break happens before it
)

// The faults of an undo. The saga goes back because a later step refuses or, if there is none, because its own reply is lost.
const (
	UndoFailsOnce  Fault = "undo-fails-once"                // and nothing happened
	UndoLosesReply Fault = "undo-loses-reply"               // it had its effect, nobody hears of it, and it is tried again
	UndoFails      Fault = "undo-fails-for-good"            // the saga is a dead letter, and is relayed when the undo works again
	UndoRunsTwice  Fault = "undo-runs-twice"                // the request is delivered twice
	UndoDiesBefore Fault = "undo-worker-dies-before-commit" // after the effect
	UndoDiesAfter  Fault = "undo-worker-dies-after-commit"  // once it is stored
)

// NoSignal is the fault of a wait that ends by itself: the signal never comes. A wait is cancelled and outlived by a deadline, too.
const NoSignal Fault = "no-signal"

var (
	stepFaults = []Fault{Refused, FailsBefore, LostReply, TimesOut, Panics, RunsTwice, RunsTwiceUndone, DiesBefore, DiesAfter,
		Cancelled, DeadlinePasses, OthersAct, ParticipantFails}
	undoFaults = []Fault{UndoFailsOnce, UndoLosesReply, UndoFails, UndoRunsTwice, UndoDiesBefore, UndoDiesAfter}
	waitFaults = []Fault{NoSignal, Cancelled, DeadlinePasses}
)

// fails says that the step fails by it.
func (f Fault) fails() bool {
	switch f {
	case Refused, FailsBefore, LostReply, TimesOut, Panics:
		return true
	}
	return false
}
