package redisx_test

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/internal/workload"
	"github.com/skald-go/skald/redisx"
)

// patience is how long a test waits for what must happen. It ends early only if it never does.
const patience = time.Minute

// eventually waits until happened is true.
func eventually(t *testing.T, happened func() bool, what string) {
	t.Helper()
	require.Eventually(t, happened, patience, 20*time.Millisecond, what)
}

// traffic is callers who start sagas one after the other, whatever happens to the server.
type traffic struct {
	engine *flow.Engine
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu      sync.Mutex
	started []flow.Future[workload.Label] // what Start acknowledged
	done    int
	refused error // what Start said last when it did not
}

// begin begins traffic, which finish must end.
func begin(t *testing.T, e *flow.Engine) *traffic {
	ctx, cancel := context.WithCancel(t.Context())
	tr := &traffic{engine: e, cancel: cancel}
	for range 16 {
		tr.group.Go(func() { tr.call(ctx) })
	}
	t.Cleanup(func() {
		cancel()
		tr.group.Wait()
	})
	return tr
}

func (tr *traffic) call(ctx context.Context) {
	for ctx.Err() == nil {
		future, err := workload.Success.Start(ctx, tr.engine, workload.Input())
		tr.mu.Lock()
		if err == nil {
			tr.started = append(tr.started, future)
		} else if ctx.Err() == nil {
			tr.refused = err
		}
		tr.mu.Unlock()
		if err == nil {
			_, err = future.Await(ctx)
		}
		if err == nil {
			tr.mu.Lock()
			tr.done++
			tr.mu.Unlock()
		}
	}
}

// flows waits until n more sagas are done.
func (tr *traffic) flows(t *testing.T, n int) {
	t.Helper()
	before := tr.count()
	require.Eventually(t, func() bool { return tr.count() >= before+n }, patience, 20*time.Millisecond,
		"no sagas are done; starts were refused with: %v", (*refusal)(tr))
}

// refusal is printed when it is needed.
type refusal traffic

func (r *refusal) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprint(r.refused)
}

func (tr *traffic) count() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.done
}

// finish ends the traffic and waits for the end of every saga whose start was acknowledged: none is lost, and none fails.
func (tr *traffic) finish(t *testing.T) {
	t.Helper()
	tr.cancel()
	tr.group.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	lost := 0
	for _, future := range tr.started {
		if label, err := future.Await(ctx); !assert.NoError(t, err, future.ID()) || !assert.NotEmpty(t, label.Payment) {
			if lost++; lost == 10 {
				break
			}
		}
	}
	t.Logf("%d sagas, all started ones ended: %t; starts were last refused with: %v", len(tr.started), lost == 0, tr.refused)
	require.Zero(t, lost)
}

// goOn tells a saga of waiting to go on.
var goOn = flow.NewSignal[int]("go-on")

// waiting is a saga that waits for goOn.
var waiting = flow.New[int]("waiting").Wait(goOn, func(in, more int) int { return in + more })

// crowd starts sagas that wait, and returns when all do.
func crowd(t *testing.T, e *flow.Engine, parked func() uint64, n int) []flow.Future[int] {
	t.Helper()
	futures := make([]flow.Future[int], n)
	for i := range futures {
		var err error
		futures[i], err = waiting.Start(t.Context(), e, i, flow.ID(fmt.Sprint("waiting-", i)))
		require.NoError(t, err)
	}
	eventually(t, func() bool { return parked() == uint64(n) }, "all sagas wait")
	return futures
}

// awake tells all of them to go on, and waits for their ends.
func awake(t *testing.T, e *flow.Engine, futures []flow.Future[int]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i, future := range futures {
		require.NoError(t, goOn.Send(ctx, e, future.ID(), 1000, flow.SignalID("only")))
		out, err := future.Await(ctx)
		require.NoError(t, err, future.ID())
		require.Equal(t, 1000+i, out)
	}
}

// A server without room refuses writes. When it has room again, every saga whose start was acknowledged ends.
func TestAFullServerLosesNothing(t *testing.T) {
	verifyNone(t)
	s := redistest.Start(t)
	admin := s.Client()
	b := newBroker(t, s.Client(), redisx.Options{})
	e := work(t, b, options(), waiting)
	waiters := crowd(t, e, parkedOn(t, b), 50)
	local := begin(t, e)
	remote := begin(t, flow.NewEngine(newBroker(t, s.Client(), redisx.Options{}), options()))
	for range 5 {
		local.flows(t, 50)
		remote.flows(t, 20)
		before := refusals(t, admin)
		require.NoError(t, admin.ConfigSet(t.Context(), "maxmemory", "1").Err())
		eventually(t, func() bool { return refusals(t, admin) > before+2 }, "writes are refused")
		require.NoError(t, admin.ConfigSet(t.Context(), "maxmemory", "0").Err())
	}
	local.finish(t)
	remote.finish(t)
	awake(t, e, waiters)
}

// refusals is how many writes the server has refused because it was full.
func refusals(t *testing.T, client *redis.Client) int {
	found := regexp.MustCompile(`errorstat_OOM:count=(\d+)`).FindStringSubmatch(client.Info(t.Context(), "errorstats").Val())
	if found == nil {
		return 0
	}
	n, err := strconv.Atoi(found[1])
	require.NoError(t, err)
	return n
}

// A server that hangs is an outage like any other: connections stay, and nothing is answered, for less than a lease and for more.
func TestSagasOutliveAServerThatHangs(t *testing.T) {
	verifyNone(t)
	s := redistest.Start(t)
	opts := s.ClientOptions()
	opts.ReadTimeout, opts.ContextTimeoutEnabled = 500*time.Millisecond, true
	client := redis.NewClient(opts)
	t.Cleanup(func() { client.Close() })
	b := newBroker(t, client, redisx.Options{})
	e := work(t, b, options(), waiting)
	waiters := crowd(t, e, parkedOn(t, b), 50)
	tr := begin(t, e)
	for _, outage := range []time.Duration{500 * time.Millisecond, options().Lease + time.Second} {
		tr.flows(t, 50)
		require.NoError(t, s.Pause())
		time.Sleep(outage)
		require.NoError(t, s.Resume())
	}
	tr.flows(t, 50)
	tr.finish(t)
	awake(t, e, waiters)
	assert.NoError(t, e.Health(t.Context()))
}
