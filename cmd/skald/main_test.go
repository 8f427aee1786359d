package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/skald-go/skald/internal/redistest"
)

// A bench runs its own program as a worker. In a test that is the test's.
func TestMain(m *testing.M) {
	logging.Disable()
	if slices.Contains(os.Args, workerCommand) {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// skald calls the program.
func skald(t *testing.T, args ...string) (code int, out, progress string) {
	t.Helper()
	var o, p bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &o, &p)
	return code, o.String(), p.String()
}

// What programs read of --json: these names, in this order, and no others.
var (
	namesInMemory = []string{"broker", "mode", "sagas", "concurrency", "throughput", "p50_us", "p99_us", "client_cpu_us"}
	namesOnRedis  = append(slices.Clone(namesInMemory), "redis_cpu_us", "redis_commands", "wire_bytes", "left_bytes")
)

// object is a line of JSON.
type object struct {
	names  []string
	values map[string]any
}

func parseObjects(t *testing.T, text string) (objects []object) {
	t.Helper()
	for line := range strings.Lines(text) {
		var o object
		require.NoError(t, json.Unmarshal([]byte(line), &o.values), line)
		for name := range o.values {
			o.names = append(o.names, name)
		}
		slices.SortFunc(o.names, func(a, b string) int { return strings.Index(line, `"`+a+`":`) - strings.Index(line, `"`+b+`":`) })
		objects = append(objects, o)
	}
	return objects
}

func (o object) number(name string) float64 {
	n, _ := o.values[name].(float64)
	return n
}

func TestBenchInMemory(t *testing.T) {
	t.Parallel()
	code, out, progress := skald(t, "bench", "--broker", "inmem", "--sagas", "300", "--concurrency", "16", "--json")
	require.Zero(t, code, progress)
	var modes []any
	for _, o := range parseObjects(t, out) {
		modes = append(modes, o.values["mode"])
		assert.Equal(t, namesInMemory, o.names)
		assert.Equal(t, "inmem", o.values["broker"])
		assert.EqualValues(t, 300, o.values["sagas"])
		assert.Positive(t, o.number("throughput"))
		assert.Positive(t, o.number("p50_us"))
		assert.GreaterOrEqual(t, o.number("p99_us"), o.number("p50_us"))
		callers := 16
		if o.values["mode"] == "latency" {
			callers = 1
		}
		assert.EqualValues(t, callers, o.values["concurrency"])
	}
	assert.Equal(t, []any{"local", "rollback", "latency"}, modes)
}

func TestBenchOnARedisOfItsOwn(t *testing.T) {
	t.Parallel()
	code, out, progress := skald(t, "bench", "--sagas", "500", "--keep", "1s", "--json", "--mode", "remote,latency", "--partitions", "2")
	require.Zero(t, code, progress)
	var modes []any
	for _, o := range parseObjects(t, out) {
		modes = append(modes, o.values["mode"])
		assert.Equal(t, namesOnRedis, o.names)
		assert.Equal(t, "redis", o.values["broker"])
		assert.EqualValues(t, 500, o.values["sagas"])
		assert.Positive(t, o.number("redis_cpu_us"))
		assert.Greater(t, o.number("redis_commands"), 0.5)
		assert.Greater(t, o.number("wire_bytes"), 264.0, "more than the input and an output")
	}
	assert.Equal(t, []any{"remote", "latency"}, modes)
}

func TestAllModesAreRunByDefault(t *testing.T) {
	o := options{broker: onRedis, sagas: 1, concurrency: 1, steps: 1, partitions: 1, keep: time.Second}
	require.NoError(t, o.check())
	assert.Equal(t, []string{"local", "remote", "rollback", "latency"}, o.modes)
}

func TestBenchOnSomebodysServerLeavesItAsItWas(t *testing.T) {
	server := redistest.Start(t, redistest.Password("geheim"))
	client := server.Client()
	require.NoError(t, client.Set(t.Context(), "theirs", "1", 0).Err())
	t.Setenv("SKALD_REDIS_URL", "redis://:geheim@"+server.Addr)
	code, out, progress := skald(t, "bench", "--sagas", "200", "--mode", "local,remote", "--mode", "local", "--keep", "1s", "--json")
	require.Zero(t, code, progress)
	objects := parseObjects(t, out)
	require.Len(t, objects, 2)
	for _, o := range objects {
		assert.Equal(t, namesOnRedis, o.names)
		assert.Zero(t, o.values["left_bytes"])
	}
	assert.Equal(t, []string{"theirs"}, client.Keys(t.Context(), "*").Val())
	assert.NotContains(t, out+progress, "geheim")
}

// canceler is a writer that ends a context with the first thing that is written.
type canceler struct {
	bytes.Buffer
	cancel context.CancelFunc
}

func (c *canceler) Write(p []byte) (int, error) {
	c.cancel()
	return c.Buffer.Write(p)
}

func TestAnInterruptedBenchLeavesNothing(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for _, mode := range []string{"local", "remote"} {
		ctx, cancel := context.WithCancel(t.Context())
		var progress bytes.Buffer
		out := &canceler{cancel: cancel}
		args := []string{"bench", "--addr", server.Addr, "--sagas", "200", "--keep", "1s", "--json", "--mode", mode, "--mode", "rollback"}
		assert.Equal(t, exitInterrupted, run(ctx, args, strings.NewReader(""), out, &progress))
		assert.Contains(t, progress.String(), "interrupted")
		assert.Len(t, parseObjects(t, out.String()), 1, "what was measured before is printed")
		assert.Empty(t, server.Client().Keys(t.Context(), "*").Val())
	}
}

func TestBenchForPeople(t *testing.T) {
	code, out, progress := skald(t, "bench", "--broker", "inmem", "--sagas", "100", "--mode", "local", "--steps", "1", "--payload", "0")
	require.Zero(t, code, progress)
	for _, said := range []string{"in memory: sagas of 1 step, 0 bytes in", "local: 100 sagas, 100 callers", "sagas/s", "p50", "client CPU", "99.00 %", "###"} {
		assert.Contains(t, out, said)
	}
	assert.NotContains(t, out, "Redis")
}

func TestSagasMayBeLargeAndLong(t *testing.T) {
	code, _, progress := skald(t, "bench", "--broker", "inmem", "--sagas", "4", "--steps", "100", "--payload", "262080", "--json")
	assert.Zero(t, code, progress)
}

func TestWrongCallsAreToldSo(t *testing.T) {
	for args, said := range map[string]string{
		"bench --broker memory":                 `--broker is "memory"`,
		"bench --broker inmem --mode remote":    "--mode remote needs two processes",
		"bench --broker inmem --addr h:1":       "leave one of them out",
		"bench --mode fast":                     `--mode is "fast"`,
		"bench --sagas 0":                       "--sagas is 0",
		"bench --sagas many":                    `"many"`,
		"bench --concurrency 0":                 "--concurrency is 0",
		"bench --steps 101":                     "--steps is 101",
		"bench --payload -1":                    "--payload is -1",
		"bench --partitions 0":                  "--partitions is 0",
		"bench --keep 1ms":                      "--keep is 1ms",
		"bench --addr localhost":                "neither host:port nor a URL",
		"bench --addr redis://:geheim@h:1/zero": "cannot be read",
		"bench --fast":                          "unknown flag",
		"bench more":                            `"more"`,
		"measure":                               `"measure"`,
	} {
		code, out, progress := skald(t, strings.Fields(args)...)
		assert.Equal(t, exitUsage, code, args)
		assert.Empty(t, out, args)
		assert.Contains(t, progress, said, args)
		assert.Contains(t, progress, "--help says more", args)
		assert.NotContains(t, progress, "geheim")
	}
}

func TestAServerThatDoesNotAnswerIsAFailure(t *testing.T) {
	server := redistest.Start(t)
	server.Kill()
	code, _, progress := skald(t, "bench", "--addr", "redis://:geheim@"+server.Addr)
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, progress, "bench Redis at "+server.Addr)
	assert.NotContains(t, progress, "geheim")
}

func TestWithoutARedisServerItSaysWhatToDo(t *testing.T) {
	t.Setenv("PATH", "")
	code, _, progress := skald(t, "bench")
	assert.Equal(t, exitFailed, code)
	for _, said := range []string{"install", "--addr", "--broker inmem"} {
		assert.Contains(t, progress, said)
	}
}

func TestHelpNamesWhatJSONHas(t *testing.T) {
	code, out, _ := skald(t, "bench", "--help")
	require.Zero(t, code)
	for _, name := range namesOnRedis {
		assert.Contains(t, out, name)
	}
	assert.NotContains(t, out, workerCommand)
	for line := range strings.Lines(out) {
		assert.LessOrEqual(t, len([]rune(strings.TrimRight(line, "\n"))), 150, line)
	}
}

func TestVersion(t *testing.T) {
	code, out, _ := skald(t, "--version")
	require.Zero(t, code)
	assert.Regexp(t, `^skald \S+ go\S+ \w+/\w+\n$`, out)
}
