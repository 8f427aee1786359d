package world

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/step"
)

// Num is the value of most generated flows: no two holders of one share anything.
type Num uint64

// Mix gives another number, which depends on both: FNV-1a of "name:number".
func (n Num) Mix(name string) Num {
	var digits [20]byte
	h := uint64(14695981039346656037)
	for k := range len(name) {
		h = (h ^ uint64(name[k])) * fnvPrime
	}
	h = (h ^ ':') * fnvPrime
	for _, c := range strconv.AppendUint(digits[:0], uint64(n), 10) {
		h = (h ^ uint64(c)) * fnvPrime
	}
	return Num(h >> 16)
}

const fnvPrime = 1099511628211

func (n Num) bits() uint64 { return uint64(n) }

// box is the value of the others: copies of it share a slice.
type box struct {
	N    uint64
	Tags []string
}

func (b box) Mix(name string) box {
	return box{N: Num(b.N).Mix(name).bits(), Tags: []string{name}}
}

func (b box) bits() uint64 { return b.N }

type value[T any] interface {
	Mix(name string) T
	bits() uint64
}

// maker makes random flows of values T.
type maker[T value[T]] struct {
	d       Dice
	pures   *int // calls of pure functions; nil: nobody counts
	prefix  string
	names   int
	signals []flow.Signal[T]
	left    int // how many more parts it may use
}

// where says what may stand at a place.
type where struct {
	root   bool
	depth  int
	inside bool // of a group of parts: no pivot
	tail   bool // after a pivot: nothing is undone
}

func (w where) deeper(inside bool) where {
	w.depth++
	w.root = false
	w.inside = w.inside || inside
	return w
}

func newMaker[T value[T]](d Dice, prefix string, parts int, pures *int) *maker[T] {
	m := &maker[T]{d: d, prefix: prefix, pures: pures, left: parts}
	for _, name := range []string{"paid", "sent"} {
		m.signals = append(m.signals, flow.NewSignal[T](name))
	}
	return m
}

func (g *maker[T]) name(prefix string) string {
	g.names++
	return fmt.Sprintf("%s%d", prefix, g.names)
}

func (g *maker[T]) pure() {
	if g.pures != nil {
		*g.pures++
	}
}

func (g *maker[T]) join(name string) func(a, b T) T {
	return func(a, b T) T {
		g.pure()
		return a.Mix(name).Mix(fmt.Sprint(b.bits()))
	}
}

func (g *maker[T]) mixer(name string) func(T) T {
	return func(v T) T {
		g.pure()
		return v.Mix(name)
	}
}

// saga makes a whole flow, sometimes with a pivot.
func (g *maker[T]) saga(name string, at where) flow.Flow[T, T] {
	f := g.chain(flow.New[T](name), at)
	for at.root && steps(f.Plan().Node) < 3 {
		f = f.Then(g.step(at))
	}
	if !at.inside && !at.tail && OneIn(g.d, 4) {
		f = g.pivot(f, at)
		at.tail = true
		f = g.chain(f, at)
	}
	if OneIn(g.d, 5) {
		f = f.Deadline(time.Duration(1+g.d.N(5)) * 200 * time.Millisecond)
	}
	if OneIn(g.d, 5) {
		f = f.UndoInOrder()
	}
	if OneIn(g.d, 5) {
		f = f.StopUndoOnFailure()
	}
	return f
}

// steps counts those in a part of a flow.
func steps(n *plan.Node) (count int) {
	for _, n := range everyNode(n) {
		if n.Kind == plan.Step {
			count++
		}
	}
	return count
}

func (g *maker[T]) pivot(f flow.Flow[T, T], at where) flow.Flow[T, T] {
	p := func() step.Step[T, T] { return g.plainStep(at, false).Pivot() }
	if OneIn(g.d, 3) {
		return f.If(g.name("fork"), g.cond(), p(), p())
	}
	return f.Then(p())
}

func (g *maker[T]) chain(f flow.Flow[T, T], at where) flow.Flow[T, T] {
	for range 1 + g.d.N(3) {
		f = g.add(f, at)
	}
	return f
}

func (g *maker[T]) cond() func(T) bool {
	return func(v T) bool {
		g.pure()
		return v.bits()%2 == 0
	}
}

// add puts one more part at the end of f.
func (g *maker[T]) add(f flow.Flow[T, T], at where) flow.Flow[T, T] {
	g.left--
	if at.depth > 3 || g.left < 0 {
		return f.Then(g.step(at))
	}
	in, name := at.deeper(true), g.name
	switch g.d.N(18) {
	default:
		return f.Then(g.step(at))
	case 3:
		return f.Also(g.part(at.deeper(true)), g.join("also"))
	case 4:
		return f.Use(g.part(at.deeper(true)), g.mixer("adapt"), g.join("use"))
	case 5:
		return f.Map(g.mixer("map"))
	case 6:
		return f.If(name("if"), g.cond(), g.part(in), g.part(in))
	case 7:
		return f.When(name("when"), g.cond(), g.part(in))
	case 8:
		return g.choose(f, in)
	case 9:
		return f.Both(name("both"), g.part(in), g.part(in), func(v, a, b T) T { return g.join("both")(g.join("x")(v, a), b) })
	case 10:
		return f.All3(name("all"), g.part(in), g.part(in), g.part(in), func(v, a, b, c T) T { return g.join("all3")(g.join("x")(a, b), c) })
	case 11:
		return g.each(f, in)
	case 12:
		if at.tail {
			return f.Then(g.step(at))
		}
		if OneIn(g.d, 2) {
			return f.Race(name("race"), g.part(in), g.part(in), g.part(in))
		}
		return f.Race(name("race"), g.part(in), g.part(in))
	case 13:
		return f.Loop(name("loop"), 1+g.d.N(3), g.part(in), func(v T) bool {
			g.pure()
			return v.bits()%3 != 0
		})
	case 14:
		return f.Delay(name("delay"), func(v T) time.Duration {
			g.pure()
			return time.Duration(v.bits()%5) * 60 * time.Millisecond
		})
	case 15:
		return f.Wait(g.signal(), g.join("wait"))
	case 16:
		return f.WaitFor(g.signal(), time.Duration(1+g.d.N(4))*100*time.Millisecond, g.join("wait"), g.part(in))
	case 17:
		return f.Then(g.part(at.deeper(false)))
	}
}

func (g *maker[T]) signal() flow.Signal[T] { return Pick(g.d, g.signals...).As(g.name("wait")) }

func (g *maker[T]) choose(f flow.Flow[T, T], in where) flow.Flow[T, T] {
	arms := []flow.Arm[T, T]{flow.Case("0", g.part(in)), flow.Case("1", g.part(in))}
	if !OneIn(g.d, 3) {
		arms = append(arms, flow.Default(g.part(in)))
	}
	return f.Switch(g.name("switch"), func(v T) string {
		g.pure()
		return fmt.Sprint(v.bits() % 3)
	}, arms...)
}

func (g *maker[T]) each(f flow.Flow[T, T], in where) flow.Flow[T, T] {
	items := func(v T) (all []T) {
		g.pure()
		for k := range v.bits() % 4 {
			all = append(all, v.Mix(fmt.Sprint(k)))
		}
		return all
	}
	join := func(v T, outs []T) T {
		g.pure()
		for _, out := range outs {
			v = v.Mix(fmt.Sprint(out.bits()))
		}
		return v
	}
	var opts []flow.EachOption
	if n := g.d.N(4); n > 0 {
		opts = append(opts, flow.Parallel(n))
	}
	return f.Each(g.name("each"), items, g.part(in), join, opts...)
}

// part is a step, a flow inside the saga, or a saga of its own.
func (g *maker[T]) part(at where) flow.Part[T, T] {
	g.left--
	switch n := g.d.N(8); {
	case at.depth > 3 || g.left < 0 || n < 5:
		return g.step(at)
	case n < 7:
		return g.chain(flow.New[T](g.name("flow")), at.deeper(false))
	default:
		return flow.Child(g.saga(g.name(g.prefix+"child"), where{depth: at.depth + 2, inside: true, tail: at.tail}))
	}
}

func (g *maker[T]) step(at where) step.Step[T, T] {
	s := g.plainStep(at, OneIn(g.d, 8))
	switch {
	case at.tail:
		return s
	case OneIn(g.d, 8):
		return s.ReadOnly()
	case OneIn(g.d, 8):
		return s
	}
	s = s.Compensate(func(ctx context.Context, e step.Effect[T, T]) error {
		tell(ctx, Seen{In: e.In, Out: e.Out, Known: e.Known, Cause: e.Cause})
		return nil
	})
	if g.d.N(2) == 1 {
		s = s.RetryUndo(step.Retry{Attempts: 1 + g.d.N(2)})
	}
	return s
}

func (g *maker[T]) plainStep(at where, pass bool) step.Step[T, T] {
	name := g.name("s")
	s := step.New(name, func(ctx context.Context, v T) (T, error) {
		tell(ctx, Seen{In: v})
		return v.Mix(name), nil
	})
	if pass {
		s = step.Do(name, func(ctx context.Context, v T) error {
			tell(ctx, Seen{In: v})
			return nil
		})
	}
	if g.d.N(2) == 1 {
		s = s.Retry(step.Retry{Attempts: 1 + g.d.N(3), Delay: 150 * time.Millisecond})
	}
	if OneIn(g.d, 10) {
		s = s.Retriable()
	}
	return s.Refuses(ErrBroke)
}

// Seen is what the function of a generated step or undo was given.
type Seen struct {
	In, Out any // Out, Known, Cause: of an undo
	Known   bool
	Cause   error
}

type seenKey struct{}

// Watched gives a context in which the functions of generated steps tell what they were given.
func Watched(ctx context.Context, seen *Seen) context.Context {
	return context.WithValue(ctx, seenKey{}, seen)
}

func tell(ctx context.Context, what Seen) {
	if ctx == nil {
		return
	}
	if seen, ok := ctx.Value(seenKey{}).(*Seen); ok {
		*seen = what
	}
}

// Flow makes a random flow of numbers with at least three steps.
func Flow(d Dice, name string, parts int) flow.Flow[Num, Num] {
	return newMaker[Num](d, name+"-", parts, nil).saga(name, where{root: true})
}

// Erased is the definition of f as engines have it.
func Erased[I, O any](f flow.Flow[I, O]) *plan.Def {
	return &plan.Def{Name: f.Name(), Root: f.Plan().Node.WithName("")}
}
