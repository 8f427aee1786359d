package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skald-go/skald/internal/measure"
	"github.com/skald-go/skald/internal/workload"
)

// callers is how many wait at once.
const callers = 256

// leave prints what is left of many sagas when their results are gone.
func (s settings) leave(ctx context.Context) error {
	if s.left == 0 {
		return nil
	}
	for _, saga := range []workload.Saga{workload.SuccessSaga, workload.RollbackSaga} {
		if err := s.leaveOne(ctx, saga); err != nil {
			return err
		}
	}
	return nil
}

func (s settings) leaveOne(ctx context.Context, saga workload.Saga) error {
	addr, store, stop, err := start(ctx)
	if err != nil {
		return err
	}
	defer stop()
	site, err := measure.Place{Addr: addr, Keep: s.keep}.Local(ctx, saga)
	if err != nil {
		return err
	}
	begun := time.Now()
	before, after, err := site.Left(ctx, store, measure.Load{Callers: callers, Calls: s.left}, time.Minute)
	if err = errors.Join(err, site.Close()); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "\n%d sagas of %q, and what is there when their results are gone, after %v\n", s.left, saga.Name, time.Since(begun).Round(time.Second))
	fmt.Fprintf(s.out, "  keys                 %9d before, %9d after\n", before.Keys, after.Keys)
	fmt.Fprintf(s.out, "  used_memory_dataset  %9.0f before, %9.0f after: %+.0f bytes, %+.2f a saga\n", before.Bytes, after.Bytes, after.Bytes-before.Bytes,
		(after.Bytes-before.Bytes)/float64(s.left))
	return nil
}
