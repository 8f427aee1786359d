package sagatest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/skald-go/skald/flow"
)

// sketch is a part of a flow that can be changed before the flow is made of it.
type sketch struct {
	kind, name string
	undo       bool
	kids       []*sketch // of a flow: what is in it; of others: flows
}

// sketcher draws sketches with names of their own.
type sketcher struct {
	t     *rapid.T
	names int
}

func (d *sketcher) name() string {
	d.names++
	return fmt.Sprint("n", d.names)
}

func (d *sketcher) flow(depth int) *sketch {
	f := &sketch{kind: "flow", name: d.name()}
	for range rapid.IntRange(1, 3).Draw(d.t, "parts") {
		f.kids = append(f.kids, d.part(depth))
	}
	return f
}

func (d *sketcher) part(depth int) *sketch {
	s := &sketch{name: d.name(), undo: rapid.Bool().Draw(d.t, "undo")}
	s.kind = rapid.SampledFrom([]string{"step", "step", "delay", "wait", "flow", "if", "when", "both", "each", "one by one", "race", "loop"}).Draw(d.t, "kind")
	flows := map[string]int{"if": 2, "when": 1, "both": 2, "each": 1, "one by one": 1, "race": 2, "loop": 1}[s.kind]
	switch {
	case depth == 0 && (flows > 0 || s.kind == "flow"):
		s.kind = "step"
	case s.kind == "flow":
		return d.flow(depth - 1)
	default:
		for range flows {
			s.kids = append(s.kids, d.flow(depth-1))
		}
	}
	return s
}

// made is the flow that a sketch of one is of.
func (s *sketch) made(name string) counting {
	f := flow.New[int](name)
	for _, kid := range s.kids {
		f = kid.added(f)
	}
	return f
}

func (s *sketch) added(f counting) counting {
	kid := func(i int) counting { return s.kids[i].made(s.kids[i].name) }
	switch s.kind {
	case "delay":
		return f.Delay(s.name, anHour)
	case "wait":
		return f.WaitFor(paid.As(s.name), time.Hour, plus, with("late"))
	case "flow":
		return f.Then(s.made(s.name))
	case "if":
		return f.If(s.name, even, kid(0), kid(1))
	case "when":
		return f.When(s.name, even, kid(0))
	case "both":
		return f.Both(s.name, kid(0), kid(1), first)
	case "each":
		return f.Each(s.name, three, kid(0), firstOf)
	case "one by one":
		return f.Each(s.name, three, kid(0), firstOf, flow.Parallel(1))
	case "race":
		return f.Race(s.name, kid(0), kid(1))
	case "loop":
		return f.Loop(s.name, 3, kid(0), threes)
	case "step":
		if s.undo {
			return f.Then(with(s.name))
		}
		return f.Then(bare(s.name))
	}
	panic(s.kind)
}

// sequences gives all flows in a sketch.
func (s *sketch) sequences() (all []*sketch) {
	if s.kind == "flow" {
		all = append(all, s)
	}
	for _, kid := range s.kids {
		all = append(all, kid.sequences()...)
	}
	return all
}

// change does to a sketch what people do to flows.
func (d *sketcher) change(s *sketch) {
	seq := rapid.SampledFrom(s.sequences()).Draw(d.t, "where")
	if len(seq.kids) == 0 {
		return
	}
	at := rapid.IntRange(0, len(seq.kids)-1).Draw(d.t, "at")
	part := seq.kids[at]
	switch rapid.SampledFrom([]string{"insert", "append", "remove", "rename", "swap", "undo", "kind", "nothing"}).Draw(d.t, "change") {
	case "insert":
		seq.kids = slices.Insert(seq.kids, at, d.part(0))
	case "append":
		seq.kids = append(seq.kids, d.part(0))
	case "remove":
		seq.kids = slices.Delete(seq.kids, at, at+1)
	case "rename":
		part.name += "x"
	case "swap":
		other := rapid.IntRange(0, len(seq.kids)-1).Draw(d.t, "with")
		seq.kids[at], seq.kids[other] = seq.kids[other], seq.kids[at]
	case "undo":
		part.undo = !part.undo
	case "kind":
		part.kind, part.kids = "delay", nil
	}
}

// Whatever becomes of a definition: where Compatible has nothing to say, every saga of the old one can go on.
func TestWhereCompatibleIsSilentAllSagasGoOn(t *testing.T) {
	silentOnes := 0
	rapid.Check(t, func(rt *rapid.T) {
		d := &sketcher{t: rt}
		s := d.flow(2)
		old := s.made("f")
		for range rapid.IntRange(1, 2).Draw(rt, "changes") {
			d.change(s)
		}
		now := s.made("f")
		if len(judge(recordOf(definitionOf(old)), recordOf(definitionOf(now)))) > 0 {
			return
		}
		silentOnes++
		for seed := range 12 {
			var shots []flow.Exported
			rapid.SyncTest(rt, func(rt *rapid.T) { shots = shotsOf(rt, old, seed) })
			for _, x := range shots {
				require.NoError(rt, canGoOn(context.Background(), x, now, silent))
			}
		}
	})
	require.Positive(t, silentOnes)
}
