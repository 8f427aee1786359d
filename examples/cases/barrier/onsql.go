package ledger

import (
	"context"
	"database/sql"
	"errors"

	"github.com/skald-go/skald/barrier"
	"github.com/skald-go/skald/step"
)

// Schema is the tables of a ledger in PostgreSQL or SQLite, beside that of its barriers.
const Schema = `
CREATE TABLE account (name TEXT PRIMARY KEY, points BIGINT NOT NULL);
CREATE TABLE journal (account TEXT NOT NULL, points BIGINT NOT NULL);`

// OnSQL is a ledger in a database. A change and its line in the journal are two effects of one step, each in a transaction of its own.
type OnSQL struct{ DB *sql.DB }

// Change implements Ledger.
func (l OnSQL) Change(ctx context.Context, account string, points int) (int, error) {
	guard := barrier.SQL{Errors: Errors}
	balance, err := guard.Named("account").Tx(ctx, l.DB, func(tx *sql.Tx) (balance int, err error) {
		err = tx.QueryRowContext(ctx, `UPDATE account SET points = points + $1 WHERE name = $2 AND points + $1 >= 0 RETURNING points`,
			points, account).Scan(&balance)
		if errors.Is(err, sql.ErrNoRows) {
			return 0, step.Refused(&InsufficientPoints{account, -points})
		}
		return balance, err
	})
	if err != nil {
		return 0, err
	}
	return balance, guard.Named("journal").ExecTx(ctx, l.DB, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO journal VALUES ($1, $2)`, account, points)
		return err
	})
}
