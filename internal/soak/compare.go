package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
		fmt.Fprintf(s.out, "\n%d sagas are %s after %v, %.0f bytes each\n", resting, name, time.Since(begun).Round(time.Second), bytes)
		site, err := measure.Place{Addr: addr, Keep: time.Hour}.Local(ctx, workload.SuccessSaga)
		if err != nil {
			return err
		}
		defer site.Close()
		f := &field{resting: resting, site: site}
		if err := f.warm(ctx, s.first); err != nil {
			return err
		}
		fields = append(fields, f)
	}
	for _, n := range []int{callers, 1} {
		if err := s.interleave(ctx, fields, n); err != nil {
			return err
		}
		s.printFields(fields, name, n)
	}
	return nil
}

// interleave runs sagas on one server after the other.
func (s settings) interleave(ctx context.Context, fields []*field, callers int) error {
	for _, f := range fields {
		f.runs = nil
		if err := f.settle(ctx); err != nil {
			return err
		}
	}
	for range s.rounds {
		for _, f := range fields {
			costs, err := f.site.Measure(ctx, measure.Load{Callers: callers, Length: s.length})
			if err != nil {
				return err
			}
			f.runs = append(f.runs, costs)
		}
	}
	return nil
}

// warm runs sagas that are not measured: with enough of them, tables grow to what they hold afterwards.
func (f *field) warm(ctx context.Context, sagas int) error {
	_, err := measure.Load{Callers: callers, Calls: sagas}.Run(ctx, f.site.Call)
	return err
}

// settle waits until the server moves no entries of its tables: one that doubles, at each power of two, makes every command dearer meanwhile.
func (f *field) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute) // a server at rest moves them for a millisecond in a hundred
	defer cancel()
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for {
		stats, err := f.site.Server.Do(ctx, "DEBUG", "HTSTATS", 0).Text()
		if err != nil {
			return fmt.Errorf("ask Redis for its tables: %w", err)
		}
		if !strings.Contains(stats, "rehashing") {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until the tables of Redis have grown: %w", ctx.Err())
		}
	}
}

func (s settings) printFields(fields []*field, name string, callers int) {
	fmt.Fprintf(s.out, "  with %d callers:\n", callers)
	for _, f := range fields {
		fmt.Fprintf(s.out, "  %9d %s: %6.0f sagas/s, %6.2f commands a saga, %6.1f µs of Redis CPU\n", f.resting, name,
			f.median(measure.Costs.Throughput), f.median(commands), f.median(serverCPU))
	}
	few, many := fields[0], fields[1]
	fmt.Fprintf(s.out, "  many against few, median of rounds: commands x %.2f, Redis CPU x %.2f\n",
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
