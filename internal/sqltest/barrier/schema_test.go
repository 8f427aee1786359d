package barrier_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/barrier"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/sqltest"
	"github.com/skald-go/skald/step"
)

func TestManyProcessesMigrateAtOnce(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		db := k.Open(t)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() { assert.NoError(t, barrier.Migrate(t.Context(), db, barrier.Dialect(k.Name))) })
		}
		all.Wait()
	})
}

func TestTheSchemaIsAMigrationOfItsOwn(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		db := k.Open(t)
		text, err := barrier.Schema(barrier.Dialect(k.Name))
		require.NoError(t, err)
		for range 2 {
			_, err = db.Exec(text)
			require.NoError(t, err)
		}
		require.NoError(t, barrier.ExecTx(doing(t, "charge"), db, func(*sql.Tx) error { return nil }))
	})
	_, err := barrier.Schema("oracle")
	assert.ErrorContains(t, err, `the dialect "oracle"`)
}

func TestATableInASchema(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		db := k.Open(t)
		guard := barrier.SQL{Table: "main.effects"}
		if k.Name == "postgres" {
			_, err := db.Exec("CREATE SCHEMA main")
			require.NoError(t, err)
		}
		require.NoError(t, guard.Migrate(t.Context(), db, barrier.Dialect(k.Name)))
		calls := 0
		for range 2 {
			require.NoError(t, guard.ExecTx(doing(t, "charge"), db, func(*sql.Tx) error { calls++; return nil }))
		}
		assert.Equal(t, 1, calls)
		n, err := guard.Prune(t.Context(), db, time.Hour)
		require.NoError(t, err)
		assert.Zero(t, n)
	})
}

func TestOldRecordsArePruned(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		b := open(t, k)
		tx := b.begin()
		defer tx.Rollback()
		old := time.Now().Add(-25 * time.Hour).UnixMilli()
		const many = 2_500
		for n := range many {
			_, err := tx.Exec(`INSERT INTO skald_barrier (effect, state, at) VALUES ($1, 'done', $2)`, fmt.Sprint("old-", n), old)
			require.NoError(t, err)
		}
		require.NoError(t, tx.Commit())
		_, err := b.do("charge")
		require.NoError(t, err)

		n, err := barrier.Prune(t.Context(), b.DB, 26*time.Hour)
		require.NoError(t, err)
		assert.Zero(t, n)
		n, err = barrier.Prune(t.Context(), b.DB, 24*time.Hour)
		require.NoError(t, err)
		assert.EqualValues(t, many, n)
		assert.Equal(t, 1, b.rows())
		_, err = barrier.Prune(t.Context(), b.DB, 0)
		assert.ErrorContains(t, err, "olderThan")
	})
}

func TestAnUndoMakesARecordYoung(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		b := open(t, k)
		_, err := b.do("charge")
		require.NoError(t, err)
		_, err = b.Exec(`UPDATE skald_barrier SET at = 0`)
		require.NoError(t, err)
		require.NoError(t, b.undo("charge"))
		n, err := barrier.Prune(t.Context(), b.DB, time.Hour)
		require.NoError(t, err)
		assert.Zero(t, n)
	})
}

func TestACipherHidesResultsAndRefusals(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		b := open(t, k)
		key := flow.Key{ID: "k1", Secret: make([]byte, 32)}
		_, err := rand.Read(key.Secret)
		require.NoError(t, err)
		cipher, err := flow.Cipher(flow.MsgPack(), key)
		require.NoError(t, err)
		guard := barrier.SQL{Errors: codec, Codec: cipher}
		do := func(ctx context.Context, out string, err error) (string, error) {
			return guard.Tx(ctx, b, func(*sql.Tx) (string, error) { return out, err })
		}
		for range 2 {
			out, err := do(doing(t, "charge"), "card 4711", nil)
			require.NoError(t, err)
			assert.Equal(t, "card 4711", out)
			_, err = do(doing(t, "ship"), "", step.Refused(fmt.Errorf("card 4711: %w", errPoor)))
			isRefusal(t, err, errPoor)
			assert.Contains(t, err.Error(), "card 4711")
		}
		rows, err := b.Query(`SELECT result FROM skald_barrier`)
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var result []byte
			require.NoError(t, rows.Scan(&result))
			assert.NotEmpty(t, result)
			assert.NotContains(t, string(result), "4711")
		}
		require.NoError(t, rows.Err())
	})
}
