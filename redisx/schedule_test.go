package redisx_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
	"github.com/skald-go/skald/step"
)

// scheduler has the test binary be a process that runs a schedule, on the Redis with this address.
const scheduler = "REDISX_SCHEDULER"

// ticking is a flow that notes its tick in a set of Redis, with who ran it.
func ticking(client *redis.Client) flow.Flow[time.Time, int64] {
	return flow.New[time.Time]("tick").Then(step.New("note", func(ctx context.Context, tick time.Time) (int64, error) {
		return client.SAdd(ctx, "ticks", step.InfoFrom(ctx).Saga).Result()
	}).Retry(step.Retry{Attempts: 10, Delay: 100 * time.Millisecond}))
}

// everySecond gives an engine with a schedule.
func everySecond(client *redis.Client, d time.Duration) (*redisx.Broker, *flow.Engine) {
	b := redisx.New(client, redisx.Options{Partitions: 4, Logger: slog.New(slog.DiscardHandler)})
	e := flow.NewEngine(b, flow.Options{Lease: 2 * time.Second, Logger: slog.New(slog.DiscardHandler)})
	f := ticking(client)
	e.Serve(f)
	e.Schedule(flow.Every("often", d, f, func(tick time.Time) time.Time { return tick }).RunMissed(100))
	return b, e
}

// TestSchedulerProcess is what the processes of the tests below run, until they are killed.
func TestSchedulerProcess(t *testing.T) {
	addr := os.Getenv(scheduler)
	if addr == "" {
		t.Skip("it runs until it is killed: other tests start it")
	}
	_, e := everySecond(redis.NewClient(&redis.Options{Addr: addr}), time.Second)
	t.Fatal(e.Run(context.Background()))
}

// spawn starts a process that runs the schedule, and gives what kills it.
func spawn(t *testing.T, addr string) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestSchedulerProcess$")
	cmd.Env = append(os.Environ(), scheduler+"="+addr)
	require.NoError(t, cmd.Start())
	kill = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	t.Cleanup(kill)
	return kill
}

func TestEveryTickStartsOneSagaAlthoughProcessesAreKilled(t *testing.T) {
	client := redistest.Start(t).Client()
	ticks := func() int64 { return client.SCard(t.Context(), "ticks").Val() }
	more := func(n int64) {
		want := ticks() + n
		require.Eventually(t, func() bool { return ticks() >= want }, time.Minute, 20*time.Millisecond)
	}
	addr := client.Options().Addr
	first := spawn(t, addr)
	spawn(t, addr)
	more(2)
	first()
	more(2)
	third := spawn(t, addr)
	more(2)
	third()
	more(2)

	b, e := everySecond(client, time.Second)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	status, err := e.Schedules(t.Context())
	require.NoError(t, err)
	require.Len(t, status, 1)
	noted, err := client.SMembers(t.Context(), "ticks").Result()
	require.NoError(t, err)
	sagas := uint64(0)
	for tick := tickOf(t, slices.Min(noted)); !tick.After(status[0].Last); tick = tick.Add(time.Second) {
		sagas++
		require.Eventually(t, func() bool {
			return client.SIsMember(t.Context(), "ticks", "often@"+tick.Format(time.RFC3339Nano)).Val()
		}, time.Minute, 20*time.Millisecond, "the saga of %v", tick)
	}
	assert.Equal(t, sagas, status[0].Started, "as many sagas were started as there were ticks")
}

func tickOf(t *testing.T, saga string) time.Time {
	t.Helper()
	tick, err := time.Parse("often@"+time.RFC3339Nano, saga)
	require.NoError(t, err)
	return tick
}

func TestSchedulesOnRedis(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	b, e := everySecond(client, time.Second)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	started := func() uint64 {
		status, err := e.Schedules(t.Context())
		require.NoError(t, err)
		if len(status) == 0 {
			return 0
		}
		assert.False(t, status[0].Next.IsZero() && status[0].Started > 0)
		return status[0].Started
	}
	require.Eventually(t, func() bool { return started() >= 2 }, time.Minute, 50*time.Millisecond)
	stop()
	require.NoError(t, <-ended)

	admin := newBroker(t, client, redisx.Options{Partitions: 4})
	other := flow.NewEngine(admin, flow.Options{Lease: 2 * time.Second, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, other.RemoveSchedule(t.Context(), "often"))
	status, err := other.Schedules(t.Context())
	require.NoError(t, err)
	assert.Empty(t, status)
	assert.ErrorIs(t, other.RemoveSchedule(t.Context(), "often"), flow.ErrUnknown)

	again, e := everySecond(client, time.Second)
	t.Cleanup(func() { require.NoError(t, again.Close()) })
	ctx, stop = context.WithCancel(t.Context())
	go func() { ended <- e.Run(ctx) }()
	require.Eventually(t, func() bool { return started() >= 1 }, time.Minute, 50*time.Millisecond, "it begins anew")
	stop()
	require.NoError(t, <-ended)
}
