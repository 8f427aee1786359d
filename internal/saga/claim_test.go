package saga_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/internal/saga"
	"github.com/skald-go/skald/internal/simulate/world"
)

func TestAHeaderHasItsClaims(t *testing.T) {
	for _, claims := range [][]string{nil, {"key/f/k"}, {"key/f/k", "lock/a", "lock/b"}} {
		want := saga.Header{Started: world.Epoch, Service: "s", Expects: "x", Input: []byte("in"), Claims: claims, Waits: true}
		got, err := saga.DecodeHeader(want.Append(nil))
		require.NoError(t, err)
		assert.Equal(t, claims, got.Claims)
		assert.Equal(t, "in", string(got.Input))
		assert.False(t, got.Waits, "the broker tells")
	}
	without, with := saga.Header{Started: world.Epoch}, saga.Header{Started: world.Epoch, Claims: []string{"a"}}
	_, err := saga.DecodeHeader(append(with.Append(nil), 9))
	require.Error(t, err)
	assert.Equal(t, len(without.Append(nil))+2, len(with.Append(nil)))
}
