package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"text/tabwriter"
	"time"

	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/internal/measure"
	"github.com/skald-go/skald/internal/workload"
)

// memoryRow is one line of the table of sagas in memory.
type memoryRow struct {
	name    string
	saga    workload.Saga
	callers int
	gogc    int
	runs    []memoryFigures
}

// memoryFigures are what one run measured, per saga where that makes sense.
type memoryFigures struct{ throughput, cpu, allocs, bytes, p50, p99 float64 }

func (s settings) memoryTable(ctx context.Context) error {
	var rows []*memoryRow
	for _, gogc := range []int{100, 400} {
		rows = append(rows,
			&memoryRow{name: "success", saga: workload.SuccessSaga, callers: s.inMemory, gogc: gogc},
			&memoryRow{name: "rollback", saga: workload.RollbackSaga, callers: s.inMemory, gogc: gogc},
			&memoryRow{name: "with step timeouts", saga: workload.TimeoutsSaga, callers: s.inMemory, gogc: gogc},
			&memoryRow{name: "one at a time", saga: workload.SuccessSaga, callers: 1, gogc: gogc},
		)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	for round := range s.rounds {
		s.progress("in memory: round %d of %d", round+1, s.rounds)
		for _, r := range rows {
			if err := r.measure(ctx, s.length); err != nil {
				return fmt.Errorf("measure %q in memory: %w", r.name, err)
			}
		}
	}
	fmt.Fprintf(s.out, "Three steps in memory, %s, %d cores, medians of %d interleaved runs of %v\n\n",
		runtime.Version(), runtime.GOMAXPROCS(0), s.rounds, s.length)
	return s.printMemory(rows)
}

func (s settings) printMemory(rows []*memoryRow) error {
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "workload\tGOGC\tin flight\tsagas/s\tof success\tCPU µs\tallocations\tbytes\tp50 µs\tp99 µs\t")
	base := map[int]float64{}
	for _, r := range rows {
		m := func(figure func(memoryFigures) float64) float64 { return median(r.runs, figure) }
		throughput := m(func(f memoryFigures) float64 { return f.throughput })
		if r.name == "success" {
			base[r.gogc] = throughput
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%.0f\t%.0f %%\t%.1f\t%.1f\t%.0f\t%.1f\t%.1f\t\n", r.name, r.gogc, r.callers, throughput,
			100*throughput/base[r.gogc], m(func(f memoryFigures) float64 { return f.cpu }), m(func(f memoryFigures) float64 { return f.allocs }),
			m(func(f memoryFigures) float64 { return f.bytes }), m(func(f memoryFigures) float64 { return f.p50 }),
			m(func(f memoryFigures) float64 { return f.p99 }))
	}
	return w.Flush()
}

// measure makes one run on an engine and a broker of its own.
func (r *memoryRow) measure(ctx context.Context, length time.Duration) error {
	debug.SetGCPercent(r.gogc)
	b := inmem.New()
	defer b.Close()
	e, err := measure.RunEngine(ctx, b, workload.Options(), r.saga.Flow)
	if err != nil {
		return err
	}
	call := func(ctx context.Context) error { return r.saga.Call(ctx, e.Engine) }
	return errors.Join(r.call(ctx, call, length), e.Stop())
}

func (r *memoryRow) call(ctx context.Context, call measure.Call, length time.Duration) error {
	if _, err := (measure.Load{Callers: r.callers, Length: length / 5}).Run(ctx, call); err != nil {
		return err
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	costs, err := measure.Run{Call: call}.Measure(ctx, measure.Load{Callers: r.callers, Length: length})
	if err != nil {
		return err
	}
	runtime.ReadMemStats(&after)
	n := float64(costs.Calls)
	r.runs = append(r.runs, memoryFigures{
		throughput: costs.Throughput(),
		cpu:        costs.Per(costs.Client),
		allocs:     float64(after.Mallocs-before.Mallocs) / n,
		bytes:      float64(after.TotalAlloc-before.TotalAlloc) / n,
		p50:        micros(costs.Percentile(50)),
		p99:        micros(costs.Percentile(99)),
	})
	return nil
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
