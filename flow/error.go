package flow

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/skald-go/skald/internal/saga"
)

// The causes that the engine itself gives. All of them are seen by errors.Is on what a Future returns.
var (
	// ErrDeadline is the cause when the flow's Deadline passed.
	ErrDeadline = saga.ErrDeadline
	// ErrCancelled is the cause when somebody cancelled the saga; the error's text has the reason.
	ErrCancelled = saga.ErrCancelled
	// ErrLostRace is the cause that the undos of a Race's losers get.
	ErrLostRace = saga.ErrLostRace
	// ErrRounds is the cause when a Loop did not end within its rounds.
	ErrRounds = saga.ErrRounds
	// ErrInterrupted is the error of an attempt that was cut off before it answered.
	ErrInterrupted = saga.ErrInterrupted
	// ErrTooLarge is the error of a value or a saga that exceeds Options.MaxPayload or Options.MaxRecord.
	ErrTooLarge = saga.ErrTooLarge
	// ErrNotYetLimit is the error of a step that answered NotYet for longer than Options.NotYetLimit.
	ErrNotYetLimit = saga.ErrNotYetLimit
	// ErrNotLocked is the error of a child that locks what its root does not; see Flow.Lock.
	ErrNotLocked = saga.ErrNotLocked
	// ErrTakeovers is the cause of a dead letter whose workers died again and again.
	ErrTakeovers = saga.ErrTakeovers
	// ErrNoAnswer is the error of a Ref whose service did not answer within its Timeout.
	ErrNoAnswer = saga.ErrNoAnswer
	// ErrContract is the cause when a service is called with values that are not those which its flow takes, or when the flow gives others
	// than the caller expects. Nothing was done.
	ErrContract = saga.ErrContract
	// ErrProceed is the error of an undo that answered Proceed when it was too late for it.
	ErrProceed = saga.ErrTooLate
)

// The errors of calls on an Engine. They come wrapped with what was attempted, and on which saga.
var (
	// ErrConflict says that the ID belongs to a saga with another flow, version or input.
	ErrConflict = errors.New("flow: the id belongs to another saga")
	// ErrOverloaded says that the broker's backlog limit is reached. Nothing was started.
	ErrOverloaded = errors.New("flow: too many sagas are waiting")
	// ErrLocked says that another saga holds a lock that the flow refuses to wait for. Nothing was started. The error is a *LockedError.
	ErrLocked = errors.New("flow: another saga holds the lock")
	// ErrKey says that what Lock or KeyedBy gave cannot be a key. Nothing was started.
	ErrKey = errors.New("flow: not a key")
	// ErrUnknown says that there is no such saga: it never existed, or it ended longer than Options.Retention ago.
	ErrUnknown = errors.New("flow: no such saga")
	// ErrSettled says that the saga has ended, so that what was asked changes nothing.
	ErrSettled = errors.New("flow: the saga is settled")
	// ErrPastPivot says that the saga has passed its pivot, or is about to, and only goes forward.
	ErrPastPivot = errors.New("flow: the saga is past its pivot")
	// ErrCompensating says that the saga goes back already.
	ErrCompensating = errors.New("flow: the saga is compensating")
	// ErrEnded says that the engine's Run has returned.
	ErrEnded = errors.New("flow: the engine has ended")
	// ErrID says that a string cannot be an ID or a name.
	ErrID = errors.New("flow: not an id")
	// ErrPayload says that a value could not be encoded.
	ErrPayload = errors.New("flow: payload")
	// ErrZero says that a zero Flow, Future, Signal or Engine was used.
	ErrZero = errors.New("flow: a zero value was used")
	// ErrNoService says that other services were to be called through a broker that belongs to none.
	ErrNoService = errors.New("flow: no service")
	// ErrNotDead says that a saga is no dead letter, or has changed since it was looked at.
	ErrNotDead = errors.New("flow: the saga is not a dead letter")
)

// State is where a saga is, as its caller sees it.
type State uint8

// The states of a saga.
const (
	StateUnknown      State = iota
	StateRunning            // goes forward, or waits
	StateCompensating       // goes back
	StateDone               // all steps done
	StateUndone             // all effects undone
	StateDeadLetter         // needs a person
	StateWaiting            // waits for its locks or its key, and has not begun; only a Snapshot says so
)

var stateNames = [...]string{"unknown", "running", "compensating", "done", "undone", "dead letter", "waiting"}

// String gives the state in words.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return stateNames[0]
}

// Error is what a saga that did not succeed returns. errors.Is and errors.As find the participant's error through it.
type Error struct {
	SagaID   string
	Flow     string
	Step     string // path of the step that failed first; empty if the saga was cancelled or its deadline passed
	Attempts int    // of that step
	State    State  // StateCompensating: it still goes back; StateUndone; StateDeadLetter
	Cause    error  // the first failure
	Also     []error
	Undone   []Undo   // what became of each undo, in the order in which they ended
	Kept     []string // paths of steps whose effects stay, because they have no compensation
}

// Undo tells what became of the undo of a step.
type Undo struct {
	Step   string
	Err    error // nil: undone
	ByHand bool  // a person said that it is undone
}

// Error is one line for a log: what failed, why, and what became of the effects.
func (e *Error) Error() string {
	var memory [256]byte
	b := append(memory[:0], "flow: saga "...)
	b = strconv.AppendQuote(b, e.SagaID)
	b = append(b, " of "...)
	b = strconv.AppendQuote(b, e.Flow)
	b = append(b, " is "...)
	if e.State == StateDeadLetter {
		b = append(b, "a "...)
	}
	b = append(b, e.State.String()...)
	if e.Step != "" {
		b = append(b, ": step "...)
		b = strconv.AppendQuote(b, e.Step)
		b = append(b, " failed"...)
		if e.Attempts > 1 {
			b = fmt.Appendf(b, " after %d attempts", e.Attempts)
		}
	}
	if e.Cause != nil {
		b = append(b, ": "...)
		b = append(b, e.Cause.Error()...)
	}
	for _, u := range e.Undone {
		if u.Err != nil {
			b = fmt.Appendf(b, "; the undo of %q failed: %v", u.Step, u.Err)
		}
	}
	if len(e.Kept) > 0 {
		b = fmt.Appendf(b, "; effects that stay: %s", strings.Join(e.Kept, ", "))
	}
	return string(b)
}

// Unwrap gives the cause and the other failures.
func (e *Error) Unwrap() []error {
	causes := make([]error, 0, 1+len(e.Also))
	if e.Cause != nil {
		causes = append(causes, e.Cause)
	}
	for _, err := range e.Also {
		if err != nil {
			causes = append(causes, err)
		}
	}
	return causes
}

// RunningError says that the caller stopped waiting while nothing was decided yet. The saga goes on; its
// result can still be had through Flow.Attach with the ID.
type RunningError struct {
	SagaID string
	Flow   string
	Err    error // of the caller's context
}

// Error says so.
func (e *RunningError) Error() string {
	return fmt.Sprintf("flow: saga %q of %q still runs, attach to it for its result: %v", e.SagaID, e.Flow, e.Err)
}

// Unwrap gives the error of the caller's context.
func (e *RunningError) Unwrap() error { return e.Err }

// failure makes the error of a saga from what its machine tells.
func failure(f saga.Failure) error {
	e := &Error{SagaID: f.Saga, Flow: f.Flow, Step: f.Step, Attempts: f.Attempts, State: stateOf(f.End), Cause: f.Cause, Also: f.Also, Kept: f.Kept}
	if n := len(f.Undone); n > 0 {
		e.Undone = make([]Undo, 0, n)
	}
	for _, u := range f.Undone {
		e.Undone = append(e.Undone, Undo{Step: u.Path, Err: u.Err, ByHand: u.ByHand})
	}
	return e
}

func stateOf(end saga.End) State {
	switch end {
	case saga.Succeeded:
		return StateDone
	case saga.Compensated:
		return StateUndone
	case saga.DeadLetter:
		return StateDeadLetter
	case saga.Compensating:
		return StateCompensating
	default:
		return StateRunning
	}
}
