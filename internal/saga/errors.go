package saga

import (
	"errors"
	"fmt"
)

// The errors that the state machine itself gives as causes. Package flow exports them.
var (
	ErrDeadline    = errors.New("flow: the saga's deadline passed")
	ErrCancelled   = errors.New("flow: the saga was cancelled")
	ErrLostRace    = errors.New("flow: another part won the race")
	ErrRounds      = errors.New("flow: the loop did not end within its rounds")
	ErrInterrupted = errors.New("flow: the attempt was cut off, its outcome is unknown")
	ErrTooLarge    = errors.New("flow: too large")
	ErrNotYetLimit = errors.New("flow: the answer did not come in time")
	ErrTakeovers   = errors.New("flow: every worker that ran the saga died")
	ErrNoAnswer    = errors.New("flow: no answer")
	ErrContract    = errors.New("flow: the services do not agree")
	ErrNotLocked   = errors.New("flow: the root saga does not hold the lock")
	ErrTooLate     = errors.New("flow: an undo may not proceed any more")
)

// BrokenError says that a saga cannot go on because its definition or its data is wrong.
type BrokenError struct {
	Path string
	Err  error
}

// Error names the place.
func (e *BrokenError) Error() string {
	if e.Path == "" {
		return "flow: broken saga: " + e.Err.Error()
	}
	return fmt.Sprintf("flow: broken saga at %q: %v", e.Path, e.Err)
}

// Unwrap gives what is wrong.
func (e *BrokenError) Unwrap() error { return e.Err }

// ForeignError says that a saga has recorded what this definition does not have: another version of it may.
type ForeignError struct {
	Path, Kind, Why string
}

// Error names the fact and why it does not fit.
func (e *ForeignError) Error() string {
	return fmt.Sprintf("flow: the record says %q is %s, but %s", e.Path, e.Kind, e.Why)
}
