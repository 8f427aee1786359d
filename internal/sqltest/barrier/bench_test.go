package barrier_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/internal/sqltest"
)

// What a barrier costs: the same transaction without one, with one, and a repeat.
func BenchmarkTx(b *testing.B) {
	for _, k := range []sqltest.Kind{sqltest.SQLite, sqltest.PostgreSQL} {
		store := open(b, k)
		store.set(1 << 60)
		effect := func(ctx context.Context, tx *sql.Tx) error {
			_, err := take(ctx, tx, 1)
			return err
		}
		b.Run(k.Name+"/without", func(b *testing.B) {
			for b.Loop() {
				tx, err := store.BeginTx(b.Context(), nil)
				require.NoError(b, err)
				require.NoError(b, effect(b.Context(), tx))
				require.NoError(b, tx.Commit())
			}
		})
		b.Run(k.Name+"/first", func(b *testing.B) {
			for n := 0; b.Loop(); n++ {
				ctx := doing(b, fmt.Sprintf("%s-%p-%d", k.Name, b, n))
				require.NoError(b, guard.ExecTx(ctx, store, func(tx *sql.Tx) error { return effect(ctx, tx) }))
			}
		})
		b.Run(k.Name+"/repeat", func(b *testing.B) {
			ctx := doing(b, "repeat")
			for b.Loop() {
				require.NoError(b, guard.ExecTx(ctx, store, func(tx *sql.Tx) error { return effect(ctx, tx) }))
			}
		})
	}
}
