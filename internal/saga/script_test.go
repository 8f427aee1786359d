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
	"github.com/skald-go/skald/step"
)

// play is a world in which attempts answer what a test wrote for them, in a fixed order.
type play struct {
	*world
	t       *testing.T
	scripts map[string][]answer // by "do path" and "undo path": the answers of the attempts, one after the other
	hooks   map[string]func()   // called before an attempt answers, once
}

// stage makes the world of a flow. Nothing happens in it before enter.
func stage[I, O any](t *testing.T, f flow.Flow[I, O]) *play {
	p := &play{t: t, scripts: map[string][]answer{}, hooks: map[string]func(){}}
	p.world = newWorld(loaded{}, func(format string, args ...any) {
		t.Helper()
		t.Fatalf(format, args...)
	}, erased(f))
	p.answers = p.next
	return p
}

// on says what the attempts of "do path" or "undo path" answer. What comes after is: done.
func (p *play) on(call string, errs ...error) *play {
	for _, err := range errs {
		p.scripts[call] = append(p.scripts[call], answer{err: err, effect: err == nil})
	}
	return p
}

// when does something just before the first attempt of call answers.
func (p *play) when(call string, do func()) *play {
	p.hooks[call] = do
	return p
}

func (p *play) next(c *call) answer {
	name := c.String()
	if do := p.hooks[name]; do != nil {
		delete(p.hooks, name)
		do()
	}
	if c.stopped && len(p.scripts[name]) == 0 {
		return answer{err: context.Canceled}
	}
	if len(p.scripts[name]) == 0 {
		return answer{effect: true}
	}
	a := p.scripts[name][0]
	p.scripts[name] = p.scripts[name][1:]
	return a
}

// enter starts saga "m" of flow "main", and lets everything happen that can.
func (p *play) enter(input any) *play {
	p.start("main", "m", input)
	p.run()
	return p
}

func (p *play) m() *stored { return p.stored["m"] }

// calls gives the attempts of a saga in the order in which they began.
func (p *play) trail() (names []string) {
	for _, c := range p.calls {
		names = append(names, c.String())
	}
	return names
}

// times gives when the attempts of a call began.
func (p *play) times(name string) (at []time.Duration) {
	for _, c := range p.calls {
		if c.String() == name {
			at = append(at, c.at.Sub(epoch))
		}
	}
	return at
}

// the gives the last attempt of a call.
func (p *play) the(name string) *call {
	for k := len(p.calls) - 1; k >= 0; k-- {
		if p.calls[k].String() == name {
			return p.calls[k]
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
	require.Equal(p.t, want, p.m().state)
	o, err := saga.DecodeOutcome(p.m().outcome)
	require.NoError(p.t, err)
	require.Equal(p.t, end, o.End)
	return o
}

// endedWith looks that a saga has succeeded, and with what.
func (p *play) endedWith(want num) {
	p.t.Helper()
	got, err := payloads{}.Decode(p.progs["main"].Def.Root.Out, p.ended(saga.Succeeded).Value)
	require.NoError(p.t, err)
	require.Equal(p.t, want, got)
}

func (p *play) failure() saga.Failure { return p.fails["m"] }

// kinds gives what the journal tells of a path, in order.
func (p *play) journal(path string) (kinds []string) {
	for _, f := range p.m().facts {
		if f.Path == path {
			kinds = append(kinds, f.Kind.String())
		}
	}
	return kinds
}

// by hand a person decides about the dead letter.
func (p *play) byHand(kind, name string) {
	p.resolve(p.m(), kind, name, saga.Note{Who: "ann", Why: "because"})
	p.run()
}

func (p *play) cancel() { p.post("m", saga.EventCancel, "changed my mind", nil) }

// act is a step with an undo.
func act(name string) step.Step[num, num] {
	return plain(name).Compensate(func(context.Context, step.Effect[num, num]) error { return nil })
}

// plain is a step without one.
func plain(name string) step.Step[num, num] {
	return step.New(name, func(_ context.Context, n num) (num, error) { return n.mix(name), nil })
}

func root() flow.Flow[num, num] { return flow.New[num]("main") }

func sum(_, a, b num) num { return a + b }

func sum3(_, a, b, c num) num { return a + b + c }

var errBoom = fmt.Errorf("boom")
