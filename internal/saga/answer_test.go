package saga_test

import (
	"context"
	"fmt"
	"time"

	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/step"
)

// roll is what an attempt answers in a run where anything may go wrong.
func (w *world) roll(c *call) answer {
	switch {
	case w.faults <= 0:
		return answer{effect: true}
	case c.stopped && w.dice.n(2) == 1:
		w.faults--
		return answer{context.Canceled, w.dice.n(2) == 1}
	case w.dice.n(3) < 2:
		return answer{effect: true}
	}
	w.faults--
	if c.what.Undo {
		return w.rollUndo(c)
	}
	err := fmt.Errorf("fault %d of %s", w.faults, c)
	switch w.dice.n(9) {
	case 0:
		w.bank.refuse(c)
		return answer{step.Refused(err), false}
	case 1:
		w.bank.refuse(c)
		return answer{fmt.Errorf("%w: %w", err, errBroke), false}
	case 2:
		return answer{step.Permanent(err), w.dice.n(2) == 1}
	case 3:
		w.bank.accept(c)
		return answer{step.NotYet(time.Duration(w.dice.n(3)) * 100 * time.Millisecond), false}
	case 4:
		return answer{step.NewPanic(err, nil), w.dice.n(2) == 1}
	case 5:
		return answer{step.GiveUp(err), w.dice.n(2) == 1}
	default:
		return answer{err, w.dice.n(2) == 1}
	}
}

func (w *world) rollUndo(c *call) answer {
	err := fmt.Errorf("fault %d of %s", w.faults, c)
	switch w.dice.n(7) {
	case 0:
		return answer{step.GiveUp(err), w.dice.n(2) == 1}
	case 1:
		return answer{step.NotYet(time.Duration(w.dice.n(3)) * 100 * time.Millisecond), w.dice.n(2) == 1}
	case 2:
		return answer{step.Permanent(err), false}
	case 3, 4:
		w.bank.replace(c)
		return answer{&plan.Mark{Class: plan.Proceed, Out: w.fallback(c.what.Effect.In)}, false}
	default:
		return answer{err, w.dice.n(2) == 1}
	}
}

// fallback is what an undo gives that lets the saga go on.
func (w *world) fallback(in any) any {
	switch v := in.(type) {
	case num:
		return v.mix("fallback")
	case box:
		return v.mix("fallback")
	}
	w.fail("a value of type %T", in)
	return nil
}
