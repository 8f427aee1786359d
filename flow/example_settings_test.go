package flow_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

func ExampleFlow_Deadline() {
	approved := flow.NewSignal[string]("approved")
	loan := flow.New[string]("loan").
		Deadline(5*time.Millisecond).
		Wait(approved, func(who, by string) string { return who + " by " + by })

	// Nobody approves: the saga goes back, and its caller hears why.
	_, err := runExample(loan, "ada")
	fmt.Println(err)
	fmt.Println(errors.Is(err, flow.ErrDeadline))
	// Output:
	// flow: saga "example" of "loan" is undone: flow: the saga's deadline passed
	// true
}

func ExampleFlow_Version() {
	greet := step.New("greet", func(_ context.Context, name string) (string, error) { return "Hello, " + name, nil })
	loud := func(text string) string { return text + "!" }

	// The Map gives other values now, so it is another version. What was started before goes on as it began.
	old := flow.New[string]("welcome").Then(greet)
	now := flow.New[string]("welcome").Version(2).Then(greet).Map(loud)

	engine, stop := exampleEngine(flow.Options{}, old, now)
	defer stop()
	ctx := context.Background()
	before, _ := old.Start(ctx, engine, "Ada")
	after, _ := now.Start(ctx, engine, "Grace")

	fmt.Println(before.Await(ctx))
	fmt.Println(after.Await(ctx))
	// Output:
	// Hello, Ada <nil>
	// Hello, Grace! <nil>
}

func ExampleFlow_UndoInOrder() {
	book := func(what string) step.Step[string, string] {
		return step.New(what, func(_ context.Context, city string) (string, error) { return what + " in " + city, nil }).
			Compensate(func(_ context.Context, e step.Effect[string, string]) error {
				fmt.Println("cancel the", e.Out)
				return nil
			})
	}
	pay := step.Do("pay", func(context.Context, string) error { return step.Refused(errors.New("no money")) })

	// Without UndoInOrder the undos of hotel and car run side by side, too.
	trip := flow.New[string]("trip").UndoInOrder().
		Both("book", book("hotel"), book("car"), func(city, hotel, car string) string { return hotel + " and " + car }).
		Then(pay)

	_, err := runExample(trip, "Oslo")
	fmt.Println(err)
	// Output:
	// cancel the car in Oslo
	// cancel the hotel in Oslo
	// flow: saga "example" of "trip" is undone: step "pay" failed: no money
}

func ExampleFlow_StopUndoOnFailure() {
	work := func(context.Context, string) error { return nil }
	undo := func(_ context.Context, e step.Effect[string, string]) error { fmt.Println("undo open"); return nil }
	jammed := func(context.Context, step.Effect[string, string]) error {
		return step.GiveUp(errors.New("the lid is jammed"))
	}

	// Nothing may be opened again while the lid is on: an undo that failed for good stops the others.
	build := flow.New[string]("build").StopUndoOnFailure().
		Then(step.Do("open", work).Compensate(undo)).
		Then(step.Do("close", work).Compensate(jammed)).
		Then(step.Do("test", func(context.Context, string) error { return step.Refused(errors.New("it leaks")) }))

	_, err := runExample(build, "engine")
	fmt.Println(err)
	// Output: flow: saga "example" of "build" is a dead letter: step "test" failed: it leaks; the undo of "close" failed: the lid is jammed
}
