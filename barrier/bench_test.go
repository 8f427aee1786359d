package barrier_test

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// What a barrier costs: the same script without one, with one, and a repeat.
func BenchmarkRedis(b *testing.B) {
	store := open(b)
	plain := redis.NewScript(`
		local balance = tonumber(redis.call('GET', KEYS[1]) or '0')
		if balance < tonumber(ARGV[1]) then return false end
		return redis.call('DECRBY', KEYS[1], ARGV[1])`)
	require.NoError(b, store.client.Set(b.Context(), "anna", 1<<50, 0).Err())
	b.Run("without", func(b *testing.B) {
		for b.Loop() {
			require.NoError(b, plain.Run(b.Context(), store.client, []string{"anna"}, 1).Err())
		}
	})
	b.Run("first", func(b *testing.B) {
		for n := 0; b.Loop(); n++ {
			require.NoError(b, store.Do(doing(b, fmt.Sprintf("%p-%d", b, n)), take, []string{"anna"}, 1).Err())
		}
	})
	b.Run("repeat", func(b *testing.B) {
		for b.Loop() {
			require.NoError(b, store.Do(doing(b, "repeat"), take, []string{"anna"}, 1).Err())
		}
	})
}
