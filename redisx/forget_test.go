package redisx_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
)

// Whatever a saga leaves when it has finished must end by itself, even if no broker runs any more.
func TestAllThatIsKeptOfAFinishedSagaEnds(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	b := newBroker(t, client, redisx.Options{})
	w := joinQuietly(t, b)
	startBy(t, b, w, "small")
	startBy(t, b, w, "with mail")
	require.NoError(t, b.Deliver(t.Context(), "with mail", broker.Event{ID: "e"}))
	require.NoError(t, b.Deliver(t.Context(), "to come", broker.Event{ID: "e"}))
	for _, id := range []string{"small", "with mail"} {
		_, err := w.Commit(t.Context(), broker.Transition{ID: id, Rev: 1, Next: broker.Finish, Keep: time.Hour, Outcome: []byte("o")})
		require.NoError(t, err)
	}
	var ends []string
	for _, key := range client.Keys(t.Context(), "{skald:00}:*").Val() {
		name := strings.TrimPrefix(key, "{skald:00}:")
		if name != "w" && name != "hb" { // of workers
			ends = append(ends, name)
			assert.Positive(t, client.PTTL(t.Context(), key).Val(), key)
		}
	}
	assert.ElementsMatch(t, []string{"r:small", "r:with mail", "in:with mail", "in:to come", "em", "fc"}, ends)
}
