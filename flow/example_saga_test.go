package flow_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

type Transfer struct {
	From, To string
	Cents    int
}

var ErrAccountClosed = errors.New("bank: account closed")

func withdraw(_ context.Context, t Transfer) error {
	fmt.Println("withdraw", t.Cents, "from", t.From)
	return nil
}

func putBack(_ context.Context, e step.Effect[Transfer, Transfer]) error {
	fmt.Println("put back", e.In.Cents, "to", e.In.From)
	return nil
}

func deposit(_ context.Context, t Transfer) (string, error) {
	if t.To == "bob" {
		return "", fmt.Errorf("deposit to %s: %w", t.To, ErrAccountClosed)
	}
	return "receipt for " + t.To, nil
}

var MoveMoney = flow.New[Transfer]("move-money").
	Then(step.Do("withdraw", withdraw).Compensate(putBack)).
	Then(step.New("deposit", deposit).Refuses(ErrAccountClosed))

// A saga whose second step is refused: what the first has done is undone, and the caller gets the error that happened.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	engine := flow.NewEngine(inmem.New(), flow.Options{
		Errors: errcodec.New(errcodec.Sentinel("bank.account-closed", ErrAccountClosed)),
	})
	engine.Serve(MoveMoney)
	go engine.Run(ctx)

	future, err := MoveMoney.Start(ctx, engine, Transfer{"alice", "bob", 4200}, flow.ID("transfer-1"))
	if err != nil {
		fmt.Println(err) // nothing was started
		return
	}
	_, err = future.Await(ctx)
	fmt.Println(err)
	fmt.Println(errors.Is(err, ErrAccountClosed))
	// Output:
	// withdraw 4200 from alice
	// put back 4200 to alice
	// flow: saga "transfer-1" of "move-money" is undone: step "deposit" failed: deposit to bob: bank: account closed
	// true
}
