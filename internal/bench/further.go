package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/skald-go/skald/internal/measure"
)

// calls is an engine whose sagas have their second step in another service, and an engine of that service.
type calls struct{}

func (calls) open(ctx context.Context, addr string, callers int, keep time.Duration) (measure.Site, error) {
	return measure.Place{Addr: addr, Callers: callers, Keep: keep}.Calls(ctx)
}

// told is events that a number of groups hear.
type told int

func (groups told) open(ctx context.Context, addr string, callers int, keep time.Duration) (measure.Site, error) {
	return measure.Place{Addr: addr, Callers: callers, Keep: keep}.Events(ctx, int(groups))
}

// Goals of what is beyond sagas of one service.
const (
	callCommands  = 8  // that a remote step adds
	callServer    = 50 // scaled µs of Redis that it adds
	eventCommands = 10
)

// further are the rows that have a table of their own.
type further struct{ local, calling, event *redisRow }

func (s settings) furtherRows(rows []*redisRow) further {
	f := further{local: rows[1]}
	f.calling = &redisRow{name: "skald, second step in another service", callers: s.onRedis, bed: calls{}, base: rows[0]}
	f.event = &redisRow{name: "an event that three groups handle", callers: s.onRedis, bed: told(3), base: rows[0]}
	return f
}

func (f further) rows() []*redisRow { return []*redisRow{f.calling, f.event} }

// print shows what a remote step adds to a saga, and what an event costs.
func (s settings) printFurther(f further) error {
	m := func(r *redisRow, figure func(redisFigures) float64) float64 { return median(r.runs, figure) }
	commands := func(r redisFigures) float64 { return r.commands }
	server := func(r redisFigures) float64 { return r.server }
	client := func(r redisFigures) float64 { return r.client }
	scale := localScale / m(f.local.base, server)
	fmt.Fprintln(s.out)
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "what\tcallers\ta second\tp50 µs\tcommands\tRedis µs\tscaled\tclient µs\t")
	for _, r := range f.rows() {
		fmt.Fprintf(w, "%s\t%d\t%.0f\t%.0f\t%.1f\t%.1f\t%.1f\t%.1f\t\n", r.name, r.callers, m(r, func(r redisFigures) float64 { return r.throughput }),
			m(r, func(r redisFigures) float64 { return r.p50 }), m(r, commands), m(r, server), scale*m(r, server), m(r, client))
	}
	adds := func(figure func(redisFigures) float64) float64 { return m(f.calling, figure) - m(f.local, figure) }
	fmt.Fprintf(w, "a remote step adds\t\t\t\t%s\t%.1f\t%s\t%.1f\t\n", atMost("%.1f", adds(commands), callCommands), adds(server),
		atMost("%.1f", scale*adds(server), callServer), adds(client))
	fmt.Fprintf(w, "an event\t\t\t\t%s\t%.1f\t%.1f\t%.1f\t\n", atMost("%.1f", m(f.event, commands), eventCommands), m(f.event, server),
		scale*m(f.event, server), m(f.event, client))
	return w.Flush()
}
