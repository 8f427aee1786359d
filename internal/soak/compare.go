package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/measure"
	"github.com/skald-go/skald/internal/workload"
)

// compare prints what a saga costs with few and with many others at rest.
func (s settings) compare(ctx context.Context) error {
	if s.many == 0 {
		return nil
	}
	return errors.Join(s.compareAt(ctx, broker.Parked, "parked"), s.compareAt(ctx, broker.Finished, "finished"))
}

// field is a server with sagas at rest.
type field struct {
	resting int
	site    measure.Site
	runs    []measure.Costs
}

func (s settings) compareAt(ctx context.Context, state broker.State, name string) error {
	var fields []*field
	for _, resting := range []int{s.few, s.many} {
		addr, store, stop, err := start(ctx)
		if err != nil {
			return err
		}
		defer stop()
		begun := time.Now()
		bytes, err := crowdSize(ctx, addr, store, state, resting)
		if err != nil {
			return err
		}
		fmt.Printf("\n%d sagas are %s after %v, %.0f bytes each\n", resting, name, time.Since(begun).Round(time.Second), bytes)
		site, err := measure.Place{Addr: addr, Keep: time.Hour}.Local(ctx, workload.SuccessSaga)
		if err != nil {
			return err
		}
		defer site.Close()
		fields = append(fields, &field{resting: resting, site: site})
	}
	for _, n := range []int{callers, 1} {
		if err := s.interleave(ctx, fields, n); err != nil {
			return err
		}
		printFields(fields, name, n)
	}
	return nil
}

// interleave runs sagas on one server after the other, and discards the first round.
func (s settings) interleave(ctx context.Context, fields []*field, callers int) error {
	for round := range s.rounds + 1 {
		for _, f := range fields {
			costs, err := f.site.Measure(ctx, measure.Load{Callers: callers, Length: s.length})
			if err != nil {
				return err
			}
			if round == 0 {
				f.runs = nil
				continue
			}
			f.runs = append(f.runs, costs)
		}
	}
	return nil
}

func printFields(fields []*field, name string, callers int) {
	fmt.Printf("  with %d callers:\n", callers)
	for _, f := range fields {
		fmt.Printf("  %9d %s: %6.0f sagas/s, %6.2f commands a saga, %6.1f µs of Redis CPU\n", f.resting, name,
			f.median(measure.Costs.Throughput), f.median(commands), f.median(serverCPU))
	}
	few, many := fields[0], fields[1]
	fmt.Printf("  many against few, median of rounds: commands x %.2f, Redis CPU x %.2f\n",
		against(many, few, commands), against(many, few, serverCPU))
}

func commands(c measure.Costs) float64  { return c.Server.Commands / float64(c.Calls) }
func serverCPU(c measure.Costs) float64 { return c.Per(c.Server.CPU) }

func (f *field) median(figure func(measure.Costs) float64) float64 {
	var all []float64
	for _, c := range f.runs {
		all = append(all, figure(c))
	}
	return middle(all)
}

func against(f, base *field, figure func(measure.Costs) float64) float64 {
	var all []float64
	for i := range f.runs {
		all = append(all, figure(f.runs[i])/figure(base.runs[i]))
	}
	return middle(all)
}

func middle(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}
