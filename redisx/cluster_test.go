package redisx_test

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/redisserver"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
	"github.com/skald-go/skald/step"
)

const partitions = 16

// partition0 is a key of the first partition, which is moved and whose master is killed.
const partition0 = "{skald:00}:w"

func clusterClient(t *testing.T, c *redisserver.Cluster) redis.UniversalClient {
	opts := c.ClientOptions()
	opts.ReadTimeout, opts.ContextTimeoutEnabled = time.Second, true
	client := redis.NewClusterClient(opts)
	t.Cleanup(func() { client.Close() })
	return client
}

// onCluster is a cluster of three masters, each with a replica, and an engine that works on it.
func onCluster(t *testing.T) (*redisserver.Cluster, *redisx.Broker, *flow.Engine) {
	c := redistest.Cluster(t, 3, 1)
	b := newBroker(t, clusterClient(t, c), redisx.Options{Partitions: partitions})
	return c, b, work(t, b, options(), waiting)
}

func TestSagasRunOnACluster(t *testing.T) {
	verifyNone(t)
	c, b, e := onCluster(t)
	waiters := crowd(t, e, parkedOn(t, b), 100)
	callAll(t, e, 300)
	starter := newBroker(t, clusterClient(t, c), redisx.Options{Partitions: partitions})
	callAll(t, flow.NewEngine(starter, options()), 300)
	listed := 0
	for _, err := range e.List(t.Context(), flow.Filter{}) {
		require.NoError(t, err)
		listed++
	}
	assert.GreaterOrEqual(t, listed, 100)
	awake(t, e, waiters)
	assert.NoError(t, e.Health(t.Context()))
}

// A replica takes over in agreement with its master: nothing is lost.
func TestAFailoverOfAClusterNodeLosesNothing(t *testing.T) {
	verifyNone(t)
	c, b, e := onCluster(t)
	waiters := crowd(t, e, parkedOn(t, b), 50)
	tr := begin(t, e)
	tr.flows(t, 200)
	master, err := c.MasterOf(t.Context(), partition0)
	require.NoError(t, err)
	replicas, err := c.ReplicasOf(t.Context(), master)
	require.NoError(t, err)
	require.Len(t, replicas, 1)

	require.NoError(t, c.Failover(t.Context(), replicas[0]))
	tr.flows(t, 300)
	tr.finish(t)
	awake(t, e, waiters)
	assert.NoError(t, e.Health(t.Context()))
}

// What the replica had when its master was killed is there, and work goes on by itself.
func TestSagasOutliveAClusterNodeThatIsKilled(t *testing.T) {
	verifyNone(t)
	c, b, e := onCluster(t)
	waiters := crowd(t, e, parkedOn(t, b), 50)
	callAll(t, e, 200)
	master, err := c.MasterOf(t.Context(), partition0)
	require.NoError(t, err)
	direct := redis.NewClient(master.ClientOptions())
	defer direct.Close()
	require.Equal(t, int64(1), direct.Wait(t.Context(), 1, patience).Val(), "the replica has all writes")

	master.Kill()
	tr := begin(t, e)
	eventually(t, func() bool {
		now, err := c.MasterOf(t.Context(), partition0)
		return err == nil && now != master
	}, "the replica is promoted")
	require.NoError(t, c.Ready(t.Context()))
	tr.flows(t, 300)
	tr.finish(t)
	awake(t, e, waiters)
	assert.NoError(t, e.Health(t.Context()))
}

// doubled records what a step gives, and waits.
var doubled = flow.New[int]("doubled").
	Then(step.New("double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })).
	Wait(goOn, func(in, more int) int { return in + more })

// Sagas record a step's output and wait, while the slot that holds all of them goes from node to node and back, key by key. Then another
// engine, which knows only what is stored, lets them go on: no saga is lost, and no output.
func TestNothingIsLostWhileASlotMoves(t *testing.T) {
	verifyNone(t)
	c := redistest.Cluster(t, 3, 0)
	c.Pace = 20 * time.Millisecond
	b := newBroker(t, clusterClient(t, c), redisx.Options{})
	var acknowledged [8][]int
	var count atomic.Int64
	t.Run("under load", func(t *testing.T) { // whose engine ends with it
		e := work(t, b, options(), doubled)
		moved := make(chan struct{})
		var callers sync.WaitGroup
		for caller := range 8 {
			callers.Go(func() {
				for n := caller; ; n += 8 {
					select {
					case <-moved:
						return
					case <-time.After(5 * time.Millisecond):
					}
					_, err := doubled.Start(t.Context(), e, n, flow.ID(strconv.Itoa(n)))
					if assert.NoError(t, err, n) {
						acknowledged[caller] = append(acknowledged[caller], n)
						count.Add(1)
					}
				}
			})
		}
		defer callers.Wait()
		defer close(moved)
		slot, err := c.SlotOf(t.Context(), partition0)
		require.NoError(t, err)
		for _, to := range slices.Concat(c.Nodes, c.Nodes) {
			require.NoError(t, c.MigrateSlot(t.Context(), slot, to))
			before := count.Load()
			eventually(t, func() bool { return count.Load() > before+50 }, "sagas start again")
		}
	})
	e := work(t, newBroker(t, clusterClient(t, c), redisx.Options{}), options(), doubled)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	all := slices.Concat(acknowledged[:]...)
	for _, n := range all {
		id := strconv.Itoa(n)
		require.NoError(t, goOn.Send(ctx, e, id, 1, flow.SignalID("only")), id)
		out, err := doubled.Attach(e, id).Await(ctx)
		require.NoError(t, err, id)
		require.Equal(t, 2*n+1, out, id)
	}
	t.Logf("%d sagas", len(all))
}

// The rights that docs/redis.md names for a cluster are enough.
func TestSagasRunOnAClusterAsAUserOfLeastPrivilege(t *testing.T) {
	verifyNone(t)
	c := redistest.Cluster(t, 3, 0, aclUser(t, "shop"))
	for _, node := range c.Nodes {
		admin := redis.NewClient(node.ClientOptions())
		require.NoError(t, admin.Do(t.Context(), "ACL", "SETUSER", "shop", "+command", "+cluster|slots").Err())
		require.NoError(t, admin.ConfigResetStat(t.Context()).Err())
		admin.Close()
	}
	opts := c.ClientOptions()
	opts.Username, opts.Password = "shop", "word"
	client := redis.NewClusterClient(opts)
	t.Cleanup(func() { client.Close() })
	e := work(t, newBroker(t, client, redisx.Options{Namespace: "shop", Partitions: partitions}), options())
	callAll(t, e, 200)
	for _, err := range e.List(t.Context(), flow.Filter{}) {
		require.NoError(t, err)
	}
	for _, node := range c.Nodes {
		admin := redis.NewClient(node.ClientOptions())
		defer admin.Close()
		_, refused := called(t, admin)
		assert.Empty(t, refused)
	}
}
