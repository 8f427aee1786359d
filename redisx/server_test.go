package redisx_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
)

// infoOf reads one number of INFO.
func infoOf(tb testing.TB, client *redis.Client, section, name string) float64 {
	tb.Helper()
	info, err := client.Info(tb.Context(), section).Result()
	require.NoError(tb, err)
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			n, err := strconv.ParseFloat(value, 64)
			require.NoError(tb, err)
			return n
		}
	}
	require.Fail(tb, "INFO does not tell", name)
	return 0
}

func TestAServerThatThrowsKeysAwayIsRefused(t *testing.T) {
	client := redistest.Start(t, redistest.Args("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")).Client()
	b := newBroker(t, client, redisx.Options{})
	_, err := b.Start(t.Context(), broker.Start{ID: "a", Served: broker.Served{Flow: "order"}})
	require.ErrorIs(t, err, redisx.ErrEviction)
	assert.ErrorContains(t, err, "allkeys-lru")
	require.NoError(t, client.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err())
	_, err = b.Start(t.Context(), broker.Start{ID: "a", Served: broker.Served{Flow: "order"}})
	assert.NoError(t, err, "what is put right helps at once")
}

func TestANamespaceOfAnotherLayoutIsRefused(t *testing.T) {
	client := redistest.Start(t).Client()
	require.NoError(t, client.Set(t.Context(), "mine:config", "layout 0, 1 partition", 0).Err())
	_, err := newBroker(t, client, redisx.Options{Namespace: "mine"}).Stats(t.Context())
	require.ErrorIs(t, err, redisx.ErrNamespace)
	assert.ErrorContains(t, err, "layout 0")
}

func TestAUserThatMayNotAskIsTrusted(t *testing.T) {
	s := redistest.Start(t)
	admin := s.Client()
	require.NoError(t, admin.Do(t.Context(), "ACL", "SETUSER", "skald", "on", ">geheim", "~*", "&*", "+@all", "-info", "-config").Err())
	client := redis.NewClient(&redis.Options{Addr: s.Addr, Username: "skald", Password: "geheim", DisableIdentity: true})
	defer client.Close()
	_, err := newBroker(t, client, redisx.Options{}).Stats(t.Context())
	assert.NoError(t, err)
}

func TestErrorsDoNotTellThePassword(t *testing.T) {
	s := redistest.Start(t)
	require.NoError(t, s.Client().Do(t.Context(), "ACL", "SETUSER", "skald", "on", ">right", "~*", "&*", "+@all").Err())
	client := redis.NewClient(&redis.Options{Addr: s.Addr, Username: "skald", Password: "geheim", DisableIdentity: true, MaxRetries: -1})
	defer client.Close()
	b := newBroker(t, client, redisx.Options{})
	_, err := b.Stats(t.Context())
	require.ErrorContains(t, err, "WRONGPASS")
	assert.NotContains(t, err.Error(), "geheim")
}

func TestAnOutageIsAPassingError(t *testing.T) {
	s := redistest.Start(t, redistest.AOF)
	b := newBroker(t, s.Client(), redisx.Options{})
	start := broker.Start{ID: "a", Served: broker.Served{Flow: "order"}}
	_, err := b.Start(t.Context(), start)
	require.NoError(t, err)
	s.Kill()
	_, err = b.Lookup(t.Context(), "a", true)
	require.Error(t, err)
	for _, final := range []error{broker.ErrUnknown, broker.ErrClosed, broker.ErrFenced} {
		assert.NotErrorIs(t, err, final)
	}
	s.Restart()
	require.Eventually(t, func() bool {
		shot, err := b.Lookup(t.Context(), "a", true)
		return err == nil && shot.State == broker.Ready
	}, 10*time.Second, 10*time.Millisecond)
	started, err := b.Start(t.Context(), start)
	require.NoError(t, err)
	assert.True(t, started.Existed)
}

// Keys must name every key that a saga leaves while it lives and after.
func TestKeysNamesWhatIsStored(t *testing.T) {
	client := redistest.Start(t).Client()
	b := newBroker(t, client, redisx.Options{})
	served := broker.Served{Flow: "order", Version: 1}
	w, err := b.Join(t.Context(), broker.Member{Build: "b", Flows: []broker.Served{served}, Lease: time.Minute})
	require.NoError(t, err)
	shared := map[string]bool{}
	for _, key := range client.Keys(t.Context(), "*").Val() {
		shared[key] = true
	}
	look := func() {
		for _, key := range client.Keys(t.Context(), "*").Val() {
			if !shared[key] && !strings.HasSuffix(key, ":ls") && !strings.HasSuffix(key, ":fc") { // lanes, counts
				assert.True(t, named(key, redisx.Keys("", "a")), "Keys does not name %s", key)
			}
		}
	}
	ev := broker.Event{ID: "e"}
	require.NoError(t, b.Deliver(t.Context(), "a", ev))
	look()
	_, err = b.Start(t.Context(), broker.Start{ID: "a", Served: served, By: w})
	require.NoError(t, err)
	look()
	for rev, next := range []broker.Next{
		broker.Keep, broker.Park, broker.Hold, broker.Bury, broker.GiveBack, broker.Finish,
	} {
		if rev > 1 {
			require.NoError(t, b.Deliver(t.Context(), "a", broker.Event{ID: strconv.Itoa(rev)}))
			b.Resolve(t.Context(), "a", uint64(rev+1), broker.Event{ID: "d"})
			look()
			_, err := w.Receive(t.Context(), 1)
			require.NoError(t, err)
		}
		_, err = w.Commit(t.Context(), broker.Transition{
			ID: "a", Rev: uint64(rev + 1), Next: next, Append: []broker.Entry{{Path: "p"}}, Keep: time.Minute,
			Consume: []string{"e", "d", "0", "1", "2", "3", "4", "5"},
		})
		require.NoError(t, err)
		look()
	}
}

func named(key string, names []string) bool {
	for _, name := range names {
		prefix, any := strings.CutSuffix(name, "*")
		if key == name || any && strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// The number of partitions says where a saga is: a broker that counts otherwise would not find it.
func TestPartitionsAreFixedAtFirstUse(t *testing.T) {
	client := redistest.Start(t).Client()
	_, err := newBroker(t, client, redisx.Options{Partitions: 4}).Stats(t.Context())
	require.NoError(t, err)
	_, err = newBroker(t, client, redisx.Options{}).Stats(t.Context())
	require.ErrorIs(t, err, redisx.ErrNamespace)
	assert.ErrorContains(t, err, "partitions 4")
	assert.ErrorContains(t, err, "partitions 1")
	_, err = newBroker(t, client, redisx.Options{Partitions: 4}).Stats(t.Context())
	assert.NoError(t, err)
	assert.Equal(t, redisx.Keys("", "a"), redisx.Keys("skald", "a", 1))
	assert.Contains(t, redisx.Keys("skald", "a/child", 64), redisx.Keys("skald", "a", 64)[2], "children are with their root")
}
