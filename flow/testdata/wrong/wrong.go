// Package wrong holds programs that must not compile. After "want" stands what the compiler says of
// the next line: from ", type" on, if it says that.
package wrong

import (
	"context"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

type (
	A struct{}
	B struct{}
	C struct{}
)

func ab(context.Context, A) (B, error)                { return B{}, nil }
func bc(context.Context, B) (C, error)                { return C{}, nil }
func undoAC(context.Context, step.Effect[A, C]) error { return nil }
func isB(B) bool                                      { return true }

var (
	AB = step.New("ab", ab)
	BC = step.New("bc", bc)
	BB = step.Do("bb", func(context.Context, B) error { return nil })

	start = flow.New[A]("start")
	sig   = flow.NewSignal[C]("sig")
)

var (
	// want , type step.Step[B, C] of BC does not match flow.Part[A, P] (cannot infer P)
	_ = start.Then(BC)

	// want , type step.Step[A, B] of AB does not match flow.Part[B, P] (cannot infer P)
	_ = start.Then(AB).Then(AB)

	// want , type func(context.Context, A) (B, error) of ab does not match flow.Part[A, P] (cannot infer P)
	_ = start.Then(ab)

	// want , type func(b B, a A) C of func(b B, a A) C {…} does not match inferred type func(A, B) P for func(A, B) P
	_ = start.Also(AB, func(b B, a A) C { return C{} })

	// want , type func(A) A of func(A) A {…} does not match inferred type func(A) B for func(A) A
	_ = start.Use(BC, func(A) A { return A{} }, func(A, C) C { return C{} })

	// want , type func(A, C) C of func(A, C) C {…} does not match inferred type func(A, B) P for func(A, B) P
	_ = start.Use(AB, func(a A) A { return a }, func(A, C) C { return C{} })

	// want , type func(B) bool of isB does not match func(A) P (cannot infer P)
	_ = start.Map(isB)

	// want , type step.Step[B, B] of BB does not match inferred type flow.Part[B, C] for flow.Part[B, P]
	_ = start.Then(AB).If("x", isB, BC, BB)

	// want cannot use BC (variable of struct type step.Step[B, C]) as flow.Part[B, B] value in argument to start.Then(AB).When: step.Step[B, C] does not implement flow.Part[B, B] (wrong type for method Plan)
	_ = start.Then(AB).When("x", isB, BC)

	// want , type flow.Arm[B, B] of flow.Default(BB) does not match inferred type flow.Arm[B, C] for flow.Arm[B, P]
	_ = start.Then(AB).Switch("x", func(B) string { return "" }, flow.Case("a", BC), flow.Default(BB))

	// want , type func(a A, b B, c C) C of func(a A, b B, c C) C {…} does not match inferred type func(A, B, B) P for func(A, A, B) P
	_ = start.Both("x", AB, AB, func(a A, b B, c C) C { return c })

	// want , type step.Step[B, C] of BC does not match inferred type flow.Part[A, B] for flow.Part[A, P]
	_ = start.Race("x", AB, BC)

	// want cannot use AB (variable of struct type step.Step[A, B]) as flow.Part[A, A] value in argument to start.Loop: step.Step[A, B] does not implement flow.Part[A, A] (wrong type for method Plan)
	_ = start.Loop("x", 3, AB, func(A) bool { return true })

	// want , type func(A, B) C of func(A, B) C {…} does not match inferred type func(A, C) P for func(A, S) P
	_ = start.Wait(sig, func(A, B) C { return C{} })

	// want , type step.Step[A, B] of AB does not match inferred type flow.Part[B, F] for flow.Part[E, F]
	_ = start.Each("x", func(A) []B { return nil }, AB, func(A, []B) A { return A{} })

	// want cannot use undoAC (value of type func(context.Context, step.Effect[A, C]) error) as func(ctx context.Context, e step.Effect[A, B]) error value in argument to AB.Compensate
	_ = AB.Compensate(undoAC)

	// want , type flow.ChildSaga[C, C] of flow.Child(flow.New[C]("c")) does not match flow.Part[A, P] (cannot infer P)
	_ = start.Then(flow.Child(flow.New[C]("c")))

	// want , type step.Step[A, B] of AB does not match inferred type flow.Flow[A, B] for flow.Flow[I, O]
	_ = flow.Child(AB)
)
