package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/skald-go/skald/internal/measure"
	"github.com/skald-go/skald/internal/workload"
)

// patience is how much longer than they are kept results may be there.
const patience = 30 * time.Second

// result is what one mode has shown.
type result struct {
	mode    string
	callers int
	costs   measure.Costs
	left    *float64 // bytes a saga; nil: it does not apply
}

// measure runs the sagas of a mode.
func (o options) measure(ctx context.Context, g ground, mode string, progress io.Writer) (result, error) {
	site, err := o.open(ctx, g.place, mode)
	if err != nil {
		return result{}, err
	}
	p := watch(progress, mode)
	r, err := o.call(ctx, g, site, mode, p)
	p.stop()
	return r, errors.Join(err, site.Close())
}

func (o options) open(ctx context.Context, place measure.Place, mode string) (measure.Site, error) {
	success, undone := workload.Sized(o.steps, o.payload)
	switch mode {
	case remote:
		return place.Remote(success, workerCommand)
	case rollback:
		return place.Local(ctx, undone)
	}
	return place.Local(ctx, success)
}

func (o options) call(ctx context.Context, g ground, site measure.Site, mode string, p *progress) (result, error) {
	r := result{mode: mode, callers: o.callers(mode)}
	empty, err := g.size(ctx)
	if err != nil {
		return r, err
	}
	some := min(max(1, o.sagas/10), 10_000)
	warm := measure.Load{Callers: r.callers, Calls: some, Done: p.phase("warm up", some)}
	if _, err := warm.Run(ctx, site.Call); err != nil {
		return r, fmt.Errorf("warm up: %w", err)
	}
	before, err := o.forgotten(ctx, g, site, empty, p)
	if err != nil {
		return r, err
	}
	load := measure.Load{Callers: r.callers, Calls: o.sagas, Done: p.phase("run", o.sagas)}
	if r.costs, err = site.Measure(ctx, load); err != nil {
		return r, err
	}
	after, err := o.forgotten(ctx, g, site, before, p)
	if err == nil && g.store != nil {
		left := (after.Bytes - before.Bytes) / float64(o.sagas)
		r.left = &left
	}
	return r, err
}

// forgotten waits until no result is kept, and gives what the store has then.
func (o options) forgotten(ctx context.Context, g ground, site measure.Site, before measure.Size, p *progress) (measure.Size, error) {
	if g.store == nil {
		return measure.Size{}, nil
	}
	p.phase("wait until results are gone", 0)
	return measure.Forgotten(ctx, site.Broker, g.store, before, o.keep+patience)
}
