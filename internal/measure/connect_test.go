package measure_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/skald-go/skald/internal/measure"
)

func TestAddressesOfServers(t *testing.T) {
	for _, addr := range []string{"localhost:6379", "[::1]:6379", "redis://localhost", "rediss://skald:geheim@redis.example:6380/3"} {
		assert.NoError(t, measure.CheckAddr(addr), addr)
	}
	for _, addr := range []string{"", "localhost", "http://localhost:6379", "user:geheim@localhost:6379", "redis://skald:geheim@ho st:1", "redis://:geheim@h:1/x"} {
		if err := measure.CheckAddr(addr); assert.Error(t, err, addr) {
			assert.NotContains(t, err.Error(), "geheim")
		}
	}
}
