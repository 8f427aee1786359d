package barrier_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/skald-go/skald/barrier"
	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/internal/sqltest"
	"github.com/skald-go/skald/step"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := errors.Join(sqltest.Close(), goleak.Find()); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

var (
	errPoor = errors.New("not enough money")
	errDown = errors.New("out of order")

	codec = errcodec.New(errcodec.Sentinel("bank.poor", errPoor), errcodec.Sentinel("bank.down", errDown), barrier.Errors())
	guard = barrier.SQL{Errors: codec}
)

// Receipt is what taking money gives.
type Receipt struct {
	Left int64
	Note string
}

// bank has one account, with 100 in it.
type bank struct {
	*sql.DB
	t testing.TB
}

func open(t testing.TB, k sqltest.Kind) bank { return openAt(t, k, k.Source(t)) }

func openAt(t testing.TB, k sqltest.Kind, source string) bank {
	db := k.Connect(t, source)
	require.NoError(t, barrier.Migrate(t.Context(), db, barrier.Dialect(k.Name)))
	_, err := db.Exec(`CREATE TABLE account (name TEXT PRIMARY KEY, balance BIGINT NOT NULL CHECK (balance >= 0))`)
	require.NoError(t, err)
	_, err = db.Exec(`INSERT INTO account VALUES ('anna', 100)`)
	require.NoError(t, err)
	return bank{db, t}
}

func (b bank) balance() (balance int64) {
	b.t.Helper()
	require.NoError(b.t, b.QueryRow(`SELECT balance FROM account`).Scan(&balance))
	return balance
}

// set changes the balance beside all sagas.
func (b bank) set(balance int64) {
	b.t.Helper()
	_, err := b.Exec(`UPDATE account SET balance = $1`, balance)
	require.NoError(b.t, err)
}

func (b bank) rows() (n int) {
	b.t.Helper()
	require.NoError(b.t, b.QueryRow(`SELECT count(*) FROM skald_barrier`).Scan(&n))
	return n
}

func (b bank) begin() *sql.Tx {
	b.t.Helper()
	tx, err := b.BeginTx(b.t.Context(), nil)
	require.NoError(b.t, err)
	return tx
}

// take changes the balance and refuses if it was too low. It refuses after it has written, so that the write has to be taken back.
func take(ctx context.Context, tx barrier.Statements, amount int64) (Receipt, error) {
	if _, err := tx.ExecContext(ctx, `UPDATE account SET balance = balance - $1 WHERE balance >= $2`, amount, amount); err != nil {
		return Receipt{}, err
	}
	var left int64
	if err := tx.QueryRowContext(ctx, `SELECT balance FROM account`).Scan(&left); err != nil {
		return Receipt{}, err
	}
	return Receipt{left, "taken"}, nil
}

// do takes 30 as step s of a saga does.
func (b bank) do(s string) (Receipt, error) {
	return guard.Tx(doing(b.t, s), b, func(tx *sql.Tx) (Receipt, error) { return take(b.t.Context(), tx, 30) })
}

// undo gives 30 back as the undo of step s of a saga does.
func (b bank) undo(s string) error {
	ctx := undoing(b.t, s)
	return guard.ExecTx(ctx, b, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE account SET balance = balance + 30`)
		return err
	})
}

func doing(t testing.TB, path string) context.Context {
	return step.WithInfo(t.Context(), step.Info{Namespace: "test", Flow: "pay", Saga: "s-1", Path: path})
}

func undoing(t testing.TB, path string) context.Context {
	return step.WithInfo(t.Context(), step.Info{Namespace: "test", Flow: "pay", Saga: "s-1", Path: path, Undo: true})
}

func isRefusal(t testing.TB, err error, target error) {
	t.Helper()
	require.ErrorIs(t, err, target)
	require.True(t, barrier.Settled(err), "%v is no refusal", err)
}
