package plan

import (
	"errors"
	"time"
)

// Class says what an error that a step or an undo returned means.
type Class uint8

// The classes that a function can say of its own error. An error without a mark is Failed.
const (
	Failed    Class = iota // the outcome is unknown
	Refused                // nothing happened
	Permanent              // the outcome is unknown, and trying again is useless
	NotYet                 // ask again
	GiveUp                 // an undo that will never work
	Proceed                // an undo that replaces the step's output
)

// Mark is an error with a class that its maker gave it.
type Mark struct {
	Class Class
	Err   error         // Refused, Permanent, GiveUp
	After time.Duration // NotYet
	Out   any           // Proceed
}

// Error is the text of what was marked.
func (m *Mark) Error() string {
	switch {
	case m.Err != nil:
		return m.Err.Error()
	case m.Class == NotYet:
		return "step: not yet, ask again in " + m.After.String()
	default:
		return "step: proceed with another output"
	}
}

// Unwrap gives what was marked.
func (m *Mark) Unwrap() error { return m.Err }

// MarkOf finds the outermost mark in err's tree, or nil.
func MarkOf(err error) *Mark {
	var m *Mark
	if errors.As(err, &m) {
		return m
	}
	return nil
}
