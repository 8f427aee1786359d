package outbox_test

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/outbox"
	"github.com/skald-go/skald/step"
)

// Request is what a customer wants.
type Request struct {
	Customer string
	Cents    int
}

// An order is written together with the start of its saga. The relay works in this process or in another one.
func Example() {
	order := flow.New[Request]("order").Then(step.Do("charge", func(context.Context, Request) error { return nil }).ReadOnly())

	place := func(ctx context.Context, db *sql.DB, relay *outbox.Relay, id string, r Request) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if _, err := tx.ExecContext(ctx, `INSERT INTO orders (id, customer) VALUES ($1, $2)`, id, r.Customer); err != nil {
			return err
		}
		if _, err := outbox.Keyed(r.Customer).Start(ctx, tx, order, r, flow.ID(id)); err != nil {
			return err
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		relay.Wake()
		return nil
	}

	run := func(ctx context.Context, db *sql.DB) error {
		engine := flow.NewEngine(inmem.New(), flow.Options{}) // in earnest, on a broker that outlives the process
		relay := outbox.NewRelay(db, engine, outbox.Options{Dialect: outbox.PostgreSQL}).Serve(order)
		return relay.Run(ctx)
	}
	_, _ = place, run
}

// The schema is for a migration.
func ExampleSchema() {
	text, err := outbox.Schema(outbox.SQLite)
	fmt.Print(text, err)
	// Output:
	// CREATE TABLE IF NOT EXISTS skald_outbox (
	//   id        INTEGER PRIMARY KEY AUTOINCREMENT,
	//   kind      TEXT NOT NULL,
	//   name      TEXT NOT NULL,
	//   version   BIGINT NOT NULL,
	//   saga      TEXT NOT NULL,
	//   order_key TEXT,
	//   payload   BLOB NOT NULL,
	//   headers   BLOB NOT NULL,
	//   state     TEXT NOT NULL,
	//   written   BIGINT NOT NULL,
	//   due       BIGINT NOT NULL,
	//   claim     TEXT,
	//   tried     BIGINT,
	//   attempts  BIGINT NOT NULL DEFAULT 0,
	//   error     TEXT
	// );
	// CREATE INDEX IF NOT EXISTS skald_outbox_state ON skald_outbox (state, id);
	// CREATE INDEX IF NOT EXISTS skald_outbox_key ON skald_outbox (order_key, id) WHERE order_key IS NOT NULL;
	// <nil>
}
