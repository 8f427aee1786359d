package measure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/skald-go/skald/broker"
)

// Store is what is looked at to see what sagas leave behind.
type Store interface {
	// Size is how many keys there are, and how many bytes they take.
	Size(ctx context.Context) (Size, error)
}

// Size is that of a Store.
type Size struct {
	Keys  int64
	Bytes float64
}

// WholeServer is everything on a server that nobody else uses. It is exact: the bytes are those of the server's data after MEMORY PURGE.
type WholeServer struct{ Client *redis.Client }

// Size implements Store.
func (s WholeServer) Size(ctx context.Context) (Size, error) {
	keys, err := s.Client.DBSize(ctx).Result()
	if err != nil {
		return Size{}, fmt.Errorf("measure: ask Redis how many keys it has: %w", err)
	}
	bytes, err := Dataset(ctx, s.Client)
	return Size{Keys: keys, Bytes: bytes}, err
}

// Forgotten waits until no result of a finished saga is kept: until b counts none, and the store has no more keys than before.
// It gives the store's size then, or as it is when patience is over.
func Forgotten(ctx context.Context, b broker.Broker, s Store, before Size, patience time.Duration) (Size, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errImpatient)
	defer cancel()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for {
		gone, err := forgotten(ctx, b, s, before)
		if err != nil && context.Cause(ctx) != errImpatient {
			return Size{}, err
		}
		if gone || err != nil {
			break
		}
		select {
		case <-look.C:
		case <-ctx.Done():
		}
	}
	return s.Size(context.WithoutCancel(ctx))
}

var errImpatient = errors.New("measure: something is left")

func forgotten(ctx context.Context, b broker.Broker, s Store, before Size) (bool, error) {
	stats, err := b.Stats(ctx)
	if err != nil || stats.Finished > 0 {
		return false, err
	}
	now, err := s.Size(ctx)
	return now.Keys <= before.Keys, err
}

// Left makes the calls of load, waits until their results are forgotten, and gives the store's size before and after. A tenth as many calls
// come first, for what servers and clients set up once. If something is left, it is given up after patience.
func (s Site) Left(ctx context.Context, store Store, load Load, patience time.Duration) (before, after Size, err error) {
	empty, err := store.Size(ctx)
	if err != nil {
		return before, after, err
	}
	first := Load{Callers: load.Callers, Calls: load.Calls/10 + 1}
	if before, err = s.callAndForget(ctx, store, first, empty, patience); err != nil {
		return before, after, err
	}
	after, err = s.callAndForget(ctx, store, load, before, patience)
	return before, after, err
}

func (s Site) callAndForget(ctx context.Context, store Store, load Load, before Size, patience time.Duration) (Size, error) {
	if _, err := load.Run(ctx, s.Call); err != nil {
		return Size{}, err
	}
	return Forgotten(ctx, s.Broker, store, before, patience)
}
