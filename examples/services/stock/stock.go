// Package stock is the service that has the goods. It reserves them, and takes them back.
package stock

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/skald-go/skald/barrier"
	"github.com/skald-go/skald/examples/services/contract"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// Tables are what stock keeps.
const Tables = `
CREATE TABLE IF NOT EXISTS shelf (item TEXT PRIMARY KEY, pieces BIGINT NOT NULL, cents BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS reservation (number TEXT PRIMARY KEY, item TEXT NOT NULL, pieces BIGINT NOT NULL);`

// Books are the figures that tell whether everything is right.
const Books = `SELECT (SELECT COALESCE(SUM(pieces), 0) FROM shelf), (SELECT COALESCE(SUM(pieces), 0) FROM reservation), (SELECT COUNT(*) FROM reservation)`

// Stock is the service.
type Stock struct {
	DB    *sql.DB
	guard barrier.SQL
}

// New makes the service.
func New(db *sql.DB) *Stock { return &Stock{db, barrier.SQL{Errors: contract.Errors}} }

// Fill puts goods on a shelf that is not there yet.
func (s *Stock) Fill(ctx context.Context, item string, pieces, cents int) error {
	_, err := s.DB.ExecContext(ctx, `INSERT INTO shelf VALUES ($1, $2, $3) ON CONFLICT (item) DO NOTHING`, item, pieces, cents)
	return err
}

// Flow is what other services know as contract.Reserve.
func (s *Stock) Flow() flow.Flow[contract.Goods, contract.Reservation] {
	reserve := step.New("take-from-shelf", s.reserve).Compensate(s.release).Retry(step.Retry{Attempts: 10, Delay: 50 * time.Millisecond})
	return flow.New[contract.Goods]("reserve").Then(reserve)
}

// reserve takes goods from their shelf, once. The reservation has the number of the saga: its undo finds it, whether or not the answer arrived.
func (s *Stock) reserve(ctx context.Context, g contract.Goods) (contract.Reservation, error) {
	return s.guard.Tx(ctx, s.DB, func(tx *sql.Tx) (r contract.Reservation, err error) {
		r.Number = step.InfoFrom(ctx).Saga
		err = tx.QueryRowContext(ctx, `UPDATE shelf SET pieces = pieces - $1 WHERE item = $2 AND pieces >= $1 RETURNING cents * $1`,
			g.Count, g.Item).Scan(&r.Cents)
		if errors.Is(err, sql.ErrNoRows) {
			return r, soldOut(ctx, tx, g.Item)
		}
		if err != nil {
			return r, err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO reservation VALUES ($1, $2, $3)`, r.Number, g.Item, g.Count)
		return r, err
	})
}

func soldOut(ctx context.Context, tx *sql.Tx, item string) error {
	e := &contract.SoldOut{Item: item}
	err := tx.QueryRowContext(ctx, `SELECT pieces FROM shelf WHERE item = $1`, item).Scan(&e.Left)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return step.Refused(e)
}

func (s *Stock) release(ctx context.Context, e step.Effect[contract.Goods, contract.Reservation]) error {
	return s.guard.ExecTx(ctx, s.DB, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM reservation WHERE number = $1`, step.InfoFrom(ctx).Saga); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE shelf SET pieces = pieces + $1 WHERE item = $2`, e.In.Count, e.In.Item)
		return err
	})
}
