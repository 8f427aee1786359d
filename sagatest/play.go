package sagatest

import (
	"context"
	"fmt"
	"time"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/plan"
)

// play is one saga in a world of its own, without its types. It is made in the bubble that runs it.
type play struct {
	def       *plan.Def
	served    flow.Definition
	start     func(ctx context.Context, e *flow.Engine, id string) (handle, error)
	attach    func(e *flow.Engine, id string) handle
	signals   func(Waiting) error
	snapshot  func() any // nil: the user gives none
	meanwhile func()
	breaks    func(path string) (repair func())
	checks    []check
	expected  any // what snapshot gives when the saga is undone
	keeps     []string
	pulse     *pulse // nil outside of the matrix
}

// check is an invariant that is bound to a world.
type check struct {
	name  string
	check func(Final) error
}

// handle is a future without its type.
type handle struct {
	await  func(ctx context.Context) (any, error)
	cancel func(ctx context.Context, reason string) error
}

func handleOf[O any](f flow.Future[O]) handle {
	return handle{
		await:  func(ctx context.Context) (any, error) { return f.Await(ctx) },
		cancel: f.Cancel,
	}
}

// staging makes plays of a saga in a world. deadline is that of the saga; 0 leaves what it has. With others, what others do is
// part of what is expected in the end. The pulse hears of the test's functions that are called.
type staging func(deadline time.Duration, others bool, beat *pulse) *play

func stagingOf[W, I, O any](saga func(W) flow.Flow[I, O], world World[W, I]) staging {
	return func(deadline time.Duration, others bool, beat *pulse) *play {
		w := beat.ask("World.New", world.New)
		f := beat.ask("the function that makes the saga", func() flow.Flow[I, O] { return saga(w) })
		if deadline > 0 {
			f = f.Deadline(deadline)
		}
		p := playOf(f, func() I { return beat.ask("World.Input", func() I { return world.Input(w) }) })
		p.pulse = beat
		p.bind(w, world, others)
		return p
	}
}

func playOf[I, O any](f flow.Flow[I, O], input func() I) *play {
	return &play{
		def: &plan.Def{Name: f.Name(), Root: f.Plan().Node.WithName("")}, served: f,
		start: func(ctx context.Context, e *flow.Engine, id string) (handle, error) {
			future, err := f.Start(ctx, e, input(), flow.ID(id))
			return handleOf(future), err
		},
		attach: func(e *flow.Engine, id string) handle { return handleOf(f.Attach(e, id)) },
	}
}

// bind takes from the world what the play needs, and remembers how the world is before the saga.
func (p *play) bind[W, I any](w W, world World[W, I], others bool) {
	p.keeps = world.Keeps
	if world.Signals != nil {
		p.signals = func(at Waiting) error {
			return p.pulse.ask("World.Signals at "+at.Path, func() error { return world.Signals(w, at) })
		}
	}
	if world.Meanwhile != nil {
		p.meanwhile = func() { p.pulse.act("World.Meanwhile", func() { world.Meanwhile(w) }) }
	}
	if world.Break != nil {
		p.breaks = func(path string) func() { return p.breaking(path, func() func() { return world.Break(w, path) }) }
	}
	if world.Snapshot != nil {
		p.snapshot = func() any { return p.pulse.ask("World.Snapshot", func() any { return world.Snapshot(w) }) }
		p.expected = p.pulse.ask("World.Snapshot", func() any { return world.Snapshot(expectedOf(p.pulse, w, world, others)) })
	}
	for _, i := range world.Invariants {
		if others && i.compares {
			continue
		}
		name := fmt.Sprintf("the invariant %q", i.Name)
		holds := p.pulse.ask(name, func() func(Final) error { return i.Bind(w) })
		p.checks = append(p.checks, check{i.Name, func(f Final) error { return p.pulse.ask(name, func() error { return holds(f) }) }})
	}
}

// expectedOf is the world of a saga that is undone: that before the saga, or one in which only others have acted.
func expectedOf[W, I any](beat *pulse, w W, world World[W, I], others bool) W {
	if !others {
		return w
	}
	model := beat.ask("World.New", world.New)
	beat.act("World.Meanwhile", func() { world.Meanwhile(model) })
	return model
}

// breaking lets a participant fail.
func (p *play) breaking(path string, breaks func() func()) func() {
	repair := p.pulse.ask("World.Break of "+path, breaks)
	if repair == nil {
		return nil
	}
	return func() { p.pulse.act("the repair of World.Break of "+path, repair) }
}
