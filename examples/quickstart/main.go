// Command quickstart sells a book in a saga: it is reserved, the card is declined, it is released.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

type Order struct{ Book, Card string }

var ErrDeclined = errors.New("bank: card declined")

func reserve(_ context.Context, o Order) error {
	fmt.Println("reserve", o.Book)
	return nil
}

func release(_ context.Context, e step.Effect[Order, Order]) error {
	fmt.Println("release", e.In.Book, "because of", e.Cause)
	return nil
}

func charge(_ context.Context, o Order) (string, error) {
	if o.Card == "expired" {
		return "", ErrDeclined
	}
	return "receipt for " + o.Book, nil
}

var Buy = flow.New[Order]("buy").
	Then(step.Do("reserve", reserve).Compensate(release)).
	Then(step.New("charge", charge).Refuses(ErrDeclined).Pivot())

func main() {
	engine := flow.NewEngine(inmem.New(), flow.Options{Errors: errcodec.New(errcodec.Sentinel("bank.declined", ErrDeclined))})
	engine.Serve(Buy)
	go engine.Run(context.Background())
	future, err := Buy.Start(context.Background(), engine, Order{"Dune", "expired"}, flow.ID("order-42"))
	if err != nil {
		log.Fatal(err)
	}
	receipt, err := future.Await(context.Background())
	fmt.Printf("receipt: %q, declined: %t\n%v\n", receipt, errors.Is(err, ErrDeclined), err)
}
