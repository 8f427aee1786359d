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
