package step

import "fmt"

// PanicError is the error of a user's function that panicked. Its text travels; the stack stays in the process where it happened.
type PanicError struct {
	Value string // what it panicked with, as text
	Stack []byte // nil in other processes
	cause error
}

// NewPanic makes the error of a recovered value.
func NewPanic(value any, stack []byte) *PanicError {
	cause, _ := value.(error)
	return &PanicError{Value: fmt.Sprint(value), Stack: stack, cause: cause}
}

// Error is the text of what it panicked with.
func (e *PanicError) Error() string { return "panic: " + e.Value }

// Unwrap gives the error that it panicked with, if it was one.
func (e *PanicError) Unwrap() error { return e.cause }

// RestorePanic makes the error of a panic that happened in another process.
func RestorePanic(value string, cause error) *PanicError {
	return &PanicError{Value: value, cause: cause}
}
