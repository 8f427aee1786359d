package flow

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/step"
)

// evaluate is all that a definition says of values: one saga without a failure, in which everything is
// done in order, every signal has come, and the last competitor wins.
func evaluate(def *plan.Def, in any, signals map[string]any) (any, error) {
	return runner(signals).node(def.Root, in)
}

type runner map[string]any

func (r runner) node(n *plan.Node, in any) (any, error) {
	switch n.Kind {
	case plan.Step:
		return n.Step.Do(context.Background(), in)
	case plan.Child:
		return r.node(n.Child.Root, in)
	case plan.Map:
		return n.Pure(in), nil
	case plan.Join:
		return r.join(n, in)
	case plan.Choice:
		pick, err := n.Pick(in)
		if err != nil || pick == plan.None {
			return in, err
		}
		return r.node(n.Kids[pick], in)
	case plan.Each:
		return r.each(n, in)
	case plan.Loop:
		return r.loop(n, in)
	case plan.Delay:
		return in, errIf(n.For(in) != time.Minute, "delay")
	case plan.Wait:
		if letter, ok := r[n.Signal]; ok {
			return n.Combine(in, letter), nil
		}
		return r.node(n.Kids[0], in)
	case plan.All, plan.Race:
		outs, err := r.all(n.Kids, in)
		if err != nil || n.Kind == plan.Race {
			return outs[len(outs)-1], err
		}
		return n.Gather(in, outs), nil
	default:
		for _, kid := range n.Kids {
			var err error
			if in, err = r.node(kid, in); err != nil {
				return nil, err
			}
		}
		return in, nil
	}
}

func (r runner) join(n *plan.Node, in any) (any, error) {
	arg := in
	if n.Adapt != nil {
		arg = n.Adapt(in)
	}
	out, err := r.node(n.Kids[0], arg)
	return n.Combine(in, out), err
}

func (r runner) all(kids []*plan.Node, in any) (outs []any, err error) {
	for _, kid := range kids {
		out, e := r.node(kid, in)
		outs, err = append(outs, out), errors.Join(err, e)
	}
	return outs, err
}

func (r runner) each(n *plan.Node, in any) (any, error) {
	items, outs := n.Items(in), []any(nil)
	for i := range n.Count(items) {
		out, err := r.node(n.Kids[0], n.Item(items, i))
		if err != nil {
			return nil, err
		}
		outs = append(outs, out)
	}
	return n.Gather(in, outs), nil
}

func (r runner) loop(n *plan.Node, in any) (out any, err error) {
	for range n.Max {
		if in, err = r.node(n.Kids[0], in); err != nil || n.Until(in) {
			return in, err
		}
	}
	return nil, errors.New("rounds")
}

func errIf(wrong bool, what string) error {
	if wrong {
		return errors.New(what)
	}
	return nil
}

// The steps of these tests. They work on texts, so that a result shows how it came about.
func named(name string) step.Step[string, string] {
	return step.New(name, func(_ context.Context, in string) (string, error) { return name + "(" + in + ")", nil })
}

var (
	a, b, c = named("a"), named("b"), named("c")
	double  = step.New("double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })
	refuse  = step.New("refuse", func(context.Context, string) (string, error) { return "", step.Refused(nil) })
	undoing = a.As("undoing").Compensate(func(context.Context, step.Effect[string, string]) error { return nil })
	pivot   = a.As("pivot").Pivot()
	sig     = NewSignal[int]("sig")
	begin   = New[string]("f")
)

func join(s ...string) string { return fmt.Sprint(s) }

func join2(x, y string) string          { return join(x, y) }
func join3(x, y, z string) string       { return join(x, y, z) }
func join4(w, x, y, z string) string    { return join(w, x, y, z) }
func joinEach(x string, y []int) string { return x + fmt.Sprint(y) }
func received(s string, n int) string   { return s + "!" + strconv.Itoa(n) }
func itself(s string) string            { return s }
func isX(s string) bool                 { return s == "x" }
func long(s string) bool                { return len(s) > 7 }
func minute(string) time.Duration       { return time.Minute }
func lens(s string) []int {
	var lens []int
	for i := range s {
		lens = append(lens, i)
	}
	return lens
}

func TestValuesGoThrough(t *testing.T) {
	inner := New[string]("inner").Then(b).Map(func(s string) string { return "<" + s + ">" })
	for name, tt := range map[string]struct {
		flow Definition
		want any // made of "x"
	}{
		"nothing":          {begin, "x"},
		"Then":             {begin.Then(a).Then(b), "b(a(x))"},
		"Then a flow":      {begin.Then(a).Then(inner), "<b(a(x))>"},
		"Then a child":     {begin.Then(Child(inner)), "<b(x)>"},
		"Also":             {begin.Also(a, join2), "[x a(x)]"},
		"Use":              {begin.Use(double, func(s string) int { return len(s) }, received), "x!2"},
		"Map":              {begin.Map(func(s string) int { return len(s) }), 1},
		"If true":          {begin.If("if", isX, a, b), "a(x)"},
		"If false":         {begin.If("if", long, a, b), "b(x)"},
		"When true":        {begin.When("when", isX, a), "a(x)"},
		"When false":       {begin.When("when", long, a), "x"},
		"Switch":           {begin.Switch("switch", itself, Case("y", a), Case("x", b), Default(c)), "b(x)"},
		"Switch default":   {begin.Switch("switch", itself, Case("y", a), Default(c), Case("z", b)), "c(x)"},
		"Both":             {begin.Both("both", a, b, join3), "[x a(x) b(x)]"},
		"All3":             {begin.All3("all", a, b, c, join4), "[x a(x) b(x) c(x)]"},
		"Each":             {begin.Then(a).Each("each", lens, double, joinEach), "a(x)[0 2 4 6]"},
		"Each of nothing":  {begin.Each("each", func(string) []int { return nil }, double, joinEach), "x[]"},
		"Race":             {begin.Race("race", a, b, c), "c(x)"},
		"Loop":             {begin.Loop("loop", 9, a, long), "a(a(a(x)))"},
		"Delay":            {begin.Delay("delay", minute), "x"},
		"Wait":             {begin.Wait(sig, received), "x!7"},
		"Wait under alias": {begin.Wait(sig, received).Wait(sig.As("again"), received), "x!7!7"},
		"WaitFor":          {begin.WaitFor(sig, time.Hour, received, a), "x!7"},
		"WaitFor too late": {begin.WaitFor(NewSignal[int]("never"), time.Hour, received, a), "a(x)"},
		"pointer":          {New[*int]("f").Map(func(p *int) bool { return p == nil }), true},
	} {
		t.Run(name, func(t *testing.T) {
			def, err := tt.flow.definition()
			require.NoError(t, err)
			require.Equal(t, reflectType(tt.want), def.Root.Out.String())
			var in any = "x"
			if name == "pointer" {
				in = (*int)(nil)
			}
			out, err := evaluate(def, in, map[string]any{"sig": 7})
			require.NoError(t, err)
			require.Equal(t, tt.want, out)
		})
	}
}

func reflectType(v any) string { return fmt.Sprintf("%T", v) }

func TestASwitchWithoutACaseNamesItsKey(t *testing.T) {
	f := begin.Switch("region", itself, Case("eu", a))
	_, err := evaluate(f.def, "asia", nil)
	require.ErrorIs(t, err, ErrNoCase)
	require.EqualError(t, err, `flow: "f".Switch("region"): no such case: "asia"`)
}

func TestErrorsOfStepsComeThrough(t *testing.T) {
	_, err := evaluate(begin.Then(refuse).def, "x", nil)
	require.Error(t, err)
}

func TestSettings(t *testing.T) {
	f := begin.Deadline(time.Hour).Then(a).Version(3).UndoInOrder().StopUndoOnFailure()
	require.Equal(t, plan.Settings{Deadline: time.Hour, Version: 3, UndoInOrder: true, StopAtFailed: true}, *f.def.Root.Settings)
	require.Equal(t, 3, f.def.Version())
	require.Equal(t, 1, begin.def.Version())
	require.Equal(t, 1, begin.UndoInOrder().def.Version())
	require.Equal(t, 2, begin.Version(1).Version(2).def.Version())
}

func TestOptionsStandInTheirNodes(t *testing.T) {
	last := func(d Definition) *plan.Node {
		def, err := d.definition()
		require.NoError(t, err)
		return def.Root.Kids[len(def.Root.Kids)-1]
	}
	require.Equal(t, 8, last(begin.Each("each", lens, double, joinEach, Parallel(8))).Parallel)
	require.Equal(t, 0, last(begin.Each("each", lens, double, joinEach)).Parallel)
	require.Equal(t, 9, last(begin.Loop("loop", 9, a, isX)).Max)
	require.Equal(t, time.Hour, last(begin.WaitFor(sig, time.Hour, received, a)).Within)
	wait := last(begin.Wait(sig.As("again"), received))
	require.Equal(t, "again", wait.Name)
	require.Equal(t, "sig", wait.Signal)
	child := last(begin.Then(Child(New[string]("inner").Deadline(time.Hour)).As("mine")))
	require.Equal(t, "mine", child.Name)
	require.Equal(t, "inner", child.Child.Name)
	require.Equal(t, time.Hour, child.Child.Root.Settings.Deadline)
}

func TestAZeroFlowIsAnErrorForEngines(t *testing.T) {
	_, err := Flow[int, string]{}.definition()
	require.EqualError(t, err, "flow: a zero flow.Flow[int,string] was used: make it with flow.New")
}

func TestFlowsAreImmutable(t *testing.T) {
	base := New[string]("base").Then(a)
	before := base.Mermaid()
	left := base.Then(b)
	right := base.Then(c)
	base.Deadline(time.Hour)
	base.Version(7)
	renamed := base.As("other")
	require.Equal(t, before, base.Mermaid())
	require.Nil(t, base.def.Root.Settings)
	require.Equal(t, "base", base.Name())
	require.Equal(t, "other", renamed.Name())
	require.Equal(t, []string{"a", "b"}, left.Steps())
	require.Equal(t, []string{"a", "c"}, right.Steps())

	signal := NewSignal[int]("sig")
	signal.As("again")
	require.Equal(t, []string{"sig"}, New[string]("f").Wait(signal, received).Steps())
	child := Child(base)
	child.As("mine")
	require.Equal(t, []string{"base"}, New[string]("f").Then(child).Steps())
}
