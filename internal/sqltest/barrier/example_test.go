package barrier_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/skald-go/skald/barrier"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

// The first attempt takes the money and loses its reply; the second is told what the first would have been. Then a later step fails, and the money is given back.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	db, err := sql.Open("sqlite", "file:example?mode=memory&cache=shared")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if err := barrier.Migrate(ctx, db, barrier.SQLite); err != nil {
		log.Fatal(err)
	}
	if _, err := db.Exec(`CREATE TABLE account (cents INTEGER); INSERT INTO account VALUES (100)`); err != nil {
		log.Fatal(err)
	}

	attempts := 0
	charge := step.New("charge", func(ctx context.Context, cents int) (left int, err error) {
		left, err = barrier.Tx(ctx, db, func(tx *sql.Tx) (left int, err error) {
			return left, tx.QueryRowContext(ctx, `UPDATE account SET cents = cents - $1 RETURNING cents`, cents).Scan(&left)
		})
		fmt.Println("charged, left are", left, err)
		if attempts++; attempts == 1 {
			return 0, errors.New("connection reset")
		}
		return left, err
	}).Retry(step.Retry{Attempts: 3, Delay: time.Millisecond}).Compensate(func(ctx context.Context, e step.Effect[int, int]) error {
		return barrier.ExecTx(ctx, db, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE account SET cents = cents + $1`, e.In)
			return err
		})
	})
	ship := step.Do("ship", func(context.Context, int) error { return step.Refused(errors.New("no carrier")) })

	engine := flow.NewEngine(inmem.New(), flow.Options{})
	order := flow.New[int]("order").Then(charge).Then(ship)
	engine.Serve(order)
	ended := make(chan error)
	go func() { ended <- engine.Run(ctx) }()
	future, err := order.Start(ctx, engine, 30, flow.ID("order-42"))
	if err != nil {
		log.Fatal(err)
	}
	_, err = future.Await(ctx)
	var cents int
	fmt.Println(err)
	fmt.Println(db.QueryRow(`SELECT cents FROM account`).Scan(&cents), cents)
	cancel()
	<-ended
	// Output:
	// charged, left are 70 <nil>
	// charged, left are 70 <nil>
	// flow: saga "order-42" of "order" is undone: step "ship" failed: no carrier
	// <nil> 100
}
