package barrier_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/skald-go/skald/barrier"
	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/internal/redisserver"
	"github.com/skald-go/skald/step"
)

// Points are kept in Redis. The step's first attempt has its effect and loses its reply, the second gets the first one's result.
func ExampleRedis() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	server, err := redisserver.Start(ctx, redisserver.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client := redis.NewClient(server.ClientOptions())
	defer client.Close()
	client.Set(ctx, "points:anna", 100, 0)

	guard := barrier.Redis{Client: client}
	spend := barrier.NewScript(`
		if tonumber(redis.call('GET', KEYS[1])) < tonumber(ARGV[1]) then refuse('poor') end
		return redis.call('DECRBY', KEYS[1], ARGV[1])`).Refuses("poor", errPoor)
	attempts := 0
	charge := step.New("charge", func(ctx context.Context, points int) (int, error) {
		left, err := guard.Do(ctx, spend, []string{"points:anna"}, points).Int()
		if attempts++; attempts == 1 {
			return 0, errors.New("connection reset")
		}
		return left, err
	}).Retry(step.Retry{Attempts: 3, Delay: time.Millisecond})

	engine := flow.NewEngine(inmem.New(), flow.Options{})
	pay := flow.New[int]("pay").Then(charge)
	engine.Serve(pay)
	ended := make(chan error)
	go func() { ended <- engine.Run(ctx) }()
	future, err := pay.Start(ctx, engine, 30)
	if err != nil {
		log.Fatal(err)
	}
	left, err := future.Await(ctx)
	fmt.Println(left, err, attempts)
	cancel()
	<-ended
	// Output: 70 <nil> 2
}

// A step whose effect is in a database, and its undo.
func ExampleTx() {
	type Order struct {
		ID    string
		Cents int
	}
	type Payment struct{ Left int }
	var db *sql.DB // opened by the program, with the driver of its choice

	charge := step.New("charge", func(ctx context.Context, o Order) (Payment, error) {
		return barrier.Tx(ctx, db, func(tx *sql.Tx) (p Payment, err error) {
			err = tx.QueryRowContext(ctx, `UPDATE account SET cents = cents - $1 WHERE cents >= $2 RETURNING cents`, o.Cents, o.Cents).Scan(&p.Left)
			if errors.Is(err, sql.ErrNoRows) {
				return p, step.Refused(errPoor)
			}
			return p, err
		})
	}).Compensate(func(ctx context.Context, e step.Effect[Order, Payment]) error {
		return barrier.ExecTx(ctx, db, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE account SET cents = cents + $1`, e.In.Cents)
			return err
		})
	})
	fmt.Println(charge.Name())
	// Output: charge
}

// What the program sets is a value, made once.
func ExampleSQL() {
	guard := barrier.SQL{
		Table:   "shop.effects",
		Errors:  errcodec.New(errcodec.Sentinel("shop.poor", errPoor), barrier.Errors()),
		Refuses: []error{errPoor},
	}
	text, err := guard.Schema(barrier.PostgreSQL)
	fmt.Print(text, err)
	// Output:
	// CREATE TABLE IF NOT EXISTS shop.effects (
	//   effect TEXT PRIMARY KEY,
	//   state  TEXT NOT NULL,
	//   result BYTEA,
	//   at     BIGINT NOT NULL
	// );
	// CREATE INDEX IF NOT EXISTS effects_at ON shop.effects (at);
	// <nil>
}
