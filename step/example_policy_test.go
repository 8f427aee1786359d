package step_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

func ExampleStep_Compensate() {
	reserve := step.New("reserve", func(_ context.Context, book string) (string, error) { return "hold of " + book, nil }).
		Compensate(func(_ context.Context, e step.Effect[string, string]) error {
			fmt.Println("release the", e.Out) // exactly what the step returned
			return nil
		})
	charge := step.Do("charge", func(context.Context, string) error { return step.Refused(errDeclined) })

	_, err := runExample(flow.New[string]("buy").Then(reserve).Then(charge), "Dune")
	fmt.Println(err)
	// Output:
	// release the hold of Dune
	// flow: saga "example" of "buy" is undone: step "charge" failed: bank: card declined
}

// A step that failed may have had its effect all the same: its own undo runs, too, and knows no output.
func ExampleStep_Compensate_unknown() {
	reserve := step.New("reserve", func(_ context.Context, book string) (int, error) {
		return 0, errors.New("stock: connection reset") // was it reserved?
	}).Compensate(func(ctx context.Context, e step.Effect[string, int]) error {
		fmt.Println("known:", e.Known)
		fmt.Printf("release whatever was reserved for %s\n", e.In) // or ask by the key of the step
		return nil
	})

	_, err := runExample(flow.New[string]("buy").Then(reserve), "Dune")
	fmt.Println(err)
	// Output:
	// known: false
	// release whatever was reserved for Dune
	// flow: saga "example" of "buy" is undone: step "reserve" failed: stock: connection reset
}

func ExampleStep_Retry() {
	ask := step.New("ask", func(ctx context.Context, city string) (string, error) {
		if attempt := step.InfoFrom(ctx).Attempt; attempt < 3 {
			return "", fmt.Errorf("weather: no reply to attempt %d", attempt)
		}
		return "sunny in " + city, nil
	}).Retry(step.Retry{Attempts: 3, Delay: time.Millisecond}) // without it there is one attempt

	fmt.Println(runExample(flow.New[string]("weather").Then(ask), "Oslo"))
	// Output: sunny in Oslo <nil>
}

func ExampleStep_RetryUndo() {
	reserve := step.Do("reserve", func(context.Context, string) error { return nil }).
		Compensate(func(ctx context.Context, e step.Effect[string, string]) error {
			fmt.Println("undo, attempt", step.InfoFrom(ctx).Attempt)
			return errors.New("stock: down")
		}).
		RetryUndo(step.Retry{Attempts: 2, Delay: time.Millisecond}) // without it 10, over about a minute
	charge := step.Do("charge", func(context.Context, string) error { return step.Refused(errDeclined) })

	_, err := runExample(flow.New[string]("buy").Then(reserve).Then(charge), "Dune")
	failed, _ := errors.AsType[*flow.Error](err)
	fmt.Println(failed.State, failed.Undone[0].Err)
	// Output:
	// undo, attempt 1
	// undo, attempt 2
	// dead letter stock: down
}

func ExampleStep_Timeout() {
	hang := step.Do("hang", func(ctx context.Context, _ string) error {
		<-ctx.Done() // give ctx to whatever you call
		return ctx.Err()
	}).Timeout(time.Millisecond).
		Compensate(func(_ context.Context, e step.Effect[string, string]) error {
			fmt.Println("known:", e.Known)
			return nil
		})

	_, err := runExample(flow.New[string]("wait").Then(hang), "")
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output:
	// known: false
	// true
}

func ExampleStep_Refuses() {
	undo := func(context.Context, step.Effect[string, string]) error {
		fmt.Println("this undo is not run")
		return nil
	}
	charge := step.Do("charge", func(context.Context, string) error { return fmt.Errorf("card 7: %w", errDeclined) }).
		Refuses(errDeclined). // a declined card was not charged: nothing to try again, nothing to undo
		Retry(step.Retry{Attempts: 5}).
		Compensate(undo)

	_, err := runExample(flow.New[string]("buy").Then(charge), "Dune")
	fmt.Println(err)
	// Output: flow: saga "example" of "buy" is undone: step "charge" failed: card 7: bank: card declined
}

func ExampleStep_Pivot() {
	calls := 0
	reserve := step.Do("reserve", func(context.Context, string) error { return nil }).
		Compensate(func(context.Context, step.Effect[string, string]) error { fmt.Println("never run"); return nil })
	charge := step.Do("charge", func(context.Context, string) error { return nil }).Pivot()
	ship := step.New("ship", func(_ context.Context, book string) (string, error) {
		if calls++; calls < 3 {
			return "", errors.New("post: no reply")
		}
		return book + " is on its way", nil
	}).Retry(step.Retry{Delay: time.Millisecond})

	// Once the card is charged there is no way back: what follows is tried until it works.
	fmt.Println(runExample(flow.New[string]("buy").Then(reserve).Then(charge).Then(ship), "Dune"))
	// Output: Dune is on its way <nil>
}

func ExampleStep_Retriable() {
	calls := 0
	publish := step.New("publish", func(_ context.Context, text string) (string, error) {
		if calls++; calls < 20 {
			return "", errors.New("queue: full")
		}
		return fmt.Sprintf("published after %d calls", calls), nil
	}).Retriable().Retry(step.Retry{Delay: time.Microsecond, MaxDelay: time.Millisecond}) // Attempts do not count

	fmt.Println(runExample(flow.New[string]("post").Then(publish), "hello"))
	// Output: published after 20 calls <nil>
}

func ExampleStep_ReadOnly() {
	price := step.New("price", func(context.Context, string) (int, error) { return 1290, nil })
	charge := step.Do("charge", func(context.Context, int) error { return step.Refused(errDeclined) })

	// A step without a compensation is reported as an effect that stays, unless it says that it has none.
	_, err := runExample(flow.New[string]("buy").Then(price).Then(charge), "Dune")
	fmt.Println(err)
	_, err = runExample(flow.New[string]("buy").Then(price.ReadOnly()).Then(charge), "Dune")
	fmt.Println(err)
	// Output:
	// flow: saga "example" of "buy" is undone: step "charge" failed: bank: card declined; effects that stay: price
	// flow: saga "example" of "buy" is undone: step "charge" failed: bank: card declined
}

func ExampleStep_As() {
	mail := step.New("mail", func(ctx context.Context, text string) (string, error) {
		fmt.Println(step.InfoFrom(ctx).Path)
		return text, nil
	})

	// Every step of a flow has a path of its own: used twice, a step needs a second name.
	_, err := runExample(flow.New[string]("tell").Then(mail).Then(mail.As("mail-again")), "hello")
	fmt.Println(err)
	// Output:
	// mail
	// mail-again
	// <nil>
}
