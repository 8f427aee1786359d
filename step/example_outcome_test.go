package step_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

func ExampleDo() {
	// A step without an output of its own: what it was given goes on.
	mail := step.Do("mail", func(_ context.Context, to string) error {
		fmt.Println("mail to", to)
		return nil
	})

	fmt.Println(runExample(flow.New[string]("notify").Then(mail), "ada"))
	// Output:
	// mail to ada
	// ada <nil>
}

func ExamplePermanent() {
	attempts := 0
	pay := step.Do("pay", func(context.Context, string) error {
		attempts++
		return step.Permanent(errors.New("bank: certificate expired")) // trying again is useless
	}).Retry(step.Retry{Attempts: 5}).
		Compensate(func(_ context.Context, e step.Effect[string, string]) error {
			fmt.Println("ask the bank whether it was paid, known:", e.Known)
			return nil
		})

	_, err := runExample(flow.New[string]("pay-rent").Then(pay), "flat 7")
	fmt.Println(attempts, err)
	// Output:
	// ask the bank whether it was paid, known: false
	// 1 flow: saga "example" of "pay-rent" is undone: step "pay" failed: bank: certificate expired
}

func ExampleNotYet() {
	asked := 0
	scan := step.New("scan", func(_ context.Context, file string) (string, error) {
		if asked++; asked < 2 {
			return "", step.NotYet(100 * time.Millisecond) // not a failure, and no attempt is counted
		}
		return file + " is clean", nil
	})

	fmt.Println(runExample(flow.New[string]("upload").Then(scan), "photo.jpg"))
	// Output: photo.jpg is clean <nil>
}

func ExampleGiveUp() {
	send := step.Do("send", func(context.Context, string) error { return nil }).
		Compensate(func(context.Context, step.Effect[string, string]) error {
			return step.GiveUp(errors.New("a mail cannot be taken back")) // not tried again: a person is needed
		})
	charge := step.Do("charge", func(context.Context, string) error { return step.Refused(errDeclined) })

	_, err := runExample(flow.New[string]("sell").Then(send).Then(charge), "Dune")
	failed, _ := errors.AsType[*flow.Error](err)
	fmt.Println(failed.State)
	fmt.Println(failed.Undone[0].Step, failed.Undone[0].Err)
	// Output:
	// dead letter
	// send a mail cannot be taken back
}

func ExampleEffect() {
	reserve := step.New("reserve", func(_ context.Context, book string) (int, error) { return 7, nil }).
		Compensate(func(_ context.Context, e step.Effect[string, int]) error {
			fmt.Printf("release hold %d of %s because: %v\n", e.Out, e.In, e.Cause)
			return nil
		})
	charge := step.Do("charge", func(context.Context, int) error { return step.Refused(errDeclined) })

	_, err := runExample(flow.New[string]("buy").Then(reserve).Then(charge), "Dune")
	fmt.Println(errors.Is(err, errDeclined))
	// Output:
	// release hold 7 of Dune because: bank: card declined
	// true
}

// Instead of going back, an undo may say how to go on without the step that failed.
func ExampleEffect_Proceed() {
	quote := step.New("quote", func(context.Context, string) (int, error) { return 0, errors.New("rates: down") }).
		Compensate(func(_ context.Context, e step.Effect[string, int]) error {
			return e.Proceed(990) // the price of the catalogue
		})
	label := step.New("label", func(_ context.Context, cents int) (string, error) { return fmt.Sprint("shipping costs ", cents), nil })

	fmt.Println(runExample(flow.New[string]("ship").Then(quote).Then(label), "Dune"))
	// Output: shipping costs 990 <nil>
}

func ExamplePanicError() {
	parse := step.New("parse", func(_ context.Context, words []string) (string, error) { return words[3], nil })

	// A panic is an error like others: the outcome is unknown, the saga goes back, the process goes on.
	_, err := runExample(flow.New[[]string]("import").Then(parse), []string{"one"})
	panicked, ok := errors.AsType[*step.PanicError](err)
	fmt.Println(ok, panicked)
	// Output: true panic: runtime error: index out of range [3] with length 1
}

func ExampleInfo_Key() {
	var keys []string
	charge := step.Do("charge", func(ctx context.Context, _ string) error {
		keys = append(keys, step.InfoFrom(ctx).Key())
		return errors.New("bank: no reply")
	}).Retry(step.Retry{Attempts: 2, Delay: time.Millisecond}).
		Compensate(func(ctx context.Context, _ step.Effect[string, string]) error {
			keys = append(keys, step.InfoFrom(ctx).Key())
			return nil
		})

	// Sent to the bank as its idempotency key: a repeat is told from a second charge.
	_, _ = runExample(flow.New[string]("buy").Then(charge), "Dune")
	fmt.Println(keys)
	// Output: [skald/example/charge/do skald/example/charge/do skald/example/charge/undo]
}
