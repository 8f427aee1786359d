package step_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skald-go/skald/step"
)

var errDeclined = errors.New("bank: card declined")

type payment struct{ ID string }

// charge tells its participant which attempt repeats which.
func charge(ctx context.Context, cents int) (payment, error) {
	if cents > 10_000 {
		return payment{}, fmt.Errorf("%d cents: %w", cents, errDeclined)
	}
	return payment{ID: step.InfoFrom(ctx).Key()}, nil
}

func refund(_ context.Context, e step.Effect[int, payment]) error {
	if !e.Known {
		return nil // ask the bank by the key
	}
	return nil
}

func ExampleNew() {
	s := step.New("charge", charge).
		Compensate(refund).
		Refuses(errDeclined).
		Retry(step.Retry{Attempts: 5, Delay: time.Second}).
		Timeout(5 * time.Second)

	fmt.Println(s.Name(), s.As("charge-again").Name())
	// Output: charge charge-again
}

func ExampleRetry() {
	s := step.New("charge", charge).
		Compensate(refund).
		Retry(step.Retry{Attempts: 3, Delay: time.Second, MaxDelay: time.Minute}).
		RetryUndo(step.Retry{Attempts: 100})

	fmt.Println(s.Name())
	// Output: charge
}

func ExampleWithInfo() {
	ctx := step.WithInfo(context.Background(), step.Info{Namespace: "shop", Saga: "order-42", Path: "charge", Attempt: 2})
	p, err := charge(ctx, 4200)

	fmt.Println(p.ID, err)
	// Output: shop/order-42/charge/do <nil>
}

func ExampleInfoFrom() {
	work := func(ctx context.Context, _ string) (string, error) {
		info := step.InfoFrom(ctx)
		return fmt.Sprintf("attempt %d of %s in %s", info.Attempt, info.Path, info.Saga), nil
	}
	ctx := step.WithInfo(context.Background(), step.Info{Saga: "order-42", Path: "pick[3]/pick", Attempt: 2})
	fmt.Println(work(ctx, "shoes"))
	// Output: attempt 2 of pick[3]/pick in order-42 <nil>
}

func ExampleRefused() {
	err := step.Refused(fmt.Errorf("3 of shoes: %w", errDeclined))

	fmt.Println(err)
	fmt.Println(errors.Is(err, errDeclined))
	// Output:
	// 3 of shoes: bank: card declined
	// true
}
