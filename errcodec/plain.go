package errcodec

import (
	"errors"
	"slices"
)

// wrapped is what a %w arrives as.
type wrapped struct {
	text  string
	cause error
}

func (w *wrapped) Error() string { return w.text }
func (w *wrapped) Unwrap() error { return w.cause }

// joined is what errors.Join and several %w arrive as.
type joined struct {
	text   string
	causes []error
}

func (j *joined) Error() string   { return j.text }
func (j *joined) Unwrap() []error { return j.causes }

// kept holds a decoded error of a type that does not unwrap to the causes it
// was sent with.
type kept struct {
	text   string // as it was sent, since err may have lost what it says
	err    error
	causes causes
}

func (k *kept) Error() string   { return k.text }
func (k *kept) Unwrap() []error { return append([]error{k.err}, k.causes.list()...) }

// causes are what an error unwraps to: nothing, one or a list.
type causes struct {
	one  error
	many []error
	kind byte // a shape of the wire
}

func (c causes) list() []error {
	if c.kind == shapeOne {
		return []error{c.one}
	}
	return c.many
}

// single returns one error for all causes, nil if there is none.
func (c causes) single() error {
	if c.kind == shapeMany {
		return errors.Join(c.many...)
	}
	return c.one
}

// incomplete reports whether there is no cause, or a nil among the causes.
func (c causes) incomplete() bool {
	return c.one == nil && len(c.many) == 0 || slices.Contains(c.many, nil)
}

// causesOf asks err, which must be trusted.
func causesOf(err error) causes {
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		if cause := u.Unwrap(); cause != nil {
			return causes{one: cause, kind: shapeOne}
		}
	case interface{ Unwrap() []error }:
		return causes{many: u.Unwrap(), kind: shapeMany}
	}
	return causes{}
}

func unwraps(err error) bool {
	switch err.(type) {
	case interface{ Unwrap() error }, interface{ Unwrap() []error }:
		return true
	}
	return false
}
