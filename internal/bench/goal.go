package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/skald-go/skald/internal/floor"
	"github.com/skald-go/skald/internal/workload"
)

// goals are what a row is to reach; zero is no goal.
type goals struct {
	share    float64 // of the throughput of what it is compared with, at least
	slower   float64 // times the p50 of what it is compared with, at most
	commands float64 // at most
	wire     float64 // bytes, at most
	server   float64 // scaled µs of Redis, at most
}

// cheap are the goals of what a saga costs.
var cheap = goals{share: 0.6, commands: 2.5, wire: 1600, server: 25}

// What Redis took for a saga of a design where the goals were set, in µs. Figures are scaled by how much faster or slower the design is in
// the run at hand.
const (
	localScale = 11
	queueScale = 14
)

// redisRows are in the order in which they are measured: each beside what it is compared with.
func (s settings) redisRows() []*redisRow {
	n := s.onRedis
	floorLocal := &redisRow{name: "floor El", callers: n, bed: bare(floor.Local), scale: localScale}
	started := &redisRow{name: "skald, local start", callers: n, bed: local{workload.SuccessSaga}, base: floorLocal, goals: cheap}
	undone := &redisRow{name: "skald, rollback", callers: n, bed: local{workload.RollbackSaga}, base: started, goals: goals{share: 0.5}}
	floorQueue := &redisRow{name: "floor E", callers: n, bed: bare(floor.Queue), scale: queueScale}
	apart := &redisRow{name: "skald, two processes", callers: n, bed: remote{workload.SuccessSaga}, base: floorQueue, goals: cheap}
	floorOne := &redisRow{name: "floor El, one at a time", callers: 1, bed: bare(floor.Local)}
	one := &redisRow{name: "skald, one at a time", callers: 1, bed: local{workload.SuccessSaga}, base: floorOne, goals: goals{slower: 1.5}}
	return []*redisRow{floorLocal, started, undone, floorQueue, apart, floorOne, one,
		{name: "an event a step, batched (A)", callers: n, bed: bare(floor.Events), base: floorLocal},
		{name: "an event a step, unbatched (N)", callers: n, bed: bare(floor.Naive), base: floorLocal},
	}
}

func (s settings) printRedis(rows []*redisRow) error {
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "what\tcallers\tsagas/s\tcompared\tp50 µs\tp99 µs\tcommands\twire B\tRedis µs\tscaled\tclient µs\tleft B\t")
	for _, r := range rows {
		r.print(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(s.out, `
Goals are in parentheses. "compared" is throughput against the floor beside, rollback's against local start, one at a time's p50 against the
floor's. "scaled" is the Redis CPU as it would be if the floor took 11 µs (El) or 14 µs (E), as it did where the goals were set. Client CPU is that of
all processes that start or run sagas. What is left is the server's data after the results' time is over and MEMORY PURGE.`)
	return err
}

func (r *redisRow) print(w *tabwriter.Writer) {
	m := func(figure func(redisFigures) float64) float64 { return median(r.runs, figure) }
	fmt.Fprintf(w, "%s\t%d\t%.0f\t%s\t%.0f\t%.0f\t%s\t%s\t%.1f\t%s\t%.1f\t%s\t\n", r.name, r.callers,
		m(func(f redisFigures) float64 { return f.throughput }), r.compared(),
		m(func(f redisFigures) float64 { return f.p50 }), m(func(f redisFigures) float64 { return f.p99 }),
		atMost("%.1f", m(func(f redisFigures) float64 { return f.commands }), r.goals.commands),
		atMost("%.0f", m(func(f redisFigures) float64 { return f.wire }), r.goals.wire),
		m(func(f redisFigures) float64 { return f.server }), r.scaled(),
		m(func(f redisFigures) float64 { return f.client }), r.leftover())
}

func atMost(format string, figure, goal float64) string {
	if goal == 0 {
		return fmt.Sprintf(format, figure)
	}
	return fmt.Sprintf(format+" (≤ %v)", figure, goal)
}

// against is the median over rounds of a figure, in relation to that of what the row is compared with in the same round.
func (r *redisRow) against(base *redisRow, figure func(redisFigures) float64) float64 {
	rounds := make([]int, len(r.runs))
	for i := range rounds {
		rounds[i] = i
	}
	return median(rounds, func(i int) float64 { return figure(r.runs[i]) / figure(base.runs[i]) })
}

func (r *redisRow) compared() string {
	if r.base == nil {
		return ""
	}
	if r.goals.slower > 0 {
		return atMost("%.2f x", r.against(r.base, func(f redisFigures) float64 { return f.p50 }), r.goals.slower)
	}
	share := 100 * r.against(r.base, func(f redisFigures) float64 { return f.throughput })
	if r.goals.share == 0 {
		return fmt.Sprintf("%.0f %%", share)
	}
	return fmt.Sprintf("%.0f %% (≥ %.0f)", share, 100*r.goals.share)
}

func (r *redisRow) scaled() string {
	floor := r.base
	if floor != nil && floor.base != nil {
		floor = floor.base
	}
	if floor == nil || floor.scale == 0 {
		return ""
	}
	return atMost("%.1f", floor.scale*r.against(floor, func(f redisFigures) float64 { return f.server }), r.goals.server)
}

func (r *redisRow) leftover() string {
	if !r.looked {
		return ""
	}
	return fmt.Sprintf("%.2f", r.left)
}
