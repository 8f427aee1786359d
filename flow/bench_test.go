package flow_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/internal/workload"
)

const inFlight = 1000

func BenchmarkSuccess(b *testing.B)  { benchmark(b, workload.Success, inFlight) }
func BenchmarkRollback(b *testing.B) { benchmark(b, workload.Rollback, inFlight) }
func BenchmarkOne(b *testing.B)      { benchmark(b, workload.Success, 1) }

func benchmark(b *testing.B, f flow.Flow[workload.Order, workload.Label], callers int) {
	e := engineFor(b, f)
	b.ReportAllocs()
	b.ResetTimer()
	callAll(b, e, f, callers, b.N)
}

// engineFor runs an engine on a broker in memory until the test ends.
func engineFor(tb testing.TB, flows ...flow.Definition) *flow.Engine {
	e := flow.NewEngine(inmem.New(), workload.Options())
	e.Serve(flows...)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		require.NoError(tb, <-ended)
	})
	return e
}

// callAll starts n sagas from that many callers, each of which waits for its own.
func callAll(tb testing.TB, e *flow.Engine, f flow.Flow[workload.Order, workload.Label], callers, n int) {
	var wg sync.WaitGroup
	ctx := workload.WithTrace(context.Background(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	for c := range callers {
		share := n / callers
		if c < n%callers {
			share++
		}
		wg.Go(func() {
			for range share {
				future, err := f.Start(ctx, e, workload.Input())
				if err != nil {
					tb.Error(err)
					return
				}
				_, err = future.Await(ctx)
				if f.Name() == "rollback" {
					if err == nil {
						tb.Error("it did not fail")
					}
				} else if err != nil {
					tb.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
