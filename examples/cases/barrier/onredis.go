package ledger

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/skald-go/skald/barrier"
	"github.com/skald-go/skald/step"
)

// errPoor is replaced by an error that tells more.
var errPoor = errors.New("not enough points")

var (
	change = barrier.NewScript(`
		if tonumber(redis.call('GET', KEYS[1]) or '0') + tonumber(ARGV[1]) < 0 then refuse('poor') end
		return redis.call('INCRBY', KEYS[1], ARGV[1])`).Refuses("poor", errPoor)
	note = barrier.NewScript(`redis.call('RPUSH', KEYS[1], ARGV[1])`)
)

// OnRedis is a ledger in Redis. A change and its line in the journal are two effects of one step, which may be in two slots.
type OnRedis struct{ Client redis.UniversalClient }

// Change implements Ledger.
func (l OnRedis) Change(ctx context.Context, account string, points int) (int, error) {
	guard := barrier.Redis{Client: l.Client}
	balance, err := guard.Named("account").Do(ctx, change, []string{"account:" + account}, points).Int()
	switch {
	case errors.Is(err, errPoor):
		return 0, step.Refused(&InsufficientPoints{account, -points})
	case err != nil && !errors.Is(err, redis.Nil):
		return 0, err
	}
	err = guard.Named("journal").Do(ctx, note, []string{"journal:" + account}, points).Err()
	if errors.Is(err, redis.Nil) {
		err = nil // it has no result
	}
	return balance, err
}
