package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/skald-go/skald/internal/measure"
	"github.com/skald-go/skald/internal/redisserver"
)

// redisRow is one line of the table of sagas on Redis.
type redisRow struct {
	name    string
	callers int
	bed     bed
	base    *redisRow // what it is compared with; nil: nothing
	goals   goals
	scale   float64 // of the Redis CPU of what is compared with it; 0: it is not scaled
	runs    []redisFigures
	looked  bool    // whether left is known
	left    float64 // bytes a saga
}

// redisFigures are what one run measured, per saga where that makes sense.
type redisFigures struct {
	throughput, p50, p99, commands, wire, server, client float64
}

// keep is how long results are kept while time is measured: the floor and the engine keep them equally long, and none ends meanwhile.
const keep = 10 * time.Minute

func (s settings) redisTable(ctx context.Context) error {
	server, err := redisserver.Start(ctx, redisserver.Options{})
	if err != nil {
		return err
	}
	defer server.Close()
	client := measure.Connect(server.Addr)
	defer client.Close()
	version, err := measure.Version(ctx, client)
	if err != nil {
		return err
	}
	rows := s.redisRows()
	more := s.furtherRows(rows)
	for round := range s.rounds {
		for _, r := range append(rows[:len(rows):len(rows)], more.rows()...) {
			s.progress("on Redis: round %d of %d: %s", round+1, s.rounds, r.name)
			if err := client.FlushAll(ctx).Err(); err != nil {
				return fmt.Errorf("empty the server: %w", err)
			}
			if err := r.measure(ctx, server.Addr, s.length); err != nil {
				return fmt.Errorf("measure %q on Redis: %w", r.name, err)
			}
		}
	}
	if err := s.lookWhatIsLeft(ctx, server.Addr, rows); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "Three steps on Redis %s without AOF on the same machine, %s, %d cores, medians of %d interleaved runs of %v\n\n",
		version, runtime.Version(), runtime.GOMAXPROCS(0), s.rounds, s.length)
	return errors.Join(s.printRedis(rows), s.printFurther(more))
}

// measure makes one run.
func (r *redisRow) measure(ctx context.Context, addr string, length time.Duration) error {
	site, err := r.bed.open(ctx, addr, r.callers, keep)
	if err != nil {
		return err
	}
	return errors.Join(r.call(ctx, site, length), site.Close())
}

func (r *redisRow) call(ctx context.Context, site measure.Site, length time.Duration) error {
	if _, err := (measure.Load{Callers: r.callers, Length: length / 5}).Run(ctx, site.Call); err != nil {
		return err
	}
	costs, err := site.Measure(ctx, measure.Load{Callers: r.callers, Length: length})
	if err != nil {
		return err
	}
	n := float64(costs.Calls)
	r.runs = append(r.runs, redisFigures{
		throughput: costs.Throughput(),
		p50:        micros(costs.Percentile(50)),
		p99:        micros(costs.Percentile(99)),
		commands:   costs.Server.Commands / n,
		wire:       costs.Server.Bytes / n,
		server:     costs.Per(costs.Server.CPU),
		client:     costs.Per(costs.Client),
	})
	return nil
}
