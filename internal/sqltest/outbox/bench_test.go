package outbox_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/sqltest"
	"github.com/skald-go/skald/outbox"
)

// What it takes to relay a start to a broker in memory.
func BenchmarkRelay(b *testing.B) {
	for _, k := range []sqltest.Kind{sqltest.SQLite, sqltest.PostgreSQL} {
		b.Run(k.Name, func(b *testing.B) {
			s := open(b, k)
			tx, err := s.Begin()
			require.NoError(b, err)
			for n := range b.N {
				_, err := outbox.Start(b.Context(), tx, s.order, Request{"anna", n}, flow.ID(fmt.Sprint("o-", n)))
				require.NoError(b, err)
			}
			require.NoError(b, tx.Commit())
			relay := outbox.NewRelay(s.DB, s.engine(s.broker, false, flow.Options{}), s.options()).Serve(s.order)
			b.ResetTimer()
			stop := s.background(relay.Run)
			s.eventually(func() bool { return s.stats().Waiting == 0 }, "rows wait")
			b.StopTimer()
			stop()
		})
	}
}
