package redisx_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/internal/workload"
	"github.com/skald-go/skald/redisx"
)

// BenchmarkSaga runs the workload with 256 callers that wait, and reports what a saga costs; "one" has one caller.
// SKALD_BENCH_REDIS names a server to be used, which is flushed; without it one is started.
func BenchmarkSaga(b *testing.B) {
	b.Run("local", func(b *testing.B) { measure(b, workload.Success, 256, false) })
	b.Run("remote", func(b *testing.B) { measure(b, workload.Success, 256, true) })
	b.Run("rollback", func(b *testing.B) { measure(b, workload.Rollback, 256, false) })
	b.Run("one", func(b *testing.B) { measure(b, workload.Success, 1, false) })
}

func measure(b *testing.B, f flow.Flow[workload.Order, workload.Label], callers int, remote bool) {
	addr := os.Getenv("SKALD_BENCH_REDIS")
	if addr == "" {
		addr = redistest.Start(b).Addr
	}
	client := redis.NewClient(&redis.Options{Addr: addr, PoolSize: 64, Protocol: 2, DisableIdentity: true})
	defer client.Close()
	client.FlushAll(b.Context())
	opts := workload.Options()
	opts.Logger = slog.New(slog.DiscardHandler)
	opts.Retention = 10 * time.Minute
	worker := redisx.New(client, redisx.Options{})
	defer worker.Close()
	e := flow.NewEngine(worker, opts)
	e.Serve(f)
	ctx, cancel := context.WithCancel(workload.WithTrace(context.Background(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
	ended := make(chan error, 1)
	run := e.Run
	go func() { ended <- run(ctx) }()
	defer func() {
		cancel()
		<-ended
	}()
	if remote {
		starter := redisx.New(client, redisx.Options{})
		defer starter.Close()
		e = flow.NewEngine(starter, opts)
	}
	callSagas(b, ctx, e, f, callers, 2000)
	before := readCosts(b, client)
	b.ResetTimer()
	times := callSagas(b, ctx, e, f, callers, b.N)
	b.StopTimer()
	after := readCosts(b, client)
	slices.Sort(times)
	n := float64(b.N)
	b.ReportMetric(n/b.Elapsed().Seconds(), "sagas/s")
	b.ReportMetric((after.cpu-before.cpu)*1e6/n, "redis-µs/saga")
	b.ReportMetric((after.commands-before.commands)/n, "commands/saga")
	b.ReportMetric((after.wire-before.wire)/n, "wire-B/saga")
	b.ReportMetric((after.memory-before.memory)/n, "kept-B/saga")
	b.ReportMetric((after.own-before.own)*1e6/n, "client-µs/saga")
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
}

func callSagas(b *testing.B, ctx context.Context, e *flow.Engine, f flow.Flow[workload.Order, workload.Label], callers, sagas int) []time.Duration {
	var left atomic.Int64
	left.Store(int64(sagas))
	times := make([]time.Duration, sagas)
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for i := left.Add(-1); i >= 0; i = left.Add(-1) {
				begun := time.Now()
				future, err := f.Start(ctx, e, workload.Input())
				if err == nil {
					_, err = future.Await(ctx)
				}
				if err != nil && !errors.Is(err, workload.ErrNoCourier) {
					b.Error(err)
					return
				}
				times[i] = time.Since(begun)
			}
		})
	}
	group.Wait()
	return times
}

// costs are what a server and this process have spent.
type costs struct{ cpu, commands, wire, memory, own float64 }

func readCosts(b *testing.B, client *redis.Client) costs {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return costs{
		cpu:      infoOf(b, client, "cpu", "used_cpu_user_main_thread") + infoOf(b, client, "cpu", "used_cpu_sys_main_thread"),
		commands: infoOf(b, client, "stats", "total_commands_processed"),
		wire:     infoOf(b, client, "stats", "total_net_input_bytes") + infoOf(b, client, "stats", "total_net_output_bytes"),
		memory:   infoOf(b, client, "memory", "used_memory"),
		own:      float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9,
	}
}
