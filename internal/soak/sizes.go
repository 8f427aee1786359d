package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/measure"
)

// sizes prints how much memory a saga takes in each state.
func (s settings) sizes(ctx context.Context) error {
	if s.sized == 0 {
		return nil
	}
	fmt.Fprintf(s.out, "\nMemory of Redis for a saga, of %d in that state\n", s.sized)
	for _, at := range []struct {
		state broker.State
		name  string
	}{
		{broker.Ready, "ready: waits for a worker"},
		{broker.Owned, "owned: its first step runs"},
		{broker.Parked, "parked: waits after its first step"},
		{broker.Finished, "finished: its result is kept"},
	} {
		bytes, err := s.size(ctx, at.state)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "  %-36s %5.0f bytes\n", at.name, bytes)
	}
	return nil
}

func (s settings) size(ctx context.Context, state broker.State) (float64, error) {
	addr, store, stop, err := start(ctx)
	if err != nil {
		return 0, err
	}
	defer stop()
	return crowdSize(ctx, addr, store, state, s.sized)
}

// crowdSize is the memory of a saga among so many. A few are there before, for what servers and clients set up once.
func crowdSize(ctx context.Context, addr string, store measure.Store, state broker.State, sagas int) (float64, error) {
	place := measure.Place{Addr: addr, Keep: time.Hour}
	few, err := place.Crowd(ctx, state, 100)
	if err != nil {
		return 0, err
	}
	before, err := store.Size(ctx)
	if err != nil {
		return 0, errors.Join(err, few.Close())
	}
	many, err := place.Crowd(ctx, state, sagas)
	if err != nil {
		return 0, errors.Join(err, few.Close())
	}
	after, err := store.Size(ctx)
	return (after.Bytes - before.Bytes) / float64(sagas), errors.Join(err, many.Close(), few.Close())
}
