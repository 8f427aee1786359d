package step

import (
	"context"
	"fmt"
	"time"

	"github.com/skald-go/skald/internal/plan"
)

// DefaultTimeout is how long an attempt of a step or an undo may take if its step does not say.
const DefaultTimeout = time.Minute

// Step is a named unit of work that takes an I and gives an O. It is an immutable value: its methods
// return changed copies, and it may be used in many flows and by many goroutines at once.
type Step[I, O any] struct{ node *plan.Node }

// New makes a step. do may be called more than once for one saga, also after it has succeeded, by
// this or another process; it tells repeats apart by InfoFrom(ctx).Key(). It returns when its work
// is done or when ctx ends. What a nil error, a plain error and the marked errors of this package
// mean stands in the package comment.
//
// New panics if the name cannot be part of a path, do is nil, or a value of I or O could not come
// back whole from storage.
func New[I, O any](name string, do func(ctx context.Context, in I) (O, error)) Step[I, O] {
	if do == nil {
		panic(fmt.Sprintf("step: New(%q, nil): a step needs a function", name))
	}
	return newStep[I, O](name, &plan.StepSpec{
		Do: func(ctx context.Context, in any) (any, error) { return do(ctx, plan.Cast[I](in)) },
	})
}

// Do makes a step that has no output of its own: what it was given goes on. It is New otherwise.
func Do[I any](name string, do func(ctx context.Context, in I) error) Step[I, I] {
	if do == nil {
		panic(fmt.Sprintf("step: Do(%q, nil): a step needs a function", name))
	}
	return newStep[I, I](name, &plan.StepSpec{
		Do:   func(ctx context.Context, in any) (any, error) { return in, do(ctx, plan.Cast[I](in)) },
		Pass: true,
	})
}

func newStep[I, O any](name string, spec *plan.StepSpec) Step[I, O] {
	if err := plan.CheckName(name); err != nil {
		panic(fmt.Sprintf("step: name %q: %v", name, err))
	}
	in, out := plan.TypeOf[I](), plan.TypeOf[O]()
	for _, t := range []*plan.Type{in, out} {
		if err := t.Check(); err != nil {
			panic(fmt.Sprintf("step: %q: %v", name, err))
		}
	}
	spec.Retry = plan.Retry{Attempts: 1}
	spec.RetryUndo = Retry{}.policy()
	spec.Timeout = DefaultTimeout
	return Step[I, O]{&plan.Node{Kind: plan.Step, Name: name, In: in, Out: out, Step: spec}}
}

// Plan makes a Step a part of flows.
func (s Step[I, O]) Plan() plan.Typed[I, O] { return plan.Typed[I, O]{Node: s.node} }

// Name is the step's name.
func (s Step[I, O]) Name() string {
	if s.node == nil {
		panic(fmt.Sprintf("step: a zero %T was used: make it with step.New", s))
	}
	return s.node.Name
}

// As returns the step under another name, for a flow that uses it twice.
func (s Step[I, O]) As(name string) Step[I, O] {
	old := s.Name()
	if err := plan.CheckName(name); err != nil {
		panic(fmt.Sprintf("step: %q.As(%q): %v", old, name, err))
	}
	return Step[I, O]{s.node.WithName(name)}
}

// Compensate gives the step its undo. undo is called if the step is done, or if nobody can say
// whether it had an effect (then Known is false), until it returns nil or its retries are used up.
// Its context ends with its own timeout only: neither the saga's deadline nor the caller's context
// touches it. It may be called more than once, and tells repeats apart by InfoFrom(ctx).Key().
func (s Step[I, O]) Compensate(undo func(ctx context.Context, e Effect[I, O]) error) Step[I, O] {
	if undo == nil {
		panic(fmt.Sprintf("step: %q.Compensate(nil): leave it out, or say ReadOnly", s.Name()))
	}
	return s.with(func(spec *plan.StepSpec) {
		spec.Undo = func(ctx context.Context, e plan.Effect) error { return undo(ctx, typed[I, O](e)) }
	})
}

// Retry says how often and when a failed attempt is tried again. Without it there is one attempt.
func (s Step[I, O]) Retry(r Retry) Step[I, O] {
	r.check(s.Name(), "Retry")
	return s.with(func(spec *plan.StepSpec) { spec.Retry = r.policy() })
}

// RetryUndo says the same of the undo. Without it the zero Retry holds.
func (s Step[I, O]) RetryUndo(r Retry) Step[I, O] {
	r.check(s.Name(), "RetryUndo")
	return s.with(func(spec *plan.StepSpec) { spec.RetryUndo = r.policy() })
}

// Timeout bounds one attempt of the step or of its undo; the default is DefaultTimeout. An attempt
// that was cut off counts as failed: its outcome is unknown.
func (s Step[I, O]) Timeout(d time.Duration) Step[I, O] {
	if d <= 0 {
		panic(fmt.Sprintf("step: %q.Timeout(%v): an attempt needs time", s.Name(), d))
	}
	return s.with(func(spec *plan.StepSpec) { spec.Timeout = d })
}

// Refuses names errors that say, under errors.Is, that the step had no effect: as if each had been
// returned through Refused. It does not match an error tree that also holds a context, network or
// panic error, because then something else may have happened too; an explicit mark wins.
func (s Step[I, O]) Refuses(errs ...error) Step[I, O] {
	for _, err := range errs {
		if err == nil {
			panic(fmt.Sprintf("step: %q.Refuses(nil)", s.Name()))
		}
	}
	return s.with(func(spec *plan.StepSpec) {
		spec.Refuses = append(append([]error(nil), spec.Refuses...), errs...)
	})
}

// Pivot makes the step the point of no return: it is retried until its outcome is known; when it
// is done, the saga only goes forward; when it refuses, the saga compensates. If it refuses after an
// attempt whose outcome is unknown, its compensation takes that attempt back first; without one the
// saga is a dead letter.
func (s Step[I, O]) Pivot() Step[I, O] {
	return s.with(func(spec *plan.StepSpec) { spec.Pivot = true })
}

// Retriable says that the step will work in the end: a failed attempt is tried again, however often
// it takes. Steps after a pivot are retriable without saying so.
func (s Step[I, O]) Retriable() Step[I, O] {
	return s.with(func(spec *plan.StepSpec) {
		spec.Retriable = true
		if spec.Retry.Delay == 0 {
			spec.Retry = Retry{}.policy()
		}
	})
}

// ReadOnly says that the step changes nothing, so that there is nothing to undo and nothing to report as kept.
func (s Step[I, O]) ReadOnly() Step[I, O] {
	return s.with(func(spec *plan.StepSpec) { spec.ReadOnly = true })
}

func (s Step[I, O]) with(change func(*plan.StepSpec)) Step[I, O] {
	name := s.Name()
	node, spec := *s.node, *s.node.Step
	change(&spec)
	switch {
	case spec.ReadOnly && spec.Undo != nil:
		panic(fmt.Sprintf("step: %q is ReadOnly and has a compensation: only one can be true", name))
	case spec.ReadOnly && spec.Pivot:
		panic(fmt.Sprintf("step: %q is ReadOnly and a Pivot: what changes nothing cannot be the point of no return", name))
	}
	node.Step = &spec
	return Step[I, O]{&node}
}
