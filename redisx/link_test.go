package redisx_test

import (
	"context"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
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

// of is a broker of a service.
func of(t *testing.T, client redis.UniversalClient, service string) *redisx.Broker {
	t.Helper()
	return newBroker(t, client, redisx.Options{Namespace: "of-" + service, Service: service, Partitions: 2})
}

var calling = broker.Served{Flow: "charge"} // as other services start it

// serving is a worker of a flow that other services start.
func serving(t *testing.T, b *redisx.Broker) broker.Worker {
	t.Helper()
	w, err := b.Join(t.Context(), broker.Member{Build: "b", Flows: []broker.Served{calling}, Lease: time.Minute})
	require.NoError(t, err)
	return w
}

const remote = "orders~o1/charge"

// callPayments has saga o1 of w, a worker of b, call payments.
func callPayments(t *testing.T, b *redisx.Broker, w broker.Worker) {
	t.Helper()
	startBy(t, b, w, "o1")
	_, err := w.Commit(t.Context(), broker.Transition{ID: "o1", Rev: 1, Next: broker.Park, Send: []broker.Message{{
		ID: "o1/charge~start", Service: "payments", To: remote, Start: &broker.Start{ID: remote, Served: calling, Record: []byte("in"), Parent: "orders~o1"},
	}}})
	require.NoError(t, err)
}

// received is the saga that payments was called for.
func received(t *testing.T, w broker.Worker) *broker.Record {
	t.Helper()
	got, err := w.Receive(soon(t), 1)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, remote, got[0].ID)
	require.Equal(t, []byte("in"), got[0].Saga.Record)
	return got[0].Saga
}

// gate is a hook of a client that stops one kind of command until it is opened.
type gate struct {
	command string
	met     chan struct{}
	open    chan struct{}
	once    sync.Once
}

func newStop(command string) *gate {
	return &gate{command: command, met: make(chan struct{}), open: make(chan struct{})}
}

func (g *gate) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (g *gate) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == g.command {
			g.once.Do(func() { close(g.met) })
			<-g.open
		}
		return next(ctx, cmd)
	}
}

func (g *gate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// A process that is stopped between its commit and the relay of what it sent goes on when all is over: the message was relayed by
// another, its saga has ended and is forgotten. It must not begin anew.
func TestARelayerThatWasStoppedStartsNothing(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin, stopped, g := s.Client(), s.Client(), newStop("xadd")
	stopped.AddHook(g)
	orders, payments := of(t, stopped, "orders"), of(t, admin, "payments")
	wp := serving(t, payments)
	callPayments(t, orders, joinQuietly(t, orders))
	<-g.met
	other := of(t, admin, "orders") // another process of orders: its chores relay
	joinQuietly(t, other)
	saga := received(t, wp)
	_, err := wp.Commit(t.Context(), broker.Transition{ID: remote, Rev: saga.Rev, Next: broker.Finish, Keep: time.Millisecond})
	require.NoError(t, err)
	late := admin.Time(t.Context()).Val().Add(redisx.RelayTime) // until when what it sends would count
	eventually(t, func() bool { return admin.Time(t.Context()).Val().After(late) }, "the time that a message may be under way")
	unknown := func() bool {
		_, err := payments.Lookup(t.Context(), remote, false)
		return err != nil
	}
	require.True(t, unknown(), "it is forgotten")
	before := admin.XInfoStream(t.Context(), "payments:inbox").Val().EntriesAdded
	close(g.open)
	eventually(t, func() bool {
		info := admin.XInfoStream(t.Context(), "payments:inbox").Val()
		return info.EntriesAdded == before+1 && info.Length == 0
	}, "what the stopped process appended was read, and deleted")
	assert.True(t, unknown(), "and it began nothing")
	assert.Zero(t, inboxes(t, admin))
}

// What is appended twice is applied once, and what is nonsense not at all.
func TestEntriesThatComeTwiceAndNonsense(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client()
	orders := of(t, client, "orders")
	w := joinQuietly(t, orders)
	callPayments(t, orders, w)
	var entry redis.XMessage
	eventually(t, func() bool {
		entries := client.XRange(t.Context(), "payments:inbox", "-", "+").Val()
		if len(entries) > 0 {
			entry = entries[0]
		}
		return len(entries) > 0
	}, "a message on its way to a service that was never there")
	add := func(values map[string]any) {
		require.NoError(t, client.XAdd(t.Context(), &redis.XAddArgs{Stream: "payments:inbox", Values: values}).Err())
	}
	add(entry.Values)
	good := entry.Values["o1/charge~start"].(string)
	for _, wrong := range []string{"", "x", good[:20], good[:60], strings.Replace(good, "\x01\x01\x00\x06charge", "\x07\x01\x00\x06charge", 1), good[:6] + "\x00\x02id\x03rest", strings.Replace(good, "orders~o1", "orders-o1", 1)} {
		add(map[string]any{"m": wrong})
	}
	payments := of(t, client, "payments")
	wp := serving(t, payments)
	saga := received(t, wp)
	eventually(t, func() bool { return inboxes(t, client) == 0 }, "all of it is read")
	_, err := wp.Commit(t.Context(), broker.Transition{ID: remote, Rev: saga.Rev, Next: broker.Keep})
	require.NoError(t, err, "it is at the revision at which it was handed out")
	stats, err := payments.Stats(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, stats.Owned)
	assert.Zero(t, stats.Ready)
	assert.NoError(t, payments.Check(t.Context()))
}

// What a process has read and not applied when it died is applied by another.
func TestAReaderThatDies(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client()
	require.NoError(t, client.XGroupCreateMkStream(t.Context(), "payments:inbox", "workers", "0").Err())
	orders := of(t, client, "orders")
	callPayments(t, orders, joinQuietly(t, orders))
	eventually(t, func() bool {
		got := client.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: "workers", Consumer: "dead", Streams: []string{"payments:inbox", ">"}, Block: -1}).Val()
		return len(got) > 0
	}, "the dead process reads it")
	wp := serving(t, of(t, client, "payments"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := wp.Receive(ctx, 1)
	require.NoError(t, err)
	require.Equal(t, remote, got[0].ID)
	eventually(t, func() bool { return inboxes(t, client) == 0 }, "all of it is read")
	pending, err := client.XPending(t.Context(), "payments:inbox", "workers").Result()
	require.NoError(t, err)
	assert.Zero(t, pending.Count)
}

func TestAServiceThatMayNotBeCalledIsNamed(t *testing.T) {
	s := redistest.Start(t, serviceUser(t, "orders", "nobody"))
	admin := s.Client()
	orders := of(t, asService(t, s, "orders"), "orders")
	w := joinQuietly(t, orders)
	callPayments(t, orders, w)
	var err error
	eventually(t, func() bool { err = orders.Check(t.Context()); return err != nil }, "the trouble is seen")
	assert.ErrorContains(t, err, `nothing can be sent to service "payments"`)
	assert.ErrorContains(t, err, "NOPERM")
	require.NoError(t, admin.Do(t.Context(), "ACL", "SETUSER", "orders", "(+xadd %W~payments:inbox)").Err())
	received(t, serving(t, of(t, admin, "payments")))
	eventually(t, func() bool { return orders.Check(t.Context()) == nil }, "the trouble is over")
}

func TestABrokerWithoutAServiceSendsNothing(t *testing.T) {
	b := newBroker(t, redistest.Start(t).Client(), redisx.Options{})
	w := joinQuietly(t, b)
	startBy(t, b, w, "o1")
	_, err := w.Commit(t.Context(), broker.Transition{ID: "o1", Rev: 1, Send: []broker.Message{{ID: "m", Service: "payments", To: "x", Event: &broker.Event{ID: "e"}}}})
	assert.ErrorContains(t, err, `message "m" is for another service, and this broker has no Options.Service`)
	for _, name := range []string{"a~b", "a/b", "{a}", strings.Repeat("x", 256)} {
		assert.Panics(t, func() { redisx.New(b.Client(), redisx.Options{Service: name}) })
	}
}

// serviceUser gives the user that docs/redis.md describes for one service that calls another.
func serviceUser(t testing.TB, service, calls string) redistest.Option {
	t.Helper()
	page, err := os.ReadFile(aclPage)
	require.NoError(t, err)
	rule := regexp.MustCompile(`(?m)^user shop on >PASSWORD (.*)$`).FindSubmatch(page)
	more := regexp.MustCompile(`(?m)^(~shop:inbox .*)$`).FindSubmatch(page)
	require.NotNil(t, rule)
	require.NotNil(t, more, "%s has no line \"~shop:inbox …\"", aclPage)
	text := strings.ReplaceAll(string(rule[1]), "shop", "of-"+service) + " " +
		strings.NewReplacer("shop", service, "payments", calls).Replace(string(more[1]))
	return redistest.User(service + " on >word " + text)
}

func asService(t testing.TB, s *redistest.Server, service string) *redis.Client {
	opts := s.ClientOptions()
	opts.Username, opts.Password = service, "word"
	client := redis.NewClient(opts)
	t.Cleanup(func() { client.Close() })
	return client
}

// Services have no right at each other but to append to their inboxes.
func TestServicesRunAsUsersOfLeastPrivilege(t *testing.T) {
	s := redistest.Start(t, serviceUser(t, "orders", "payments"), serviceUser(t, "payments", "orders"))
	admin := s.Client()
	require.NoError(t, admin.ConfigResetStat(t.Context()).Err())
	ref := flow.Ref[int, int]{Service: "payments", Name: "charge"}
	f := flow.New[int]("calling").Then(ref)
	caller, payments := of(t, asService(t, s, "orders"), "orders"), of(t, asService(t, s, "payments"), "payments")
	e := work(t, caller, options(), f)
	work(t, payments, options(), flow.New[int]("charge").Map(func(n int) int { return n + 1 }))
	future, err := f.Start(t.Context(), e, 1)
	require.NoError(t, err)
	out, err := future.Await(soon(t))
	require.NoError(t, err)
	require.Equal(t, 2, out)
	eventually(t, func() bool {
		stats, err := payments.Stats(t.Context())
		return err == nil && stats.Held == 0 && stats.Finished == 1
	}, "the payment is let go")
	_, refused := called(t, admin)
	assert.Empty(t, refused, "commands that %s does not allow", aclPage)

	client := asService(t, s, "orders")
	for what, err := range map[string]error{
		"reading its inbox":  client.XRange(t.Context(), "payments:inbox", "-", "+").Err(),
		"deleting its inbox": client.Del(t.Context(), "payments:inbox").Err(),
		"its sagas":          client.HGetAll(t.Context(), "{of-payments:00}:m").Err(),
		"another service":    client.XAdd(t.Context(), &redis.XAddArgs{Stream: "bank:inbox", Values: []string{"a", "b"}}).Err(),
	} {
		assert.ErrorContains(t, err, "NOPERM", what)
	}
}
