package barrier_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/barrier"
	"github.com/skald-go/skald/internal/sqltest"
)

func TestConcurrentDuplicatesHaveOneEffect(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		b := open(t, k)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				receipt, err := b.do("charge")
				assert.NoError(t, err)
				assert.Equal(t, Receipt{70, "taken"}, receipt)
			})
		}
		all.Wait()
		assert.EqualValues(t, 70, b.balance())
	})
}

// An undo that comes while its action is open waits for its end.
func TestAnUndoWaitsForItsAction(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		for _, committed := range []bool{true, false} {
			b := open(t, k)
			tx := b.begin()
			_, err := guard.Do(doing(t, "charge"), tx, func() (Receipt, error) { return take(t.Context(), tx, 30) })
			require.NoError(t, err)
			undone := make(chan error)
			go func() { undone <- b.undo("charge") }()
			if k.Name == "postgres" {
				require.Eventually(t, b.someoneWaits, time.Minute, time.Millisecond, "the undo does not wait")
			}
			if committed {
				require.NoError(t, tx.Commit())
			} else {
				require.NoError(t, tx.Rollback())
			}
			require.NoError(t, <-undone)
			assert.EqualValues(t, 100, b.balance())
			_, err = b.do("charge")
			isRefusal(t, err, barrier.ErrUndone)
		}
	})
}

func TestActionsAndUndosAtOnce(t *testing.T) {
	kinds := []sqltest.Kind{sqltest.SQLite, sqltest.PostgreSQL}
	for _, level := range []string{"repeatable read", "serializable"} {
		kinds = append(kinds, sqltest.PostgreSQL.With(level))
	}
	for _, k := range kinds {
		t.Run(k.Title(), func(t *testing.T) {
			b := open(t, k)
			b.set(100_000)
			for round := range 20 {
				var all sync.WaitGroup
				name := fmt.Sprint("charge-", round)
				for n := range 6 {
					all.Go(func() {
						for {
							var err error
							if n%3 == 0 {
								err = b.undo(name)
							} else {
								_, err = b.do(name)
							}
							if err == nil || barrier.Settled(err) {
								return
							}
							// More conflicts in a row than Tx is patient for: the engine's next attempt.
							assert.Regexp(t, "SQLSTATE 40|changed meanwhile|database is locked", err.Error())
						}
					})
				}
				all.Wait()
			}
			var done int64
			require.NoError(t, b.QueryRow(`SELECT count(*) FROM skald_barrier WHERE state = 'done'`).Scan(&done))
			assert.Zero(t, done, "every action was undone or did not happen")
			assert.EqualValues(t, 100_000, b.balance())
			assert.Equal(t, 20, b.rows())
		})
	}
}

// someoneWaits says that a session of the database waits for a lock.
func (b bank) someoneWaits() bool {
	var n int
	err := b.QueryRow(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n)
	return err == nil && n > 0
}

func TestTxTriesAgainWhenAnotherTransactionWasFaster(t *testing.T) {
	for _, level := range []string{"repeatable read", "serializable"} {
		t.Run(level, func(t *testing.T) {
			b := open(t, sqltest.PostgreSQL.With(level))
			calls := 0
			receipt, err := guard.Tx(doing(t, "charge"), b, func(tx *sql.Tx) (Receipt, error) {
				if calls++; calls == 1 {
					b.set(50) // after the snapshot of tx was taken
				}
				return take(t.Context(), tx, 30)
			})
			require.NoError(t, err)
			assert.Equal(t, 2, calls)
			assert.EqualValues(t, 20, receipt.Left)
			assert.EqualValues(t, 20, b.balance())
		})
	}
}

// releasing begins transactions, and lets go of a lock before the second.
type releasing struct {
	*sql.DB
	begun  int
	unlock func() error
}

func (r *releasing) BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error) {
	if r.begun++; r.begun == 2 {
		if err := r.unlock(); err != nil {
			return nil, err
		}
	}
	return r.DB.BeginTx(ctx, opts)
}

func TestTxTriesAgainWhenSQLiteIsLocked(t *testing.T) {
	source := sqltest.SQLite.Source(t)
	b := openAt(t, sqltest.SQLite, source)
	lock := b.begin()
	_, err := lock.Exec(`UPDATE account SET balance = 100`)
	require.NoError(t, err)
	impatient := &releasing{DB: sqltest.SQLite.Connect(t, strings.Replace(source, "busy_timeout(60000)", "busy_timeout(0)", 1)), unlock: lock.Commit}
	err = guard.ExecTx(doing(t, "charge"), impatient, func(tx *sql.Tx) error {
		_, err := take(t.Context(), tx, 30)
		return err
	})
	require.NoError(t, err)
	assert.Equal(t, 2, impatient.begun)
	assert.EqualValues(t, 70, b.balance())
}
