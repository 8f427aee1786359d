package redisx_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
)

func TestHealthSaysWhatIsDown(t *testing.T) {
	verifyNone(t)
	s := redistest.Start(t, redistest.AOF)
	e := work(t, newBroker(t, s.Client(), redisx.Options{}), options())
	healthy := func() bool { return e.Health(t.Context()) == nil }
	eventually(t, healthy, "it is healthy")
	s.Kill()
	down := func(parts ...string) {
		eventually(t, func() bool {
			err := e.Health(t.Context())
			return err != nil && slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(err.Error(), part) })
		}, parts[0])
	}
	down("the server does not answer")
	down("no sign of life of worker", "joining the broker") // before and after the lease has ended
	down("nothing is heard of ready sagas and results")
	s.Restart()
	eventually(t, healthy, "it recovers by itself")
	callAll(t, e, 50)
}

// A reader alone that is down makes the engine unhealthy, and slower, and stops nothing.
func TestHealthSaysThatOnlyTheReaderIsDown(t *testing.T) {
	verifyNone(t)
	s := redistest.Start(t)
	require.NoError(t, s.Client().Do(t.Context(), "ACL", "SETUSER", "deaf", "on", ">word", "~*", "resetchannels", "&skald:bell", "+@all").Err())
	opts := s.ClientOptions()
	opts.Username, opts.Password = "deaf", "word"
	client := redis.NewClient(opts)
	defer client.Close()
	e := work(t, newBroker(t, client, redisx.Options{}), options())
	eventually(t, func() bool {
		err := e.Health(t.Context())
		return err != nil && strings.Contains(err.Error(), "nothing is heard of ready sagas and results")
	}, "the reader is down")
	err := e.Health(t.Context())
	assert.NotContains(t, err.Error(), "does not answer")
	assert.NotContains(t, err.Error(), "no sign of life")
	callAll(t, e, 20)
}
