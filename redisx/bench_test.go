package redisx_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/internal/measure"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/internal/workload"
)

// BenchmarkSaga runs the workload with 256 callers that wait, and reports what a saga costs; "one" has one caller. It is for profiles; make
// bench prints the table. SKALD_BENCH_REDIS names a server to be used; without it one is started.
func BenchmarkSaga(b *testing.B) {
	b.Run("local", func(b *testing.B) { benchLocal(b, workload.SuccessSaga, 256) })
	b.Run("remote", benchRemote)
	b.Run("rollback", func(b *testing.B) { benchLocal(b, workload.RollbackSaga, 256) })
	b.Run("one", func(b *testing.B) { benchLocal(b, workload.SuccessSaga, 1) })
}

func benchPlace(b *testing.B) measure.Place {
	addr := os.Getenv("SKALD_BENCH_REDIS")
	if addr == "" {
		addr = redistest.Start(b).Addr
	}
	return measure.Place{Addr: addr, Keep: 10 * time.Minute}
}

func benchLocal(b *testing.B, saga workload.Saga, callers int) {
	site, err := benchPlace(b).Local(b.Context(), saga)
	require.NoError(b, err)
	bench(b, site, callers)
	require.NoError(b, site.Close())
}

// benchRemote has starter and worker in one process, on connections of their own.
func benchRemote(b *testing.B) {
	place := benchPlace(b)
	worker, err := place.Local(b.Context(), workload.SuccessSaga)
	require.NoError(b, err)
	starter := place.Starter(workload.SuccessSaga)
	bench(b, starter, 256)
	require.NoError(b, starter.Close())
	require.NoError(b, worker.Close())
}

func bench(b *testing.B, site measure.Site, callers int) {
	ctx := workload.WithTrace(b.Context(), workload.Trace)
	_, err := measure.Load{Callers: callers, Calls: 2000}.Run(ctx, site.Call)
	require.NoError(b, err)
	b.ResetTimer()
	costs, err := site.Measure(ctx, measure.Load{Callers: callers, Calls: b.N})
	b.StopTimer()
	require.NoError(b, err)
	n := float64(costs.Calls)
	b.ReportMetric(costs.Throughput(), "sagas/s")
	b.ReportMetric(costs.Per(costs.Server.CPU), "redis-µs/saga")
	b.ReportMetric(costs.Server.Commands/n, "commands/saga")
	b.ReportMetric(costs.Server.Bytes/n, "wire-B/saga")
	b.ReportMetric(costs.Per(costs.Client), "client-µs/saga")
	b.ReportMetric(float64(costs.Percentile(50).Microseconds()), "p50-µs")
	b.ReportMetric(float64(costs.Percentile(99).Microseconds()), "p99-µs")
}
