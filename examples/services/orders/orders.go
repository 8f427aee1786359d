// Package orders is the service that customers talk to. An order of it is a saga whose steps are in other services.
package orders

import (
	"context"
	"database/sql"
	"time"

	"github.com/skald-go/skald/barrier"
	"github.com/skald-go/skald/examples/services/contract"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// Tables are what orders keeps.
const Tables = `CREATE TABLE IF NOT EXISTS orders (number TEXT PRIMARY KEY, item TEXT NOT NULL, pieces BIGINT NOT NULL, state TEXT NOT NULL);`

// Books are the figures that tell whether everything is right.
const Books = `SELECT COALESCE(SUM(CASE state WHEN 'open' THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE state WHEN 'confirmed' THEN pieces ELSE 0 END), 0),
	COALESCE(SUM(CASE state WHEN 'confirmed' THEN 1 ELSE 0 END), 0) FROM orders`

// Request is what a customer wants. The token shows who pays.
type Request struct {
	Token   string `json:"-"`
	Item    string `json:"item"`
	Count   int    `json:"count"`
	Address string `json:"address"`
}

// Receipt is what a customer gets.
type Receipt struct {
	Order       string `json:"order"`
	Cents       int    `json:"cents"`
	Payer       string `json:"payer"`
	Reservation string `json:"reservation"`
	Payment     string `json:"payment"`
	Label       string `json:"label"`
}

// Orders is the service.
type Orders struct {
	DB    *sql.DB
	guard barrier.SQL
}

// New makes the service.
func New(db *sql.DB) *Orders { return &Orders{db, barrier.SQL{Errors: contract.Errors}} }

// Flow is an order: it is written down, its goods are reserved, paid and sent by the services that have them, and it is confirmed. Whatever
// fails, what was done before is undone, each by the service that did it.
func (o *Orders) Flow() flow.Flow[Request, Receipt] {
	again := step.Retry{Attempts: 10, Delay: 50 * time.Millisecond}
	open := step.New("open", o.open).Compensate(o.reject).Retry(again)
	confirm := step.New("confirm", o.confirm).Retry(again).Pivot()
	return flow.New[Request]("order").
		Also(open, draft).
		Use(contract.Reserve, Draft.goods, Draft.withReservation).
		Use(contract.Charge, Reserved.bill, Reserved.withPayment).
		Use(contract.Ship, Paid.parcel, Paid.withLabel).
		Then(confirm)
}

func (o *Orders) open(ctx context.Context, r Request) (string, error) {
	number := step.InfoFrom(ctx).Saga
	return number, o.guard.ExecTx(ctx, o.DB, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO orders VALUES ($1, $2, $3, 'open')`, number, r.Item, r.Count)
		return err
	})
}

func (o *Orders) reject(ctx context.Context, _ step.Effect[Request, string]) error {
	return o.guard.ExecTx(ctx, o.DB, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE orders SET state = 'rejected' WHERE number = $1`, step.InfoFrom(ctx).Saga)
		return err
	})
}

func (o *Orders) confirm(ctx context.Context, r Receipt) (Receipt, error) {
	return r, o.guard.ExecTx(ctx, o.DB, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE orders SET state = 'confirmed' WHERE number = $1`, r.Order)
		return err
	})
}
