package step_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/step"
)

var errSoldOut = errors.New("sold out")

func double(_ context.Context, n int) (int, error)          { return 2 * n, nil }
func undouble(context.Context, step.Effect[int, int]) error { return nil }

func TestStepsCallTheirFunctions(t *testing.T) {
	var saw []any
	s := step.New("double", double).Compensate(func(_ context.Context, e step.Effect[int, int]) error {
		saw = append(saw, e.In, e.Out, e.Known, e.Cause)
		return e.Proceed(9)
	})
	spec := s.Plan().Step
	out, err := spec.Do(t.Context(), 21)
	require.NoError(t, err)
	require.Equal(t, 42, out)

	err = spec.Undo(t.Context(), plan.Effect{In: 21, Out: 42, Known: true, Cause: errSoldOut})
	require.Equal(t, []any{21, 42, true, errSoldOut}, saw)
	require.Equal(t, &plan.Mark{Class: plan.Proceed, Out: 9}, plan.MarkOf(err))
	require.EqualError(t, err, "step: proceed with another output")
}

func TestDoPassesItsInputOn(t *testing.T) {
	s := step.Do("check", func(context.Context, int) error { return errSoldOut })
	out, err := s.Plan().Step.Do(t.Context(), 7)
	require.Equal(t, 7, out)
	require.Equal(t, errSoldOut, err)
	require.True(t, s.Plan().Step.Pass)
}

func TestNilPointersGoThroughSteps(t *testing.T) {
	s := step.New("find", func(_ context.Context, p *int) (*int, error) { return p, nil })
	out, err := s.Plan().Step.Do(t.Context(), (*int)(nil))
	require.NoError(t, err)
	require.Equal(t, (*int)(nil), out)
}

func TestPolicies(t *testing.T) {
	base := step.New("s", double)
	zero := plan.Retry{Attempts: 10, Delay: step.DefaultDelay, MaxDelay: step.DefaultMaxDelay}
	for name, c := range map[string]struct {
		step step.Step[int, int]
		want plan.StepSpec
	}{
		"none":               {base, plan.StepSpec{}},
		"zero Retry":         {base.Retry(step.Retry{}), plan.StepSpec{Retry: zero}},
		"Retry":              {base.Retry(step.Retry{Attempts: 3, Delay: time.Second, MaxDelay: time.Minute}), plan.StepSpec{Retry: plan.Retry{Attempts: 3, Delay: time.Second, MaxDelay: time.Minute}}},
		"Retry with a pause": {base.Retry(step.Retry{Delay: time.Hour}), plan.StepSpec{Retry: plan.Retry{Attempts: 10, Delay: time.Hour, MaxDelay: time.Hour}}},
		"RetryUndo":          {base.RetryUndo(step.Retry{Attempts: 2}), plan.StepSpec{RetryUndo: plan.Retry{Attempts: 2, Delay: zero.Delay, MaxDelay: zero.MaxDelay}}},
		"Timeout":            {base.Timeout(time.Hour), plan.StepSpec{Timeout: time.Hour}},
		"Refuses":            {base.Refuses(errSoldOut).Refuses(context.Canceled), plan.StepSpec{Refuses: []error{errSoldOut, context.Canceled}}},
		"Pivot":              {base.Pivot(), plan.StepSpec{Pivot: true}},
		"Retriable":          {base.Retriable(), plan.StepSpec{Retriable: true, Retry: zero}},
		"Retriable, its own": {base.Retry(step.Retry{Attempts: 3, Delay: time.Hour}).Retriable(), plan.StepSpec{Retriable: true, Retry: plan.Retry{Attempts: 3, Delay: time.Hour, MaxDelay: time.Hour}}},
		"ReadOnly":           {base.ReadOnly(), plan.StepSpec{ReadOnly: true}},
	} {
		t.Run(name, func(t *testing.T) {
			want := c.want
			if want.Retry == (plan.Retry{}) {
				want.Retry = plan.Retry{Attempts: 1}
			}
			if want.RetryUndo == (plan.Retry{}) {
				want.RetryUndo = zero
			}
			if want.Timeout == 0 {
				want.Timeout = step.DefaultTimeout
			}
			got := *c.step.Plan().Step
			got.Do = nil
			require.Equal(t, want, got)
		})
	}
}

func TestStepsAreImmutable(t *testing.T) {
	base := step.New("base", double).Refuses(errSoldOut)
	one, two := base.Refuses(context.Canceled), base.Refuses(context.DeadlineExceeded)
	renamed := base.As("renamed")
	base.Compensate(undouble)
	base.Retry(step.Retry{})
	base.Timeout(time.Hour)
	require.Equal(t, "base", base.Name())
	require.Equal(t, "renamed", renamed.Name())
	require.Nil(t, base.Plan().Step.Undo)
	require.Equal(t, step.DefaultTimeout, base.Plan().Step.Timeout)
	require.Equal(t, 1, base.Plan().Step.Retry.Attempts)
	require.Equal(t, []error{errSoldOut}, base.Plan().Step.Refuses)
	require.Equal(t, []error{errSoldOut, context.Canceled}, one.Plan().Step.Refuses)
	require.Equal(t, []error{errSoldOut, context.DeadlineExceeded}, two.Plan().Step.Refuses)
}

func TestMistakesPanicWhereTheStepIsDefined(t *testing.T) {
	s := step.New("s", double)
	undone := s.Compensate(undouble)
	var zero step.Step[int, int]
	for name, c := range map[string]struct {
		define func()
		want   string
	}{
		"no function":          {func() { step.New[int, int]("s", nil) }, `step: New("s", nil): a step needs a function`},
		"no function in Do":    {func() { step.Do[int]("s", nil) }, `step: Do("s", nil): a step needs a function`},
		"no name":              {func() { step.New("", double) }, `step: name "": it is empty`},
		"a path as name":       {func() { step.New("a/b", double) }, `step: name "a/b": it contains '/', which paths are made with`},
		"bad alias":            {func() { s.As("a#1") }, `step: "s".As("a#1"): it contains '#', which paths are made with`},
		"lossy input":          {func() { step.Do("s", func(context.Context, func()) error { return nil }) }, `step: "s": a func() could not come back whole from storage: func() is a func(), which has no encoding`},
		"lossy output":         {func() { step.New("s", func(context.Context, int) (error, error) { return nil, nil }) }, `step: "s": a error could not come back whole from storage`},
		"no undo":              {func() { s.Compensate(nil) }, `step: "s".Compensate(nil): leave it out, or say ReadOnly`},
		"negative attempts":    {func() { s.Retry(step.Retry{Attempts: -1}) }, `step: "s".Retry({Attempts:-1 Delay:0s MaxDelay:0s}): a negative number`},
		"negative delay":       {func() { s.RetryUndo(step.Retry{Delay: -1}) }, `step: "s".RetryUndo({Attempts:0 Delay:-1ns MaxDelay:0s}): a negative number`},
		"MaxDelay too small":   {func() { s.Retry(step.Retry{Delay: 2, MaxDelay: 1}) }, `step: "s".Retry({Attempts:0 Delay:2ns MaxDelay:1ns}): MaxDelay is less than Delay`},
		"no time":              {func() { s.Timeout(0) }, `step: "s".Timeout(0s): an attempt needs time`},
		"nil refusal":          {func() { s.Refuses(errSoldOut, nil) }, `step: "s".Refuses(nil)`},
		"undone and ReadOnly":  {func() { undone.ReadOnly() }, `step: "s" is ReadOnly and has a compensation: only one can be true`},
		"ReadOnly and undone":  {func() { s.ReadOnly().Compensate(undouble) }, `step: "s" is ReadOnly and has a compensation: only one can be true`},
		"ReadOnly pivot":       {func() { s.ReadOnly().Pivot() }, `step: "s" is ReadOnly and a Pivot: what changes nothing cannot be the point of no return`},
		"Name of a zero step":  {func() { zero.Name() }, `step: a zero step.Step[int,int] was used: make it with step.New`},
		"As of a zero step":    {func() { zero.As("s") }, `step: a zero step.Step[int,int] was used: make it with step.New`},
		"Pivot of a zero step": {func() { zero.Pivot() }, `step: a zero step.Step[int,int] was used: make it with step.New`},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				text, _ := recover().(string)
				require.True(t, strings.HasPrefix(text, c.want), "%q", text)
			}()
			c.define()
		})
	}
}

func TestMarkedErrorsKeepTheirCause(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want plan.Class
	}{
		"Refused":   {step.Refused(errSoldOut), plan.Refused},
		"Permanent": {step.Permanent(errSoldOut), plan.Permanent},
		"GiveUp":    {step.GiveUp(errSoldOut), plan.GiveUp},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, c.err, errSoldOut)
			require.EqualError(t, c.err, "sold out")
			require.Equal(t, c.want, plan.MarkOf(c.err).Class)
		})
	}
	require.EqualError(t, step.Refused(nil), "step: no reason given")
}

func TestNotYetAsksForAtLeastAMoment(t *testing.T) {
	require.Equal(t, time.Minute, plan.MarkOf(step.NotYet(time.Minute)).After)
	require.Equal(t, step.MinNotYet, plan.MarkOf(step.NotYet(-time.Minute)).After)
	require.EqualError(t, step.NotYet(time.Minute), "step: not yet, ask again in 1m0s")
}

func TestKeysTellDoAndUndoApart(t *testing.T) {
	info := step.Info{Namespace: "shop", Saga: "order-42", Path: "carrier/post"}
	require.Equal(t, "shop/order-42/carrier/post/do", info.Key())
	info.Attempt = 7
	require.Equal(t, "shop/order-42/carrier/post/do", info.Key())
	info.Undo = true
	require.Equal(t, "shop/order-42/carrier/post/undo", info.Key())
	info.Again = true
	require.Equal(t, "shop/order-42/carrier/post/undo-again", info.Key())
	info.Undo = false
	require.Equal(t, "shop/order-42/carrier/post/do", info.Key())
}

func TestInfoTravelsInTheContext(t *testing.T) {
	require.Zero(t, step.InfoFrom(t.Context()))
	info := step.Info{Saga: "order-42", Attempt: 2}
	require.Equal(t, info, step.InfoFrom(step.WithInfo(t.Context(), info)))
}

func TestPanicsAreErrors(t *testing.T) {
	err := step.NewPanic(errSoldOut, []byte("stack"))
	require.ErrorIs(t, err, errSoldOut)
	require.EqualError(t, err, "panic: sold out")
	require.Equal(t, []byte("stack"), err.Stack)
	require.NoError(t, errors.Unwrap(step.NewPanic(42, nil)))
	require.EqualError(t, step.NewPanic(42, nil), "panic: 42")

	far := step.RestorePanic("42", errSoldOut)
	require.EqualError(t, far, "panic: 42")
	require.ErrorIs(t, far, errSoldOut)
	require.Nil(t, far.Stack)
}
