package world

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/step"
)

// ErrBroke is what generated steps call a refusal.
var ErrBroke = errors.New("account is empty")

// Roll is what an attempt answers in a run where anything may go wrong.
func (w *World) Roll(c *Call) Answer {
	f := c.Saved.family
	doomed := f.doomed > 0 && f.steps >= f.doomed && len(f.struck) == 0
	switch {
	case f.left <= 0:
		return Answer{Effect: true}
	case c.stopped && f.dice.N(2) == 1:
		return w.happens(f, IsCutOff, Answer{context.Canceled, f.dice.N(2) == 1})
	case !doomed && f.dice.N(3) < 2:
		return Answer{Effect: true}
	case c.What.Undo:
		return w.rollUndo(f, c)
	default:
		return w.rollDo(f, c)
	}
}

// happens gives the answer, unless this fault is not to happen.
func (w *World) happens(f *family, what Fault, a Answer) Answer {
	if w.spend(f, what) {
		return a
	}
	return Answer{Effect: true}
}

func (w *World) rollDo(f *family, c *Call) Answer {
	err, after := fmt.Errorf("fault %d of %s", f.left, c), f.dice.N(2) == 1
	switch f.dice.N(9) {
	case 0:
		return w.refusal(f, c, step.Refused(err))
	case 1:
		return w.refusal(f, c, fmt.Errorf("%w: %w", err, ErrBroke))
	case 2:
		return w.happens(f, FailsForGood, Answer{step.Permanent(err), after})
	case 3:
		a := w.happens(f, AsksLater, Answer{step.NotYet(time.Duration(f.dice.N(3)) * 100 * time.Millisecond), false})
		if a.Err != nil {
			w.accept(c)
		}
		return a
	case 4:
		return w.happens(f, Panics, Answer{step.NewPanic(err, nil), after})
	case 5:
		return w.happens(f, FailsForGood, Answer{step.GiveUp(err), after})
	}
	if after {
		return w.happens(f, FailsAfter, Answer{err, true})
	}
	return w.happens(f, FailsBefore, Answer{err, false})
}

func (w *World) refusal(f *family, c *Call, err error) Answer {
	a := w.happens(f, Refuses, Answer{err, false})
	if a.Err != nil {
		w.refuse(c)
	}
	return a
}

func (w *World) rollUndo(f *family, c *Call) Answer {
	err, after := fmt.Errorf("fault %d of %s", f.left, c), f.dice.N(2) == 1
	switch f.dice.N(7) {
	case 0:
		return w.happens(f, UndoGivesUp, Answer{step.GiveUp(err), after})
	case 1:
		return w.happens(f, UndoLater, Answer{step.NotYet(time.Duration(f.dice.N(3)) * 100 * time.Millisecond), after})
	case 2:
		return w.happens(f, UndoGivesUp, Answer{step.Permanent(err), false})
	case 3, 4:
		a := w.happens(f, UndoProceeds, Answer{&plan.Mark{Class: plan.Proceed, Out: Fallback(c.What.Effect.In)}, false})
		if a.Err != nil {
			w.replace(c)
		}
		return a
	}
	if after {
		return w.happens(f, UndoRepeats, Answer{err, true})
	}
	return w.happens(f, UndoFails, Answer{err, false})
}

// Fallback is what an undo of a generated step gives that lets the saga go on.
func Fallback(in any) any {
	if v, ok := in.(box); ok {
		return v.Mix("fallback")
	}
	return in.(Num).Mix("fallback")
}

// signal is what a signal to the saga says.
func (s *Stored) signal() any { return s.example("signal") }

func (s *Stored) example(name string) any {
	if s.flow.Def.Root.In.Zero() == any(Num(0)) {
		return Num(len(s.ID)).Mix(name)
	}
	return box{N: uint64(len(s.ID))}.Mix(name)
}
