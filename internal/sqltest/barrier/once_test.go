package barrier_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/barrier"
	"github.com/skald-go/skald/internal/sqltest"
	"github.com/skald-go/skald/step"
)

func TestARepeatGetsTheFirstResult(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		b := open(t, k)
		first, err := b.do("charge")
		require.NoError(t, err)
		require.Equal(t, Receipt{70, "taken"}, first)
		b.set(10) // taking again would fail: the duplicate is seen first

		again, err := b.do("charge")
		require.NoError(t, err)
		assert.Equal(t, first, again)
		assert.EqualValues(t, 10, b.balance())
	})
}

func TestARefusalLeavesNoEffectAndIsRepeated(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		b := open(t, k)
		calls := 0
		refuse := func(ctx context.Context) error {
			_, err := guard.Tx(ctx, b, func(tx *sql.Tx) (Receipt, error) {
				calls++
				if _, err := take(ctx, tx, 30); err != nil {
					return Receipt{}, err
				}
				return Receipt{}, step.Refused(fmt.Errorf("anna has 100: %w", errPoor))
			})
			return err
		}
		first := refuse(doing(t, "charge"))
		isRefusal(t, first, errPoor)
		assert.EqualValues(t, 100, b.balance())

		again := refuse(doing(t, "charge"))
		isRefusal(t, again, errPoor)
		assert.Equal(t, first.Error(), again.Error())
		assert.Equal(t, 1, calls)

		require.NoError(t, b.undo("charge"))
		assert.EqualValues(t, 100, b.balance(), "there is nothing to undo")
	})
}

func TestADeclaredErrorIsARefusal(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		b := open(t, k)
		guard := guard
		guard.Refuses = []error{errPoor}
		calls := 0
		for range 2 {
			err := guard.ExecTx(doing(t, "charge"), b, func(*sql.Tx) error { calls++; return fmt.Errorf("anna: %w", errPoor) })
			isRefusal(t, err, errPoor)
		}
		assert.Equal(t, 1, calls)
		for range 2 {
			err := guard.ExecTx(doing(t, "ship"), b, func(*sql.Tx) error { calls++; return step.Permanent(errPoor) })
			require.ErrorIs(t, err, errPoor)
			assert.False(t, barrier.Settled(err), "an explicit mark wins")
		}
		assert.Equal(t, 3, calls)
	})
}

func TestAPassingErrorLeavesNothing(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		b := open(t, k)
		err := guard.ExecTx(doing(t, "charge"), b, func(tx *sql.Tx) error {
			if _, err := take(t.Context(), tx, 30); err != nil {
				return err
			}
			return errDown
		})
		require.ErrorIs(t, err, errDown)
		assert.False(t, barrier.Settled(err))
		assert.Zero(t, b.rows())
		assert.EqualValues(t, 100, b.balance())

		_, err = b.do("charge")
		require.NoError(t, err)
		assert.EqualValues(t, 70, b.balance())

		err = guard.ExecTx(undoing(t, "charge"), b, func(*sql.Tx) error { return step.Refused(errDown) })
		require.ErrorIs(t, err, errDown)
		require.NoError(t, b.undo("charge"), "an undo that failed is made again, whatever its error says")
		assert.EqualValues(t, 100, b.balance())
	})
}

func TestAPanicLeavesNothing(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		b := open(t, k)
		assert.PanicsWithValue(t, "oh", func() {
			guard.ExecTx(doing(t, "charge"), b, func(tx *sql.Tx) error {
				_, err := take(t.Context(), tx, 30)
				require.NoError(t, err)
				panic("oh")
			})
		})
		assert.Zero(t, b.Stats().InUse, "the connection is free again")
		_, err := b.do("charge")
		require.NoError(t, err)
		assert.EqualValues(t, 70, b.balance())
	})
}

func TestAnUndoHappensOnce(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		b := open(t, k)
		_, err := b.do("charge")
		require.NoError(t, err)
		for range 3 {
			require.NoError(t, b.undo("charge"))
			assert.EqualValues(t, 100, b.balance())
		}
		_, err = b.do("charge")
		isRefusal(t, err, barrier.ErrUndone)
		assert.EqualValues(t, 100, b.balance())
	})
}

// An undo after one that answered Proceed takes back what that one left, once.
func TestASecondUndo(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		b := open(t, k)
		again := func(path string) {
			ctx := step.WithInfo(t.Context(), step.Info{Namespace: "test", Saga: "s-1", Path: path, Undo: true, Again: true})
			require.NoError(t, guard.ExecTx(ctx, b, func(tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, `UPDATE account SET balance = balance + 5`)
				return err
			}))
		}
		_, err := b.do("charge")
		require.NoError(t, err)
		for range 2 {
			require.NoError(t, b.undo("charge"))
		}
		for range 2 {
			again("charge")
			require.NoError(t, b.undo("charge"), "a late repeat of the first")
			require.EqualValues(t, 105, b.balance())
		}
		_, err = b.do("ship")
		require.NoError(t, err)
		again("ship")
		require.EqualValues(t, 80, b.balance(), "the first one had no barrier")
		require.NoError(t, b.undo("wrap"))
		again("wrap")
		require.EqualValues(t, 80, b.balance(), "nothing ever happened")
	})
}

func TestAnUndoOfWhatIsKnownNeedsARecord(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		b := open(t, k)
		undo := func(path string) error {
			return guard.Known(true).ExecTx(undoing(t, path), b, func(tx *sql.Tx) error {
				_, err := tx.Exec(`UPDATE account SET balance = balance + 30`)
				return err
			})
		}
		for range 2 {
			err := undo("charge")
			require.ErrorIs(t, err, barrier.ErrForgotten)
			assert.False(t, barrier.Settled(err))
			assert.Zero(t, b.rows())
		}
		_, err := b.do("charge")
		require.NoError(t, err)
		for range 2 {
			require.NoError(t, undo("charge"))
			assert.EqualValues(t, 100, b.balance())
		}
		require.NoError(t, guard.Known(false).ExecTx(undoing(t, "ship"), b, func(*sql.Tx) error { return errDown }))
		require.NoError(t, undo("ship"), "it is recorded that it never happened")
	})
}

func TestAnUndoHasAResultToo(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		b := open(t, k)
		give := func() (Receipt, error) {
			return guard.Tx(undoing(t, "charge"), b, func(*sql.Tx) (Receipt, error) { return Receipt{100, "given back"}, nil })
		}
		_, err := b.do("charge")
		require.NoError(t, err)
		for range 2 {
			receipt, err := give()
			require.NoError(t, err)
			assert.Equal(t, Receipt{100, "given back"}, receipt)
		}
	})
}

func TestASlowActionThatIsCancelledTwiceAndComesLate(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		b := open(t, k)
		for range 2 {
			require.NoError(t, b.undo("charge"))
			assert.EqualValues(t, 100, b.balance())
			assert.Equal(t, 1, b.rows(), "it is recorded")
		}
		for range 2 {
			_, err := b.do("charge")
			isRefusal(t, err, barrier.ErrUndone)
			assert.Contains(t, err.Error(), `"test/s-1/charge"`)
			assert.EqualValues(t, 100, b.balance())
		}
	})
}

func TestBarriersOfOneStepAreApart(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		b := open(t, k)
		ctx := doing(t, "charge")
		effect := func(g barrier.SQL, note string) (string, error) {
			tx := b.begin()
			defer tx.Rollback()
			out, err := g.Do(ctx, tx, func() (string, error) { return note, nil })
			require.NoError(t, err)
			return out, tx.Commit()
		}
		for _, name := range []string{"ledger", "audit", ""} {
			out, err := effect(barrier.Named(name), "first "+name)
			require.NoError(t, err)
			require.Equal(t, "first "+name, out)
		}
		for _, name := range []string{"ledger", "audit", ""} {
			out, err := effect(barrier.Named(name), "second "+name)
			require.NoError(t, err)
			assert.Equal(t, "first "+name, out)
		}
		require.NoError(t, barrier.Named("ledger").ExecTx(undoing(t, "charge"), b, func(*sql.Tx) error { return nil }))
		out, err := effect(barrier.Named("audit"), "third")
		require.NoError(t, err)
		assert.Equal(t, "first audit", out, "undone is the other one")
	})
}

// Both barriers of a step stand in one transaction, and in two that are open at once where the database has such.
func TestBarriersOfOneStepDoNotBlockEachOther(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		b := open(t, k)
		one := b.begin()
		defer one.Rollback()
		other := one
		if k.Name == "postgres" {
			other = b.begin()
			defer other.Rollback()
		}
		require.NoError(t, barrier.Named("ledger").Exec(doing(t, "charge"), one, func() error { return nil }))
		require.NoError(t, barrier.Named("audit").Exec(doing(t, "charge"), other, func() error { return nil }))
		require.NoError(t, one.Commit())
		if other != one {
			require.NoError(t, other.Commit())
		}
		assert.Equal(t, 2, b.rows())
	})
}
