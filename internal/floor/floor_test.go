package floor_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/skald-go/skald/internal/floor"
	"github.com/skald-go/skald/internal/redistest"
)

func TestEveryDesignEndsEverySaga(t *testing.T) {
	for _, design := range floor.Designs() {
		t.Run(string(design), func(t *testing.T) {
			server := redistest.Start(t)
			running := goleak.IgnoreCurrent()
			f, err := floor.Open(t.Context(), server.Addr, design, floor.Work{Steps: 3, Input: 300, Output: 64, Callers: 16, Keep: time.Minute})
			require.NoError(t, err)
			var callers errgroup.Group
			callers.SetLimit(16)
			for range 400 {
				callers.Go(func() error { return f.Call(t.Context()) })
			}
			require.NoError(t, callers.Wait())
			f.Close()
			goleak.VerifyNone(t, running)
			kept := server.Client().Keys(t.Context(), "{floor}:r:*").Val()
			if design != floor.Naive {
				assert.Len(t, kept, 400)
				assert.Zero(t, server.Client().HLen(t.Context(), "{floor}:s").Val())
			}
		})
	}
}

func TestADesignThatDoesNotExistIsRefused(t *testing.T) {
	_, err := floor.Open(t.Context(), "127.0.0.1:1", "X", floor.Work{})
	assert.ErrorContains(t, err, "the designs are")
}

func TestCallsFailWhenTheServerIsGone(t *testing.T) {
	for _, design := range floor.Designs() {
		server := redistest.Start(t)
		f, err := floor.Open(t.Context(), server.Addr, design, floor.Work{Steps: 3, Input: 300, Output: 64, Callers: 1, Keep: time.Minute})
		require.NoError(t, err)
		require.NoError(t, f.Call(t.Context()))
		server.Kill()
		assert.Error(t, f.Call(t.Context()), design)
		f.Close()
	}
}
