package redisx_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
)

// elsewhere gives an ID whose saga is in another partition than id, of two.
func elsewhere(id string) string {
	for i := 0; ; i++ {
		other := fmt.Sprint("other-", i)
		if prefix(other) != prefix(id) {
			return other
		}
	}
}

// prefix begins the keys of the saga's partition, of two.
func prefix(id string) string {
	key, _ := strings.CutSuffix(redisx.Keys("", id, 2)[0], "r:"+id)
	return key
}

// A message to another partition is applied once: also when the saga that it started is finished and forgotten, and somebody who was
// stopped on the way brings it again.
func TestAMessageBetweenPartitionsIsAppliedOnce(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	b := newBroker(t, client, redisx.Options{Partitions: 2})
	w := joinQuietly(t, b)
	child := elsewhere("sender")
	startBy(t, b, w, "sender")
	m := broker.Message{ID: "m", To: child, Start: &broker.Start{ID: child, Served: orders}}
	_, err := w.Commit(t.Context(), broker.Transition{ID: "sender", Rev: 1, Send: []broker.Message{m}})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return client.Exists(t.Context(), prefix("sender")+"ob").Val() == 0 }, 15*time.Second,
		10*time.Millisecond, "the outbox is empty again")
	got, err := w.Receive(soon(t), 1)
	require.NoError(t, err)
	require.Equal(t, child, got[0].ID)
	_, err = w.Commit(t.Context(), broker.Transition{ID: child, Rev: 1, Next: broker.Finish, Keep: time.Millisecond})
	require.NoError(t, err)
	gone := func() bool { return client.Exists(t.Context(), prefix(child)+"r:"+child).Val() == 0 }
	eventually(t, gone, "the child is forgotten")

	require.NoError(t, redisx.Relay(t.Context(), b, m, 0))
	_, err = b.Lookup(t.Context(), child, false)
	assert.ErrorIs(t, err, broker.ErrUnknown, "the message came again")
	m.ID = "another"
	require.NoError(t, redisx.Relay(t.Context(), b, m, time.Minute))
	_, err = b.Lookup(t.Context(), child, false)
	assert.ErrorIs(t, err, broker.ErrUnknown, "the message was under way for longer than it is remembered")
	require.NoError(t, redisx.Relay(t.Context(), b, m, 0))
	_, err = b.Lookup(t.Context(), child, false)
	assert.NoError(t, err)
}
