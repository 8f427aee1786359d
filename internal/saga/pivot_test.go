package saga_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/saga"
	"github.com/skald-go/skald/internal/simulate/world"
	"github.com/skald-go/skald/step"
)

// createOrder is: reject order, as an undo · create ticket · authorize the card (pivot) · confirm · approve.
func createOrder() flow.Flow[world.Num, world.Num] {
	return root().Then(act("order")).Then(act("ticket")).Then(plain("card").Pivot()).Then(plain("confirm")).Then(plain("approve"))
}

func TestPivotDone(t *testing.T) {
	p := stage(t, createOrder()).enter(world.Num(1))
	p.ended(saga.Succeeded)
	assert.Equal(t, []string{"do order", "do ticket", "do card", "do confirm", "do approve"}, p.trail())
}

func TestPivotRefusedCompensates(t *testing.T) {
	p := stage(t, createOrder()).on("do card", errStop).enter(world.Num(1))
	p.ended(saga.Compensated)
	assert.Equal(t, []string{"ticket", "order"}, p.undos())
}

func TestPivotUnknownIsRetried(t *testing.T) {
	p := stage(t, createOrder()).on("do card", slices.Repeat([]error{errBoom}, 50)...).enter(world.Num(1))
	p.ended(saga.Succeeded)
	assert.Len(t, p.times("do card"), 51)
}

func TestPivotWhoseOutcomeStaysUnknownIsADeadLetter(t *testing.T) {
	for name, errs := range map[string][]error{
		"permanent":                          {step.Permanent(errBoom)},
		"refused after an unknown outcome":   {errBoom, errStop},
		"refused again, after it was so":     {errBoom, errStop},
		"not yet for longer than the limit":  {step.NotYet(25 * time.Hour)},
		"not yet, unknown, and then refused": {step.NotYet(time.Second), errBoom, errStop},
	} {
		t.Run(name, func(t *testing.T) {
			p := stage(t, createOrder()).on("do card", errs...).enter(world.Num(1))
			p.ended(saga.DeadLetter)
			assert.Empty(t, p.undos())
			assert.Equal(t, "card", p.failure().Step)
			if name == "refused again, after it was so" {
				p.on("do card", errStop).byHand(saga.EventRelay, "")
				p.ended(saga.DeadLetter)
				assert.Empty(t, p.undos(), "a relay forgets no suspicion")
			}
			p.byHand(saga.EventRelay, "")
			p.ended(saga.Succeeded)
		})
	}
}

func TestAfterThePivotStepsAreRetriedUntilDone(t *testing.T) {
	p := stage(t, createOrder()).on("do confirm", slices.Repeat([]error{errBoom}, 50)...).enter(world.Num(1))
	p.ended(saga.Succeeded)
	assert.Len(t, p.times("do confirm"), 51)
}

func TestAfterThePivotRefusedAndPermanentMakeADeadLetter(t *testing.T) {
	for name, err := range map[string]error{"refused": errStop, "permanent": step.Permanent(errors.New("stop"))} {
		t.Run(name, func(t *testing.T) {
			p := stage(t, createOrder()).on("do confirm", err).enter(world.Num(1))
			p.ended(saga.DeadLetter)
			assert.Empty(t, p.undos())
			assert.Equal(t, "confirm", p.failure().Step)
			assert.EqualError(t, p.failure().Cause, "stop")
			assert.Equal(t, []string{"stuck"}, p.journal("confirm"))
			p.byHand(saga.EventRelay, "")
			p.ended(saga.Succeeded)
			assert.Equal(t, 1, p.the("do confirm").What.Number, "a relay counts anew")
		})
	}
}

func TestCancelIsDeniedFromThePivotOn(t *testing.T) {
	for name, call := range map[string]string{"while its outcome is unknown": "do card", "after it": "do confirm"} {
		t.Run(name, func(t *testing.T) {
			p := stage(t, createOrder())
			p.when(call, p.cancelNow).enter(world.Num(1))
			p.ended(saga.Succeeded)
			assert.Contains(t, p.journal(""), "denied")
		})
	}
	p := stage(t, createOrder())
	p.when("do ticket", p.cancelNow).enter(world.Num(1))
	p.ended(saga.Compensated)
	assert.NotContains(t, p.journal(""), "denied")
}

func TestCancelIsHeardAgainWhenThePivotWasRefused(t *testing.T) {
	p := stage(t, createOrder()).on("do card", errStop).on("undo ticket", step.NotYet(time.Hour))
	p.when("undo ticket", p.cancelNow).enter(world.Num(1))
	p.ended(saga.Compensated)
	assert.NotContains(t, p.journal(""), "denied")
}

func TestDeadlineOnlyAlertsFromThePivotOn(t *testing.T) {
	for name, call := range map[string]string{"while its outcome is unknown": "do card", "after it": "do confirm"} {
		t.Run(name, func(t *testing.T) {
			p := stage(t, createOrder().Deadline(time.Minute)).on(call, step.NotYet(time.Hour)).enter(world.Num(1))
			p.ended(saga.Succeeded)
			assert.Equal(t, []string{"late"}, p.journal(""))
		})
	}
}

func TestPivotInEveryArm(t *testing.T) {
	f := root().Then(act("a")).If("way", func(n world.Num) bool { return true }, plain("x").Pivot(), plain("y").Pivot()).Then(plain("b"))
	p := stage(t, f).on("do b", errStop).enter(world.Num(1))
	p.ended(saga.DeadLetter)
	assert.Empty(t, p.undos())
}

func TestPivotWithAnUndo(t *testing.T) {
	f := root().Then(act("a")).Then(act("p").Pivot()).Then(plain("b"))
	p := stage(t, f).on("do p", errBoom, step.Permanent(errBoom)).enter(world.Num(1))
	p.ended(saga.Compensated)
	assert.Equal(t, []string{"p", "a"}, p.undos())

	p = stage(t, f).on("do p", step.Permanent(errBoom)).on("undo p", proceed(9)).on("do b", errStop).enter(world.Num(1))
	p.ended(saga.DeadLetter)
	assert.Equal(t, []string{"p"}, p.undos(), "a fallback is a pivot that is done")
}

func TestDecisionThatCannotBeMadeAfterThePivot(t *testing.T) {
	f := root().Then(plain("p").Pivot()).Loop("loop", 2, plain("poll"), func(world.Num) bool { return false })
	p := stage(t, f).enter(world.Num(1))
	p.ended(saga.DeadLetter)
	assert.Equal(t, "loop", p.failure().Step)
	assert.ErrorContains(t, p.failure().Cause, saga.ErrRounds.Error())
	p.byHand(saga.EventRelay, "")
	p.ended(saga.DeadLetter)
	assert.Len(t, p.times("do loop#1/poll"), 1)
}

func TestOutputThatCannotBeMadeAfterThePivot(t *testing.T) {
	fits := false
	f := root().Then(plain("p").Pivot()).Map(func(n world.Num) world.Num {
		if !fits {
			panic("ouch")
		}
		return n
	})
	p := stage(t, f).enter(world.Num(1))
	p.ended(saga.DeadLetter)
	fits = true
	p.byHand(saga.EventRelay, "")
	p.ended(saga.Succeeded)
}

func TestRetriableBeforeAPivotIsRetriedUntilTheDeadline(t *testing.T) {
	p := stage(t, root().Then(act("a").Retriable()).Deadline(time.Hour)).on("do a", slices.Repeat([]error{errBoom}, 1000)...)
	p.Env.Jitter = func() float64 { return 1 }
	p.enter(world.Num(1))
	p.ended(saga.Compensated)
	assert.ErrorContains(t, p.failure().Cause, saga.ErrDeadline.Error())
	assert.Greater(t, len(p.times("do a")), 100)
	assert.Equal(t, []string{"a"}, p.undos())
}
