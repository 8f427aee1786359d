package outbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"strings"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/outbox"
	"github.com/skald-go/skald/step"
)

// An order and the start of its saga are written in one transaction; a relay starts the saga.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	db, err := sql.Open("sqlite", "file:outbox?mode=memory&cache=shared")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if err := outbox.Migrate(ctx, db, outbox.SQLite); err != nil {
		log.Fatal(err)
	}
	if _, err := db.Exec(`CREATE TABLE orders (id TEXT)`); err != nil {
		log.Fatal(err)
	}

	engine := flow.NewEngine(inmem.New(), flow.Options{})
	order := flow.New[string]("order").Then(step.New("pack", func(_ context.Context, what string) (string, error) {
		return strings.ToUpper(what), nil
	}).ReadOnly())
	engine.Serve(order)
	relay := outbox.NewRelay(db, engine, outbox.Options{Dialect: outbox.SQLite}).Serve(order)
	ended := make(chan error)
	go func() { ended <- engine.Run(ctx) }()
	go func() { ended <- relay.Run(ctx) }()

	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := tx.Exec(`INSERT INTO orders VALUES ('order-42')`); err != nil {
		log.Fatal(err)
	}
	if _, err := outbox.Start(ctx, tx, order, "a book", flow.ID("order-42")); err != nil {
		log.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		log.Fatal(err)
	}
	relay.Wake()

	fmt.Println(order.Attach(engine, "order-42").Await(ctx))
	cancel()
	fmt.Println(<-ended, <-ended)
	// Output:
	// A BOOK <nil>
	// <nil> <nil>
}
