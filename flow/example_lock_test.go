package flow_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// returned is the signal that a book is back.
var returned = flow.NewSignal[string]("returned")

// lend is a flow that ends when the book is back.
func lend(name string) flow.Flow[string, string] {
	return flow.New[string](name).
		Then(step.Do("hand-out", func(_ context.Context, book string) error { return nil }).ReadOnly()).
		Wait(returned, func(book, shelf string) string { return book + " is on " + shelf })
}

// bookLock is what a saga locks that lends a book.
func bookLock(book string) []string { return []string{"book/" + book} }

func ExampleFlow_Lock() {
	loan := lend("loan").Lock(bookLock)
	engine, stop := exampleEngine(flow.Options{}, loan)
	defer stop()
	ctx := context.Background()
	ada, _ := loan.Start(ctx, engine, "Dune", flow.ID("ada"))
	bob, _ := loan.Start(ctx, engine, "Dune", flow.ID("bob")) // waits until Ada has brought the book back

	_ = returned.Send(ctx, engine, "bob", "shelf 2") // kept until bob's saga begins
	_ = returned.Send(ctx, engine, "ada", "shelf 1")
	fmt.Println(ada.Await(ctx))
	fmt.Println(bob.Await(ctx))
	// Output:
	// Dune is on shelf 1 <nil>
	// Dune is on shelf 2 <nil>
}

func ExampleFlow_LockOrRefuse() {
	loan := lend("loan").LockOrRefuse(bookLock)
	engine, stop := exampleEngine(flow.Options{}, loan)
	defer stop()
	ctx := context.Background()
	_, _ = loan.Start(ctx, engine, "Dune", flow.ID("ada"))
	_, err := loan.Start(ctx, engine, "Dune", flow.ID("bob"))
	fmt.Println(err)
	if locked, ok := errors.AsType[*flow.LockedError](err); ok {
		fmt.Println("ask", locked.Holder)
	}
	// Output:
	// flow: start saga "bob" of "loan": flow: saga "ada" holds the lock "book/Dune"
	// ask ada
}

func ExampleFlow_KeyedBy() {
	type change struct{ Account, Name string }
	rename := flow.New[change]("rename").
		KeyedBy(func(c change) string { return c.Account }).
		Then(step.Do("write", func(_ context.Context, c change) error { fmt.Println("now", c.Name); return nil }).ReadOnly())
	engine, stop := exampleEngine(flow.Options{}, rename)
	defer stop()
	ctx := context.Background()
	_, _ = rename.Start(ctx, engine, change{"acct-1", "Ada"})
	_, _ = rename.Start(ctx, engine, change{"acct-1", "Ada Lovelace"})
	last, _ := rename.Start(ctx, engine, change{"acct-1", "Countess of Lovelace"})
	_, _ = last.Await(ctx)
	// Output:
	// now Ada
	// now Ada Lovelace
	// now Countess of Lovelace
}

func ExampleEngine_Holder() {
	loan := lend("loan").Lock(bookLock)
	engine, stop := exampleEngine(flow.Options{}, loan)
	defer stop()
	ctx := context.Background()
	_, _ = loan.Start(ctx, engine, "Dune", flow.ID("ada"))
	_, _ = loan.Start(ctx, engine, "Dune", flow.ID("bob"))
	claim, _ := engine.Holder(ctx, "book/Dune")
	fmt.Printf("%v is held by %s, and %v wait\n", claim, claim.Holder, claim.Waiting)
	// Output:
	// lock "book/Dune" is held by ada, and [bob] wait
}

func ExampleFlow_Holder() {
	loan := lend("loan").KeyedBy(func(book string) string { return book })
	engine, stop := exampleEngine(flow.Options{}, loan)
	defer stop()
	ctx := context.Background()
	_, _ = loan.Start(ctx, engine, "Dune", flow.ID("ada"))
	claim, _ := loan.Holder(ctx, engine, "Dune")
	fmt.Printf("%v is held by %s\n", claim, claim.Holder)
	// Output:
	// key "Dune" of "loan" is held by ada
}

func ExampleSnapshot_WaitsFor() {
	loan := lend("loan").Lock(bookLock)
	engine, stop := exampleEngine(flow.Options{}, loan)
	defer stop()
	ctx := context.Background()
	_, _ = loan.Start(ctx, engine, "Dune", flow.ID("ada"))
	_, _ = loan.Start(ctx, engine, "Dune", flow.ID("bob"))
	snap, _ := engine.Snapshot(ctx, "bob")
	if claim, waits := snap.WaitsFor(); waits {
		fmt.Printf("%s is %v for the %v, which %s holds\n", snap.SagaID, snap.State, claim, claim.Holder)
	}
	// Output:
	// bob is waiting for the lock "book/Dune", which ada holds
}
