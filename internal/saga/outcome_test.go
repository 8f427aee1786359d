package saga_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
	"github.com/skald-go/skald/internal/simulate/world"
	"github.com/skald-go/skald/step"
)

// TestOutcomeTable has a row for each class of outcomes: a, then b that fails.
func TestOutcomeTable(t *testing.T) {
	retry := step.Retry{Attempts: 3, Delay: time.Second}
	for name, c := range map[string]struct {
		answers []error
		trail   []string // after do a
		known   bool
		cause   string
	}{
		"refused": {
			[]error{step.Refused(errBoom)}, []string{"do b", "undo a"}, true, "boom",
		},
		"refused by the step's list": {
			[]error{fmt.Errorf("sorry: %w", world.ErrBroke)}, []string{"do b", "undo a"}, true, "sorry: account is empty",
		},
		"failed, until its retries are used up": {
			[]error{errBoom, errBoom, errBoom}, []string{"do b", "do b", "do b", "undo b", "undo a"}, false, "boom",
		},
		"failed, then done": {
			[]error{errBoom, errBoom}, []string{"do b", "do b", "do b"}, true, "",
		},
		"panic": {
			[]error{step.NewPanic("ouch", nil), step.NewPanic("ouch", nil), step.NewPanic("ouch", nil)},
			[]string{"do b", "do b", "do b", "undo b", "undo a"}, false, "panic: ouch",
		},
		"timeout": {
			[]error{context.DeadlineExceeded, context.DeadlineExceeded, context.DeadlineExceeded},
			[]string{"do b", "do b", "do b", "undo b", "undo a"}, false, "context deadline exceeded",
		},
		"permanent": {
			[]error{step.Permanent(errBoom)}, []string{"do b", "undo b", "undo a"}, false, "boom",
		},
		"permanent after a failure": {
			[]error{errBoom, step.Permanent(errors.New("gone"))}, []string{"do b", "do b", "undo b", "undo a"}, false, "gone",
		},
		"what an undo says, said by a step": {
			[]error{step.GiveUp(errBoom)}, []string{"do b", "undo b", "undo a"}, false, "boom",
		},
		"a fallback, said by a step": {
			[]error{step.Effect[world.Num, world.Num]{}.Proceed(1)}, []string{"do b", "undo b", "undo a"}, false, "step: proceed with another output",
		},
		"not yet, then done": {
			[]error{step.NotYet(time.Second), step.NotYet(time.Second), step.NotYet(time.Second), step.NotYet(time.Second)},
			[]string{"do b", "do b", "do b", "do b", "do b"}, true, "",
		},
		"not yet, then refused": {
			[]error{step.NotYet(time.Second), step.Refused(errBoom)}, []string{"do b", "do b", "undo a"}, true, "boom",
		},
		"refused after an unknown outcome": {
			[]error{errBoom, step.Refused(errors.New("empty"))}, []string{"do b", "do b", "undo b", "undo a"}, false, "empty",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := stage(t, root().Then(act("a")).Then(act("b").Retry(retry).Refuses(world.ErrBroke)))
			p.on("do b", c.answers...).enter(world.Num(7))
			assert.Equal(t, append([]string{"do a"}, c.trail...), p.trail())
			if c.cause == "" {
				p.ended(saga.Succeeded)
				return
			}
			p.ended(saga.Compensated)
			assert.EqualError(t, p.failure().Cause, c.cause)
			assert.Equal(t, "b", p.failure().Step)
			assert.EqualError(t, p.the("undo a").What.Effect.Cause, c.cause)
			if !c.known {
				e := p.the("undo b").What.Effect
				assert.False(t, e.Known)
				assert.Equal(t, world.Num(0), e.Out)
				assert.Equal(t, world.Num(7).Mix("a"), e.In)
				assert.EqualError(t, e.Cause, c.cause)
			}
		})
	}
}

func TestStepWithoutRetryIsTriedOnce(t *testing.T) {
	p := stage(t, root().Then(act("a"))).on("do a", errBoom).enter(world.Num(1))
	assert.Equal(t, []string{"do a", "undo a"}, p.trail())
	assert.Equal(t, 1, p.failure().Attempts)
}

func TestRefusalAfterTakeoverIsUnknown(t *testing.T) {
	p := stage(t, root().Then(act("a")))
	p.on("do a", step.Refused(errBoom))
	p.Start("main", "m", world.Num(1))
	p.Drive(p.m())
	p.Crash(p.m())
	p.RunOut()
	assert.Equal(t, []string{"do a", "do a", "undo a"}, p.trail())
	p.ended(saga.Compensated)
}

func TestRefusalAfterGiveBackIsUnknown(t *testing.T) {
	p := stage(t, root().Then(act("a")))
	p.on("do a", step.Refused(errBoom))
	p.Start("main", "m", world.Num(1))
	p.Drive(p.m())
	p.GiveBack(p.m())
	p.RunOut()
	assert.Equal(t, []string{"do a", "do a", "undo a"}, p.trail())
}

func TestRefusalOfWhatNeverRanIsARefusal(t *testing.T) {
	p := stage(t, root().Then(act("a")))
	p.on("do a", step.Refused(errBoom))
	p.Start("main", "m", world.Num(1))
	p.GiveBack(p.m())
	p.RunOut()
	assert.Equal(t, []string{"do a"}, p.trail())
	assert.Equal(t, []string{"refused"}, p.journal("a"))
}

func TestNotYetIsNoAttemptAndLimited(t *testing.T) {
	p := stage(t, root().Then(act("a").Retry(step.Retry{Attempts: 2, Delay: time.Hour})))
	p.Env.NotYetLimit = 10 * time.Second
	p.on("do a", step.NotYet(3*time.Second), step.NotYet(3*time.Second), step.NotYet(3*time.Second), step.NotYet(3*time.Second)).enter(world.Num(1))
	assert.Equal(t, []time.Duration{0, 3 * time.Second, 6 * time.Second, 9 * time.Second}, p.times("do a"))
	p.ended(saga.Compensated)
	assert.ErrorContains(t, p.failure().Cause, saga.ErrNotYetLimit.Error())
	assert.Equal(t, 1, p.failure().Attempts)
	assert.Equal(t, "undo a", p.trail()[4], "its outcome is unknown")
}

func TestNotYetIsAtLeast100ms(t *testing.T) {
	p := stage(t, root().Then(act("a"))).on("do a", step.NotYet(0)).enter(world.Num(1))
	assert.Equal(t, []time.Duration{0, 100 * time.Millisecond}, p.times("do a"))
}

// blob is a value whose encoding has the size that it says, or none.
type blob int

func (b blob) MarshalJSON() ([]byte, error) {
	if b < 0 {
		return nil, errors.New("no encoding")
	}
	data := make([]byte, b)
	for i := range data {
		data[i] = '1'
	}
	return data, nil
}

func (b *blob) UnmarshalJSON(data []byte) error { *b = blob(len(data)); return nil }

func (b blob) MarshalText() ([]byte, error)  { return b.MarshalJSON() }
func (b *blob) UnmarshalText(d []byte) error { return b.UnmarshalJSON(d) }

func blobs(name string, out blob) step.Step[blob, blob] {
	return step.New(name, func(context.Context, blob) (blob, error) { return out, nil }).
		Compensate(func(context.Context, step.Effect[blob, blob]) error { return nil })
}

func TestOutputThatCannotBeStoredIsPermanent(t *testing.T) {
	for name, c := range map[string]struct {
		out   blob
		cause string
	}{
		"no encoding":              {-1, "no encoding"},
		"larger than a payload":    {101, "a value at \"b\" has 101 bytes, the limit is 100"},
		"larger than what is left": {100, "with 100 bytes at \"b\" the saga's record would exceed what it may have before its undos, 150 of 200"},
	} {
		t.Run(name, func(t *testing.T) {
			p := stage(t, flow.New[blob]("main").Then(blobs("a", 40)).Then(blobs("b", c.out).Retry(step.Retry{})))
			p.Env.MaxPayload, p.Env.MaxRecord = 100, 200
			p.enter(blob(10))
			assert.Equal(t, []string{"do a", "do b", "undo b", "undo a"}, p.trail())
			assert.ErrorContains(t, p.failure().Cause, c.cause)
			p.ended(saga.Compensated)
		})
	}
}

func TestInputThatCannotBeStoredIsRefusedBeforeAnythingHappens(t *testing.T) {
	f := flow.New[blob]("main").Then(blobs("a", 5)).Map(func(blob) blob { return 1000 }).Then(blobs("b", 5))
	p := stage(t, f)
	p.Env.MaxPayload = 100
	p.enter(blob(10))
	assert.Equal(t, []string{"do a", "undo a"}, p.trail())
	assert.Equal(t, []string{"refused"}, p.journal("b"))
	assert.ErrorContains(t, p.failure().Cause, saga.ErrTooLarge.Error())
}

func TestPanicOfPureFunctionRefusesTheStepItIsFor(t *testing.T) {
	for name, f := range map[string]flow.Flow[world.Num, world.Num]{
		"map":    root().Then(act("a")).Map(func(world.Num) world.Num { panic("ouch") }).Then(act("b")),
		"adapt":  root().Then(act("a")).Use(act("b"), func(world.Num) world.Num { panic("ouch") }, func(a, b world.Num) world.Num { return a }),
		"if":     root().Then(act("a")).If("b", func(world.Num) bool { panic("ouch") }, act("x"), act("y")),
		"items":  root().Then(act("a")).Each("b", func(world.Num) []world.Num { panic("ouch") }, act("x"), func(n world.Num, _ []world.Num) world.Num { return n }),
		"until":  root().Then(act("a")).Loop("b", 3, root().Map(func(n world.Num) world.Num { return n }), func(world.Num) bool { panic("ouch") }),
		"delay":  root().Then(act("a")).Delay("b", func(world.Num) time.Duration { panic("ouch") }),
		"output": root().Then(act("a")).Map(func(world.Num) world.Num { panic("ouch") }),
	} {
		t.Run(name, func(t *testing.T) {
			p := stage(t, f).enter(world.Num(1))
			p.ended(saga.Compensated)
			assert.EqualError(t, p.failure().Cause, "panic: ouch")
			assert.Equal(t, []string{"do a", "undo a"}, p.trail())
			if name != "output" {
				assert.Equal(t, "b", p.failure().Step)
			}
		})
	}
}

func TestUndecodableOutputIsADeadLetterAndNothingIsGuessed(t *testing.T) {
	p := stage(t, root().Then(act("a")).Then(act("b")))
	p.Env.DecodeAll = true
	p.Watch = func(s *world.Stored) {
		for k, f := range s.Facts {
			if f.Kind == saga.Done && f.Path == "a" {
				fact := s.Journal[k]
				s.Journal[k].Data = append(fact.Data[:len(fact.Data)-1:len(fact.Data)-1], '!')
			}
		}
	}
	p.Start("main", "m", world.Num(1))
	p.Drive(p.m())
	p.Finish(p.m().Owner.Calls[0])
	p.m().Owner.M.Advance(p.Now)
	tr, ok := p.m().Owner.M.Transition(p.Now)
	require.True(t, ok)
	p.Apply(p.m(), tr)
	p.Watch(p.m())
	p.Crash(p.m())
	p.RunOut()
	p.ended(saga.DeadLetter)
	assert.ErrorContains(t, p.failure().Cause, "flow: broken saga at \"a\"")
	assert.Equal(t, []string{"do a"}, p.trail())
}

// odd is an error whose comparison panics.
type odd struct{ parts []string }

func (odd) Error() string { return "odd" }

// trap is an error that panics when it is looked into.
type trap struct{}

func (trap) Error() string   { return "trap" }
func (trap) Is(error) bool   { panic("Is") }
func (trap) As(any) bool     { panic("As") }
func (t trap) Unwrap() error { return t }

type timeout struct{}

func (timeout) Error() string   { return "timeout" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

var _ net.Error = timeout{}

func TestClassify(t *testing.T) {
	spec := &plan.StepSpec{Refuses: []error{world.ErrBroke, odd{[]string{"x"}}}}
	for name, c := range map[string]struct {
		err  error
		want plan.Class
	}{
		"plain":                          {errBoom, plan.Failed},
		"listed":                         {world.ErrBroke, plan.Refused},
		"listed, wrapped":                {fmt.Errorf("no: %w", world.ErrBroke), plan.Refused},
		"listed, beside a timeout":       {errors.Join(world.ErrBroke, context.DeadlineExceeded), plan.Failed},
		"listed, beside a cancel":        {errors.Join(world.ErrBroke, context.Canceled), plan.Failed},
		"listed, beside a network error": {fmt.Errorf("%w: %w", timeout{}, world.ErrBroke), plan.Failed},
		"listed, in a panic":             {step.NewPanic(world.ErrBroke, nil), plan.Failed},
		"marked, beside a timeout":       {step.Refused(errors.Join(errBoom, context.DeadlineExceeded)), plan.Refused},
		"marked, wrapped":                {fmt.Errorf("no: %w", step.Refused(errBoom)), plan.Refused},
		"a mark wins over the list":      {step.Permanent(world.ErrBroke), plan.Permanent},
		"the outermost mark wins":        {step.Permanent(step.Refused(errBoom)), plan.Permanent},
		"panics when it is compared":     {odd{[]string{"y"}}, plan.Failed},
		"panics when it is looked into":  {trap{}, plan.Failed},
		"listed, beside one that panics": {errors.Join(odd{nil}, world.ErrBroke), plan.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			class, _ := saga.Classify(spec, c.err)
			assert.Equal(t, c.want, class)
		})
	}
}

func TestRetriesTakeNoRoomFromOutputs(t *testing.T) {
	p := stage(t, root().Then(plain("p").Pivot()).Then(plain("a")))
	p.Env.MaxRecord = 200
	p.Env.Jitter = func() float64 { return 1 }
	p.on("do a", slices.Repeat([]error{errBoom}, 100)...).enter(world.Num(1))
	p.ended(saga.Succeeded)
	assert.Equal(t, 101, p.the("do a").What.Number)
}
