package flow_test

import (
	"context"
	"fmt"
	"time"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

func ExampleFlow_Delay() {
	remind := step.New("remind", func(_ context.Context, who string) (string, error) { return "mail to " + who, nil })

	// The time is kept in the store: the saga holds no goroutine while it waits, and a restart does not begin it anew.
	reminder := flow.New[string]("reminder").
		Delay("pause", func(who string) time.Duration { return time.Millisecond }).
		Then(remind)

	fmt.Println(runExample(reminder, "ada"))
	// Output: mail to ada <nil>
}

func ExampleFlow_Wait() {
	type loan struct {
		Cents int
		By    string
	}
	approved := flow.NewSignal[string]("approved")
	lend := flow.New[loan]("lend").
		Wait(approved, func(l loan, by string) loan { l.By = by; return l })

	engine, stop := exampleEngine(flow.Options{}, lend)
	defer stop()
	ctx := context.Background()
	future, _ := lend.Start(ctx, engine, loan{Cents: 5000}, flow.ID("loan-7"))

	// Somewhere else, later, with nothing but the saga's ID:
	_ = approved.Send(ctx, engine, "loan-7", "Grace")

	fmt.Println(future.Await(ctx))
	// Output: {5000 Grace} <nil>
}

func ExampleFlow_WaitFor() {
	confirmed := flow.NewSignal[string]("confirmed")
	giveUp := step.New("give-up", func(_ context.Context, guest string) (string, error) { return guest + " did not answer", nil })

	invite := flow.New[string]("invite").
		WaitFor(confirmed, 5*time.Millisecond, func(guest, answer string) string { return guest + " says " + answer }, giveUp)

	fmt.Println(runExample(invite, "Ada")) // nobody sends the signal
	// Output: Ada did not answer <nil>
}

func ExampleSignal_Send() {
	paid := flow.NewSignal[int]("paid")
	bill := flow.New[string]("bill").
		Wait(paid, func(who string, cents int) string { return fmt.Sprint(who, " paid ", cents) })

	engine, stop := exampleEngine(flow.Options{}, bill)
	defer stop()
	ctx := context.Background()

	// A signal may come before the saga waits for it, even before it is started: it is kept.
	fmt.Println(paid.Send(ctx, engine, "bill-1", 1290))
	future, _ := bill.Start(ctx, engine, "ada", flow.ID("bill-1"))

	fmt.Println(future.Await(ctx))
	// Output:
	// <nil>
	// ada paid 1290 <nil>
}

func ExampleSignalID() {
	paid := flow.NewSignal[int]("paid")
	add := func(sum, cents int) int { return sum + cents }
	parts := flow.New[int]("parts").Wait(paid, add).Wait(paid.As("paid-rest"), add)

	engine, stop := exampleEngine(flow.Options{}, parts)
	defer stop()
	ctx := context.Background()

	// The bank tells of one payment twice; under its ID it counts once.
	_ = paid.Send(ctx, engine, "bill-1", 1000, flow.SignalID("payment-5"))
	_ = paid.Send(ctx, engine, "bill-1", 1000, flow.SignalID("payment-5"))
	_ = paid.Send(ctx, engine, "bill-1", 290, flow.SignalID("payment-6"))
	future, _ := parts.Start(ctx, engine, 0, flow.ID("bill-1"))

	fmt.Println(future.Await(ctx))
	// Output: 1290 <nil>
}
