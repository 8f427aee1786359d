package redisx_test

import (
	"context"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
)

const aclPage = "../docs/redis.md"

// aclUser gives the user that docs/redis.md describes for the namespace shop, for the namespaces that a pattern matches.
func aclUser(t testing.TB, namespaces string) redistest.Option {
	t.Helper()
	page, err := os.ReadFile(aclPage)
	require.NoError(t, err)
	rule := regexp.MustCompile(`(?m)^user shop on >PASSWORD (.*)$`).FindSubmatch(page)
	require.NotNil(t, rule, "%s has no line \"user shop on >PASSWORD …\"", aclPage)
	return redistest.User("shop on >word " + strings.ReplaceAll(string(rule[1]), "shop", namespaces))
}

// aclCommands are the commands that docs/redis.md allows.
func aclCommands(t testing.TB) (commands []string) {
	t.Helper()
	page, err := os.ReadFile(aclPage)
	require.NoError(t, err)
	for _, word := range strings.Fields(regexp.MustCompile(`(?m)^user shop .*$`).FindString(string(page))) {
		if command, allowed := strings.CutPrefix(word, "+"); allowed {
			commands = append(commands, command)
		}
	}
	slices.Sort(commands)
	return commands
}

// asShop is a client that is the user of aclUser.
func asShop(t testing.TB, s *redistest.Server) *redis.Client {
	opts := s.ClientOptions()
	opts.Username, opts.Password = "shop", "word"
	client := redis.NewClient(opts)
	t.Cleanup(func() { client.Close() })
	return client
}

// called lists the commands that a server has executed, also for scripts, and those that it has refused.
func called(t testing.TB, client *redis.Client) (done, refused []string) {
	t.Helper()
	stats := client.Info(context.Background(), "commandstats").Val()
	for _, found := range regexp.MustCompile(`cmdstat_([^:]+):calls=(\d+),.*rejected_calls=(\d+),failed_calls=\d+`).FindAllStringSubmatch(stats, -1) {
		if found[2] != "0" {
			done = append(done, found[1])
		}
		if found[3] != "0" {
			refused = append(refused, found[1])
		}
	}
	slices.Sort(done)
	return done, refused
}

// clientCommands are those that the client sends, beside those that scripts use.
var clientCommands = []string{"eval", "evalsha", "get", "hdel", "hscan", "info", "ping", "scan", "set", "smembers", "subscribe", "zrange"}

func TestTheUserMayDoWhatScriptsAndClientDoAndNothingElse(t *testing.T) {
	needed := map[string]bool{}
	for _, command := range clientCommands {
		needed[command] = true
	}
	scripts, err := filepath.Glob("*.lua")
	require.NoError(t, err)
	for _, script := range scripts {
		source, err := os.ReadFile(script)
		require.NoError(t, err)
		for _, found := range regexp.MustCompile(`(?:call|many)\('([A-Z]+)'`).FindAllSubmatch(source, -1) {
			needed[strings.ToLower(string(found[1]))] = true
		}
	}
	assert.Equal(t, slices.Sorted(maps.Keys(needed)), aclCommands(t), "what is needed, and what %s allows", aclPage)
}

// sufficient checks, when the suite has run as that user, that nothing was refused, and that the client did what it is said to do.
func sufficient(t *testing.T, client *redis.Client) {
	t.Helper()
	done, refused := called(t, client)
	assert.Empty(t, refused, "commands that %s does not allow", aclPage)
	if strings.Contains(flag.Lookup("test.run").Value.String(), "/") {
		return // only a part of the suite ran
	}
	for _, command := range clientCommands {
		assert.True(t, command == "ping" || slices.Contains(done, command), "the client never sends %s", command) // see TestAnIdleBrokerPings
	}
}

func TestAnIdleBrokerPings(t *testing.T) {
	s := redistest.Start(t, aclUser(t, "shop"))
	admin := s.Client()
	require.NoError(t, admin.ConfigResetStat(t.Context()).Err())
	b := newBroker(t, asShop(t, s), redisx.Options{Namespace: "shop"})
	_, err := b.Join(t.Context(), broker.Member{Build: "b", Lease: time.Minute})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		done, _ := called(t, admin)
		return slices.Contains(done, "ping")
	}, 30*time.Second, 50*time.Millisecond)
	_, refused := called(t, admin)
	assert.Empty(t, refused)
}

func TestSagasRunAsAUserOfLeastPrivilege(t *testing.T) {
	verifyNone(t)
	s := redistest.Start(t, aclUser(t, "shop"))
	work(t, newBroker(t, asShop(t, s), redisx.Options{Namespace: "shop", Partitions: 16}), options())
	starter := newBroker(t, asShop(t, s), redisx.Options{Namespace: "shop", Partitions: 16})
	e := flow.NewEngine(starter, options())
	callAll(t, e, 200)
	for _, err := range e.List(t.Context(), flow.Filter{}) {
		require.NoError(t, err)
	}
	assert.NoError(t, e.Health(t.Context()))

	client := asShop(t, s)
	for what, err := range map[string]error{
		"another namespace":   client.HSet(t.Context(), "{other:00}:m", "id", "line").Err(),
		"its configuration":   client.Set(t.Context(), "other:config", "", 0).Err(),
		"other keys":          client.Get(t.Context(), "session:1").Err(),
		"another channel":     client.Publish(t.Context(), "other:bell", "").Err(),
		"all keys at once":    client.FlushAll(t.Context()).Err(),
		"the configuration":   client.ConfigGet(t.Context(), "*").Err(),
		"what others execute": client.Do(t.Context(), "MONITOR").Err(),
	} {
		assert.ErrorContains(t, err, "NOPERM", what)
	}
}

func TestReplicatedSagasRunAsAUserOfLeastPrivilege(t *testing.T) {
	verifyNone(t)
	master := redistest.Start(t, aclUser(t, "shop"))
	redistest.Replica(t, master)
	admin := master.Client()
	require.NoError(t, admin.Do(t.Context(), "ACL", "SETUSER", "shop", "+wait").Err())
	require.NoError(t, admin.ConfigResetStat(t.Context()).Err())
	opts := redisx.Options{Namespace: "shop", Durability: redisx.Replicated(1)}
	callAll(t, work(t, newBroker(t, asShop(t, master), opts), options()), 200)
	done, refused := called(t, admin)
	assert.Contains(t, done, "wait")
	assert.Empty(t, refused)
}

// A server that may not be asked for its version and memory policy is taken to be right.
func TestSagasRunWithoutInfo(t *testing.T) {
	s := redistest.Start(t, aclUser(t, "shop"))
	require.NoError(t, s.Client().Do(t.Context(), "ACL", "SETUSER", "shop", "-info").Err())
	callAll(t, work(t, newBroker(t, asShop(t, s), redisx.Options{Namespace: "shop"}), options()), 50)
}

func TestAMissingPermissionIsNamed(t *testing.T) {
	s := redistest.Start(t, aclUser(t, "shop"))
	require.NoError(t, s.Client().Do(t.Context(), "ACL", "SETUSER", "shop", "-evalsha", "-eval").Err())
	b := newBroker(t, asShop(t, s), redisx.Options{Namespace: "shop"})
	_, err := b.Start(t.Context(), broker.Start{ID: "a", Served: broker.Served{Flow: "order"}})
	require.ErrorContains(t, err, "NOPERM")
	assert.ErrorContains(t, err, "evalsha")
	assert.ErrorContains(t, err, `start "a"`)
}
