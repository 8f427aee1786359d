package step

import (
	"errors"
	"time"

	"github.com/skald-go/skald/internal/plan"
)

// MinNotYet is the shortest pause that NotYet grants.
const MinNotYet = 100 * time.Millisecond

// Refused marks err as a refusal: the step looked, and had no effect. It is not tried again and its
// own undo is not run. err is seen through it by errors.Is and errors.As.
func Refused(err error) error { return mark(plan.Refused, err) }

// Permanent marks err as final: trying again is useless, but nobody can say whether the step had an effect.
func Permanent(err error) error { return mark(plan.Permanent, err) }

// GiveUp marks err, returned by an undo, as final: the undo will never work, and the saga needs a person.
// Returned by a step it is Permanent.
func GiveUp(err error) error { return mark(plan.GiveUp, err) }

// NotYet says that the answer is not there yet: the step or undo is called again after that time, at
// least MinNotYet. It does not count as an attempt. How long a step may go on so is bounded by flow.Options.NotYetLimit.
func NotYet(after time.Duration) error {
	return &plan.Mark{Class: plan.NotYet, After: max(after, MinNotYet)}
}

func mark(class plan.Class, err error) error {
	if err == nil {
		err = errors.New("step: no reason given")
	}
	return &plan.Mark{Class: class, Err: err}
}
