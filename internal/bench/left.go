package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skald-go/skald/internal/measure"
)

// briefly is how long results are kept where it is measured what is left when they are gone.
const briefly = 2 * time.Second

// lookWhatIsLeft runs sagas of every row that has engines, and measures what they leave.
func (s settings) lookWhatIsLeft(ctx context.Context, addr string, rows []*redisRow) error {
	client := measure.Connect(addr)
	defer client.Close()
	for _, r := range rows {
		if _, ok := r.bed.(bare); ok || s.left == 0 || r.callers == 1 {
			continue
		}
		s.progress("on Redis: what is left of %d sagas: %s", s.left, r.name)
		if err := client.FlushAll(ctx).Err(); err != nil {
			return fmt.Errorf("empty the server: %w", err)
		}
		if err := r.leave(ctx, addr, measure.WholeServer{Client: client}, s.left); err != nil {
			return fmt.Errorf("measure what %q leaves: %w", r.name, err)
		}
	}
	return nil
}

func (r *redisRow) leave(ctx context.Context, addr string, store measure.Store, sagas int) error {
	site, err := r.bed.open(ctx, addr, r.callers, briefly)
	if err != nil {
		return err
	}
	return errors.Join(r.measureLeft(ctx, site, store, sagas), site.Close())
}

func (r *redisRow) measureLeft(ctx context.Context, site measure.Site, store measure.Store, sagas int) error {
	before, after, err := site.Left(ctx, store, measure.Load{Callers: r.callers, Calls: sagas}, time.Minute)
	r.left, r.looked = (after.Bytes-before.Bytes)/float64(sagas), true
	return err
}
