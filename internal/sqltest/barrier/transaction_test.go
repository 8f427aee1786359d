package barrier_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/barrier"
	"github.com/skald-go/skald/internal/sqltest"
	"github.com/skald-go/skald/step"
)

func TestTheCallersTransactionGoesOnAfterARefusal(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		b := open(t, k)
		ctx := doing(t, "charge")
		tx := b.begin()
		defer tx.Rollback()
		_, err := guard.Do(ctx, tx, func() (Receipt, error) {
			// The statement violates a constraint: PostgreSQL takes no other one until the savepoint.
			_, err := tx.ExecContext(ctx, `UPDATE account SET balance = -1`)
			require.Error(t, err)
			return Receipt{}, step.Refused(errPoor)
		})
		isRefusal(t, err, errPoor)
		_, err = tx.ExecContext(ctx, `UPDATE account SET balance = 5`)
		require.NoError(t, err)
		require.NoError(t, tx.Commit())
		assert.EqualValues(t, 5, b.balance())

		_, err = b.do("charge")
		isRefusal(t, err, errPoor)
	})
}

func TestTheCallersTransactionIsAsBeforeAfterAnError(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		b := open(t, k)
		ctx := doing(t, "charge")
		tx := b.begin()
		defer tx.Rollback()
		require.ErrorIs(t, guard.Exec(ctx, tx, func() error {
			_, err := take(ctx, tx, 30)
			return errors.Join(err, errDown)
		}), errDown)
		require.NoError(t, tx.Commit()) // against the advice
		assert.Zero(t, b.rows())
		assert.EqualValues(t, 100, b.balance())
	})
}

func TestARolledBackEffectMayHappenAgain(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		b := open(t, k)
		ctx := doing(t, "charge")
		tx := b.begin()
		_, err := guard.Do(ctx, tx, func() (Receipt, error) { return take(ctx, tx, 30) })
		require.NoError(t, err)
		require.NoError(t, tx.Rollback()) // as a process does that dies
		_, err = b.do("charge")
		require.NoError(t, err)
		assert.EqualValues(t, 70, b.balance())
	})
}

func TestATransactionOnAConnection(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		b := open(t, k)
		ctx := doing(t, "charge")
		conn, err := b.Conn(ctx)
		require.NoError(t, err)
		defer conn.Close()
		begin := map[string]string{"sqlite": "BEGIN IMMEDIATE", "postgres": "BEGIN"}[k.Name]
		_, err = conn.ExecContext(ctx, begin)
		require.NoError(t, err)
		receipt, err := guard.Do(ctx, conn, func() (Receipt, error) { return take(ctx, conn, 30) })
		require.NoError(t, err)
		assert.EqualValues(t, 70, receipt.Left)
		_, err = conn.ExecContext(ctx, "COMMIT")
		require.NoError(t, err)
		assert.EqualValues(t, 70, b.balance())
	})
}

func TestMistakesAreToldBeforeAnythingHappens(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		b := open(t, k)
		never := func(*sql.Tx) error { t.Error("the effect was called"); return nil }
		assert.ErrorIs(t, barrier.ExecTx(t.Context(), b, never), barrier.ErrOutside)
		assert.ErrorIs(t, barrier.Named("a/b").ExecTx(doing(t, "charge"), b, never), barrier.ErrName)
		assert.ErrorIs(t, barrier.SQL{Table: "a; DROP TABLE b"}.ExecTx(doing(t, "charge"), b, never), barrier.ErrName)
		err := barrier.Exec(doing(t, "charge"), b.DB, func() error { return never(nil) })
		assert.EqualError(t, err, "barrier: a *sql.DB is no transaction: pass on what its BeginTx returns, or use Tx")
		err = barrier.SQL{Table: "nowhere"}.ExecTx(doing(t, "charge"), b, never)
		assert.ErrorContains(t, err, `barrier: "test/s-1/charge": claim: `)
		assert.False(t, barrier.Settled(err))
		assert.Zero(t, b.rows())
	})
}

func TestAResultThatCannotBeRecordedLeavesNothing(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		b := open(t, k)
		_, err := guard.Tx(doing(t, "charge"), b, func(tx *sql.Tx) (func(), error) {
			_, err := take(t.Context(), tx, 30)
			return func() {}, err
		})
		require.Error(t, err)
		assert.False(t, barrier.Settled(err))
		assert.EqualValues(t, 100, b.balance())
		assert.Zero(t, b.rows())
	})
}

func TestAnEndedContextLeavesNothing(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		b := open(t, k)
		ctx, cancel := context.WithCancel(doing(t, "charge"))
		err := guard.ExecTx(ctx, b, func(tx *sql.Tx) error {
			_, err := take(ctx, tx, 30)
			cancel()
			return err
		})
		require.ErrorIs(t, err, context.Canceled)
		assert.False(t, barrier.Settled(err))
		_, err = b.do("charge")
		require.NoError(t, err)
		assert.EqualValues(t, 70, b.balance())
	})
}
