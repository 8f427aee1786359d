// Package payments is the service that has the accounts. It checks who pays, charges, and refunds.
package payments

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

// Tables are what payments keeps.
const Tables = `
CREATE TABLE IF NOT EXISTS account (owner TEXT PRIMARY KEY, cents BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS payment (number TEXT PRIMARY KEY, payer TEXT NOT NULL, cents BIGINT NOT NULL);`

// Books are the figures that tell whether everything is right.
const Books = `SELECT (SELECT COALESCE(SUM(cents), 0) FROM account), (SELECT COALESCE(SUM(cents), 0) FROM payment), (SELECT COUNT(*) FROM payment)`

// Payments is the service.
type Payments struct {
	DB     *sql.DB
	secret string
	guard  barrier.SQL
}

// New makes the service. secret signs tokens.
func New(db *sql.DB, secret string) *Payments {
	return &Payments{db, secret, barrier.SQL{Errors: contract.Errors}}
}

// Open opens an account that is not there yet.
func (p *Payments) Open(ctx context.Context, owner string, cents int) error {
	_, err := p.DB.ExecContext(ctx, `INSERT INTO account VALUES ($1, $2) ON CONFLICT (owner) DO NOTHING`, owner, cents)
	return err
}

// transfer is a bill whose payer is known.
type transfer struct {
	Payer string
	Cents int
}

// Flow is what other services know as contract.Charge.
func (p *Payments) Flow() flow.Flow[contract.Bill, contract.Payment] {
	check := step.New("check-token", p.check).ReadOnly()
	charge := step.New("take-money", p.charge).Compensate(p.refund).Retry(step.Retry{Attempts: 10, Delay: 50 * time.Millisecond})
	return flow.New[contract.Bill]("charge").Then(check).Then(charge)
}

// check refuses tokens with the reason that golang-jwt gives.
func (p *Payments) check(_ context.Context, b contract.Bill) (transfer, error) {
	who, err := payer(p.secret, b.Token)
	if err != nil {
		return transfer{}, step.Refused(err)
	}
	return transfer{who, b.Cents}, nil
}

func (p *Payments) charge(ctx context.Context, t transfer) (contract.Payment, error) {
	return p.guard.Tx(ctx, p.DB, func(tx *sql.Tx) (contract.Payment, error) {
		paid := contract.Payment{Number: step.InfoFrom(ctx).Saga, Payer: t.Payer}
		var left int
		err := tx.QueryRowContext(ctx, `UPDATE account SET cents = cents - $1 WHERE owner = $2 AND cents >= $1 RETURNING cents`, t.Cents, t.Payer).Scan(&left)
		if errors.Is(err, sql.ErrNoRows) {
			return paid, step.Refused(contract.ErrPoor)
		}
		if err != nil {
			return paid, err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO payment VALUES ($1, $2, $3)`, paid.Number, t.Payer, t.Cents)
		return paid, err
	})
}

func (p *Payments) refund(ctx context.Context, e step.Effect[transfer, contract.Payment]) error {
	return p.guard.ExecTx(ctx, p.DB, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM payment WHERE number = $1`, step.InfoFrom(ctx).Saga); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE account SET cents = cents + $1 WHERE owner = $2`, e.In.Cents, e.In.Payer)
		return err
	})
}
