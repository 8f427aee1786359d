package saga_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/saga"
	"github.com/skald-go/skald/internal/simulate/world"
	"github.com/skald-go/skald/step"
)

// play is a world in which attempts answer what a test wrote for them, in a fixed order.
type play struct {
	*world.World
	t       *testing.T
	scripts map[string][]world.Answer // by "do path" and "undo path": the answers of the attempts, one after the other
	hooks   map[string]func()         // called before an attempt answers, once
}

// stage makes the world of a flow. Nothing happens in it before enter.
func stage[I, O any](t *testing.T, f flow.Flow[I, O]) *play {
	p := &play{t: t, scripts: map[string][]world.Answer{}, hooks: map[string]func(){}}
	p.World = world.New(world.Loaded{}, func(format string, args ...any) {
		t.Helper()
		t.Fatalf(format, args...)
	}, world.Erased(f))
	p.Answers = p.next
	return p
}

// on says what the attempts of "do path" or "undo path" answer. What comes after is: done.
func (p *play) on(call string, errs ...error) *play {
	for _, err := range errs {
		p.scripts[call] = append(p.scripts[call], world.Answer{Err: err, Effect: err == nil})
	}
	return p
}

// when does something just before the first attempt of call answers.
func (p *play) when(call string, do func()) *play {
	p.hooks[call] = do
	return p
}

func (p *play) next(c *world.Call) world.Answer {
	name := c.String()
	if do := p.hooks[name]; do != nil {
		delete(p.hooks, name)
		do()
	}
	if c.Stopped() && len(p.scripts[name]) == 0 {
		return world.Answer{Err: context.Canceled}
	}
	if len(p.scripts[name]) == 0 {
		return world.Answer{Effect: true}
	}
	a := p.scripts[name][0]
	p.scripts[name] = p.scripts[name][1:]
	return a
}

// enter starts saga "m" of flow "main", and lets everything happen that can.
func (p *play) enter(input any) *play {
	p.Start("main", "m", input)
	p.RunOut()
	return p
}

func (p *play) m() *world.Stored { return p.Saga("m") }

// calls gives the attempts of a saga in the order in which they began.
func (p *play) trail() (names []string) {
	for _, c := range p.Calls {
		names = append(names, c.String())
	}
	return names
}

// times gives when the attempts of a call began.
func (p *play) times(name string) (at []time.Duration) {
	for _, c := range p.Calls {
		if c.String() == name {
			at = append(at, c.At.Sub(world.Epoch))
		}
	}
	return at
}

// the gives the last attempt of a call.
func (p *play) the(name string) *world.Call {
	for k := len(p.Calls) - 1; k >= 0; k-- {
		if p.Calls[k].String() == name {
			return p.Calls[k]
		}
	}
	p.t.Fatalf("there was no %s in %v", name, p.trail())
	return nil
}

// ended looks that a saga has come to an end, and gives what it left.
func (p *play) ended(end saga.End) saga.Outcome {
	p.t.Helper()
	want := broker.Finished
	if end == saga.DeadLetter {
		want = broker.Buried
	}
	require.Equal(p.t, want, p.m().State)
	o, err := saga.DecodeOutcome(p.m().Outcome)
	require.NoError(p.t, err)
	require.Equal(p.t, end, o.End)
	return o
}

// endedWith looks that a saga has succeeded, and with what.
func (p *play) endedWith(want world.Num) {
	p.t.Helper()
	got, err := world.Payloads{}.Decode(p.Program("main").Def.Root.Out, p.ended(saga.Succeeded).Value)
	require.NoError(p.t, err)
	require.Equal(p.t, want, got)
}

func (p *play) failure() saga.Failure { return p.Fails["m"] }

// kinds gives what the journal tells of a path, in order.
func (p *play) journal(path string) (kinds []string) {
	for _, f := range p.m().Facts {
		if f.Path == path {
			kinds = append(kinds, f.Kind.String())
		}
	}
	return kinds
}

// by hand a person decides about the dead letter.
func (p *play) byHand(kind, name string) {
	p.Resolve(p.m(), kind, name, saga.Note{Who: "ann", Why: "because"})
	p.RunOut()
}

func (p *play) cancel() { p.Post("m", saga.EventCancel, "changed my mind", nil) }

// act is a step with an undo.
func act(name string) step.Step[world.Num, world.Num] {
	return plain(name).Compensate(func(context.Context, step.Effect[world.Num, world.Num]) error { return nil })
}

// plain is a step without one.
func plain(name string) step.Step[world.Num, world.Num] {
	return step.New(name, func(_ context.Context, n world.Num) (world.Num, error) { return n.Mix(name), nil })
}

func root() flow.Flow[world.Num, world.Num] { return flow.New[world.Num]("main") }

func sum(_, a, b world.Num) world.Num { return a + b }

func sum3(_, a, b, c world.Num) world.Num { return a + b + c }

var errBoom = fmt.Errorf("boom")
