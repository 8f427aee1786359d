package redisx_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/internal/workload"
	"github.com/skald-go/skald/redisx"
	"github.com/skald-go/skald/step"
)

// verifyNone checks at the end of the test, after all that it cleans up, that no goroutine is left.
func verifyNone(t *testing.T) {
	running := goleak.IgnoreCurrent()
	// A closed pool of a client that could not reach its server notices that within a second.
	dialing := goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial")
	t.Cleanup(func() { goleak.VerifyNone(t, running, dialing) })
}

// newBroker makes a broker that is closed when the test ends.
func newBroker(t *testing.T, client redis.UniversalClient, opts redisx.Options) *redisx.Broker {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	b := redisx.New(client, opts)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

func options() flow.Options {
	opts := workload.Options()
	opts.Logger = slog.New(slog.DiscardHandler)
	opts.Lease = 2 * time.Second
	return opts
}

// work makes an engine that runs the workload until the test ends.
func work(t *testing.T, b broker.Broker, opts flow.Options, flows ...flow.Definition) *flow.Engine {
	t.Helper()
	e := flow.NewEngine(b, opts)
	e.Serve(append(flows, workload.Success, workload.Rollback)...)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	require.Eventually(t, func() bool {
		stats, err := b.Stats(t.Context())
		return err == nil && stats.Workers > 0
	}, 10*time.Second, time.Millisecond)
	return e
}

// callAll runs sagas of the workload, every fourth one that fails, and waits for each of them.
func callAll(t *testing.T, e *flow.Engine, sagas int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var callers errgroup.Group
	callers.SetLimit(64)
	for i := range sagas {
		callers.Go(func() error {
			if i%4 != 3 {
				return call(ctx, e, workload.Success, nil)
			}
			return call(ctx, e, workload.Rollback, workload.ErrNoCourier)
		})
	}
	require.NoError(t, callers.Wait())
}

func call(ctx context.Context, e *flow.Engine, f flow.Flow[workload.Order, workload.Label], want error) error {
	future, err := f.Start(ctx, e, workload.Input())
	if err != nil {
		return err
	}
	label, err := future.Await(ctx)
	switch {
	case !errors.Is(err, want):
		return fmt.Errorf("saga %s ended with %w, want %v", future.ID(), err, want)
	case want == nil && label.Payment == "":
		return fmt.Errorf("saga %s ended with nothing", future.ID())
	}
	return nil
}

func TestEngineThatStartsAndWorks(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	callAll(t, work(t, newBroker(t, client, redisx.Options{}), options()), 400)
}

func TestStarterAndWorkerApart(t *testing.T) {
	verifyNone(t)
	s := redistest.Start(t)
	work(t, newBroker(t, s.Client(), redisx.Options{}), options())
	starter := newBroker(t, s.Client(), redisx.Options{ReadBack: time.Hour}) // what arrives was pushed
	callAll(t, flow.NewEngine(starter, options()), 400)
}

func TestResultsArriveWhenEveryPushIsLost(t *testing.T) {
	verifyNone(t)
	s := redistest.Start(t)
	worker := newBroker(t, s.Client(), redisx.Options{})
	redisx.Deafen(worker)
	work(t, worker, options())
	starter := newBroker(t, s.Client(), redisx.Options{})
	redisx.Deafen(starter)
	callAll(t, flow.NewEngine(starter, options()), 200)
}

func TestRestartOfTheServerLosesNothingAcknowledged(t *testing.T) {
	verifyNone(t)
	s := redistest.Start(t, redistest.AOF)
	e := work(t, newBroker(t, s.Client(), redisx.Options{}), options())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var mu sync.Mutex
	var acknowledged []flow.Future[workload.Label]
	var callers sync.WaitGroup
	deadline := time.Now().Add(4 * time.Second)
	for range 8 {
		callers.Go(func() {
			for time.Now().Before(deadline) {
				future, err := workload.Success.Start(ctx, e, workload.Input())
				if assert.NoError(t, err) {
					mu.Lock()
					acknowledged = append(acknowledged, future)
					mu.Unlock()
				}
			}
		})
	}
	for range 2 {
		time.Sleep(time.Second)
		s.Kill()
		time.Sleep(300 * time.Millisecond)
		s.Restart()
	}
	callers.Wait()
	require.NotEmpty(t, acknowledged)
	for _, future := range acknowledged {
		_, err := future.Await(ctx)
		require.NoError(t, err)
	}
	t.Logf("%d sagas, all done", len(acknowledged))
}

func TestSagasOfADeadWorkerAreTakenOverInTime(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	const lease = 2 * time.Second
	served := broker.Served{Flow: "order", Version: 1}
	join := func() broker.Worker {
		w, err := newBroker(t, client, redisx.Options{}).Join(t.Context(), broker.Member{Build: "b", Flows: []broker.Served{served}, Lease: lease})
		require.NoError(t, err)
		return w
	}
	owner := newBroker(t, client, redisx.Options{})
	dead, err := owner.Join(t.Context(), broker.Member{Build: "b", Flows: []broker.Served{served}, Lease: lease})
	require.NoError(t, err)
	living := join()
	for i := range 250 {
		started, err := owner.Start(t.Context(), broker.Start{ID: fmt.Sprint(i), Served: served, By: dead})
		require.NoError(t, err)
		require.True(t, started.Owned)
	}
	redisx.Forsake(dead) // it gives no sign of life, and believes that it lives
	died := time.Now()
	for taken := 0; taken < 250; {
		got, err := living.Receive(t.Context(), 100)
		require.NoError(t, err)
		for _, d := range got {
			assert.Equal(t, 1, d.Saga.Takeovers)
		}
		taken += len(got)
	}
	elapsed := time.Since(died)
	assert.GreaterOrEqual(t, elapsed, lease-lease/4-100*time.Millisecond)
	assert.LessOrEqual(t, elapsed, lease+time.Second)

	_, err = dead.Commit(t.Context(), broker.Transition{ID: "1", Rev: 1, Append: []broker.Entry{{Path: "late"}}})
	assert.ErrorIs(t, err, broker.ErrFenced)
	shot, err := owner.Lookup(t.Context(), "1", true)
	require.NoError(t, err)
	assert.Empty(t, shot.Journal)
	keys, err := client.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	assert.LessOrEqual(t, len(keys), 8, "a dead worker leaves nothing: %q", keys)
}

func TestFlushAllIsSaidClearlyAndOvercome(t *testing.T) {
	verifyNone(t)
	s := redistest.Start(t)
	client := s.Client()
	b := newBroker(t, client, redisx.Options{})
	running := make(chan struct{}, 1)
	goOn := make(chan struct{})
	slow := flow.New[int]("slow").Then(step.New("wait", func(ctx context.Context, n int) (int, error) {
		running <- struct{}{}
		select {
		case <-goOn:
		case <-ctx.Done():
		}
		return n, nil
	}).ReadOnly())
	e := work(t, b, options(), slow)
	future, err := slow.Start(t.Context(), e, 1, flow.ID("lost"))
	require.NoError(t, err)
	<-running
	require.NoError(t, client.FlushAll(t.Context()).Err())
	before := commands(t, client)
	time.Sleep(time.Second)
	assert.Less(t, commands(t, client)-before, 300.0, "commands in the second after FLUSHALL")
	close(goOn)

	_, err = b.Lookup(t.Context(), "lost", false)
	assert.ErrorIs(t, err, broker.ErrUnknown)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = future.Await(ctx)
	assert.Error(t, err)
	callAll(t, e, 50)
}

func TestNothingIsLeftOfSagas(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	opts := options()
	opts.Retention = 3 * time.Second
	e := work(t, newBroker(t, client, redisx.Options{}), opts)
	callAll(t, e, 1)
	size := func() int64 { return client.DBSize(t.Context()).Val() }
	require.Eventually(t, func() bool { return size() <= idleKeys }, 20*time.Second, 50*time.Millisecond)
	before := size()
	callAll(t, e, 5000)
	require.Greater(t, size(), before)
	require.Eventually(t, func() bool { return size() == before }, 30*time.Second, 100*time.Millisecond,
		"keys are left: %v", client.Keys(t.Context(), "*"))
}

// idleKeys are the keys of a namespace in which nothing happens: its configuration, the workers and their leases.
const idleKeys = 3

func commands(t *testing.T, client *redis.Client) float64 {
	return infoOf(t, client, "stats", "total_commands_processed")
}

// A worker takes at most so many sagas at once; what is left must not wait for the next time that it looks by itself.
func TestManySagasAreTakenOneChunkAfterTheOther(t *testing.T) {
	verifyNone(t)
	b := newBroker(t, redistest.Start(t).Client(), redisx.Options{})
	served := broker.Served{Flow: "order", Version: 1}
	const sagas = 1000
	for i := range sagas {
		_, err := b.Start(t.Context(), broker.Start{ID: fmt.Sprint(i), Served: served})
		require.NoError(t, err)
	}
	w, err := b.Join(t.Context(), broker.Member{Build: "b", Flows: []broker.Served{served}, Lease: time.Minute})
	require.NoError(t, err)
	begun := time.Now()
	for taken := 0; taken < sagas; {
		got, err := w.Receive(t.Context(), sagas)
		require.NoError(t, err)
		taken += len(got)
	}
	assert.Less(t, time.Since(begun), time.Second)
}
