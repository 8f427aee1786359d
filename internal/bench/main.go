// Command bench measures sagas in memory, and prints one table: the medians of interleaved runs. The workload is
// package workload's; every saga has a caller of its own that waits for it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/internal/workload"
)

// row is one line of the table.
type row struct {
	name    string
	flow    flow.Flow[workload.Order, workload.Label]
	callers int
	gogc    int
	runs    []figures
}

// figures are what one run measured, per saga where that makes sense.
type figures struct {
	throughput, cpu, allocs, bytes, p50, p99 float64
}

func main() {
	rounds := flag.Int("rounds", 5, "how many interleaved runs the medians are of")
	length := flag.Duration("length", time.Second, "of one run")
	callers := flag.Int("callers", 1000, "sagas in flight")
	flag.Parse()
	var rows []*row
	for _, gogc := range []int{100, 400} {
		rows = append(rows,
			&row{name: "success", flow: workload.Success, callers: *callers, gogc: gogc},
			&row{name: "rollback", flow: workload.Rollback, callers: *callers, gogc: gogc},
			&row{name: "with step timeouts", flow: workload.Timeouts, callers: *callers, gogc: gogc},
			&row{name: "one at a time", flow: workload.Success, callers: 1, gogc: gogc},
		)
	}
	for range *rounds {
		for _, r := range rows {
			if err := r.measure(*length); err != nil {
				fmt.Fprintln(os.Stderr, "bench:", err)
				os.Exit(1)
			}
		}
	}
	fmt.Printf("Three steps in memory, %s, %d cores, medians of %d interleaved runs of %v\n\n", runtime.Version(), runtime.GOMAXPROCS(0), *rounds, *length)
	print(rows)
}

func print(rows []*row) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "workload\tGOGC\tin flight\tsagas/s\tof success\tCPU µs\tallocations\tbytes\tp50 µs\tp99 µs\t")
	base := map[int]float64{}
	for _, r := range rows {
		m := median(r.runs)
		if r.name == "success" {
			base[r.gogc] = m.throughput
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%.0f\t%.0f %%\t%.1f\t%.1f\t%.0f\t%.1f\t%.1f\t\n", r.name, r.gogc, r.callers, m.throughput,
			100*m.throughput/base[r.gogc], m.cpu, m.allocs, m.bytes, m.p50, m.p99)
	}
	w.Flush()
}

// measure makes one run on an engine and a broker of its own.
func (r *row) measure(length time.Duration) error {
	debug.SetGCPercent(r.gogc)
	e := flow.NewEngine(inmem.New(), workload.Options())
	e.Serve(r.flow)
	ctx, cancel := context.WithCancel(workload.WithTrace(context.Background(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	if _, err := r.call(ctx, e, length/5); err != nil {
		return err
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, start := cpuTime(), time.Now()
	times, err := r.call(ctx, e, length)
	if err != nil {
		return err
	}
	elapsed := time.Since(start)
	cpu = cpuTime() - cpu
	runtime.ReadMemStats(&after)
	cancel()
	n := float64(len(times))
	slices.Sort(times)
	r.runs = append(r.runs, figures{
		throughput: n / elapsed.Seconds(),
		cpu:        float64(cpu.Microseconds()) / n,
		allocs:     float64(after.Mallocs-before.Mallocs) / n,
		bytes:      float64(after.TotalAlloc-before.TotalAlloc) / n,
		p50:        micros(times[len(times)/2]),
		p99:        micros(times[len(times)*99/100]),
	})
	return <-ended
}

// call runs sagas for that long, and gives how long each took.
func (r *row) call(ctx context.Context, e *flow.Engine, length time.Duration) ([]time.Duration, error) {
	var mu sync.Mutex
	var all []time.Duration
	var callers errgroup.Group
	end := time.Now().Add(length)
	for range r.callers {
		callers.Go(func() error {
			times := make([]time.Duration, 0, 4096)
			for start := time.Now(); start.Before(end); {
				if err := r.one(ctx, e); err != nil {
					return err
				}
				now := time.Now()
				times = append(times, now.Sub(start))
				start = now
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, times...)
			return nil
		})
	}
	err := callers.Wait()
	return all, err
}

// one runs a saga, which ends as its flow is meant to.
func (r *row) one(ctx context.Context, e *flow.Engine) error {
	future, err := r.flow.Start(ctx, e, workload.Input())
	if err != nil {
		return err
	}
	if _, err = future.Await(ctx); r.flow.Name() == workload.Rollback.Name() && errors.Is(err, workload.ErrNoCourier) {
		return nil
	}
	return err
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// median takes the median of each figure.
func median(runs []figures) figures {
	of := func(get func(figures) float64) float64 {
		var all []float64
		for _, r := range runs {
			all = append(all, get(r))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return figures{
		throughput: of(func(f figures) float64 { return f.throughput }),
		cpu:        of(func(f figures) float64 { return f.cpu }),
		allocs:     of(func(f figures) float64 { return f.allocs }),
		bytes:      of(func(f figures) float64 { return f.bytes }),
		p50:        of(func(f figures) float64 { return f.p50 }),
		p99:        of(func(f figures) float64 { return f.p99 }),
	}
}
