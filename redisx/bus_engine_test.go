package redisx_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
	"github.com/skald-go/skald/step"
)

// notice is the event of the tests.
type notice struct {
	Of string
	N  int
}

var notices = flow.NewTopic[notice]("notices").KeyedBy(func(n notice) string { return n.Of })

// hearing counts what handlers got, and knows the last of each key.
type hearing struct {
	mu    sync.Mutex
	times map[string]int // by group, key and number
	last  map[string]int // by group and key
	wrong []string
}

func newHearing() *hearing { return &hearing{times: map[string]int{}, last: map[string]int{}} }

// handler is one of a group that fails each fails-th call, after its effect.
func (h *hearing) handler(group string, fails int) func(context.Context, notice) error {
	calls := 0
	return func(_ context.Context, n notice) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		calls++
		key := group + " " + n.Of
		h.times[fmt.Sprint(key, " ", n.N)]++
		if last := h.last[key]; n.N != last && n.N != last+1 {
			h.wrong = append(h.wrong, fmt.Sprintf("%s: %d after %d", key, n.N, last))
		}
		h.last[key] = n.N
		if fails > 0 && calls%fails == 0 {
			return errors.New("the effect happened, the answer is lost")
		}
		return nil
	}
}

// complete says whether each of keys has been handled up to n, by each group.
func (h *hearing) complete(groups, keys []string, n int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, g := range groups {
		for _, k := range keys {
			if h.last[g+" "+k] < n {
				return false
			}
		}
	}
	return true
}

func (h *hearing) once() (repeated int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, times := range h.times {
		if times > 1 {
			repeated++
		}
	}
	return repeated
}

// hears runs an engine that listens until the test ends, or until it is stopped.
func hears(t *testing.T, b broker.Broker, opts flow.Options, listen func(*flow.Engine)) (e *flow.Engine, stop func()) {
	t.Helper()
	opts.Logger = slog.New(slog.DiscardHandler)
	e = flow.NewEngine(b, opts)
	listen(e)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = e.Run(ctx) }()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return e, stop
}

// publishAll publishes n notices for each key, one publisher for each.
func publishAll(t *testing.T, e *flow.Engine, keys []string, n int) {
	t.Helper()
	var group sync.WaitGroup
	for _, key := range keys {
		group.Go(func() {
			for i := 1; i <= n; i++ {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				assert.NoError(t, notices.Publish(ctx, e, notice{key, i}, flow.EventID(fmt.Sprint(key, "-", i))))
				cancel()
			}
		})
	}
	group.Wait()
}

var threeGroups = []string{"inbox", "statistics", "audit"}

func TestServicesOnRedisHearEachOther(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	bus := redisx.BusOptions{Namespace: "events"}
	shop := newBroker(t, client, redisx.Options{Namespace: "shop", Bus: bus})
	h := newHearing()
	for _, service := range threeGroups {
		b := newBroker(t, client, redisx.Options{Namespace: service, Partitions: 2, Bus: bus})
		hears(t, b, flow.Options{}, func(e *flow.Engine) {
			notices.On(e, service, h.handler(service, 5), flow.Redeliver(step.Retry{Delay: time.Millisecond}))
		})
	}
	keys := []string{"ada", "bob", "cleo", "dora"}
	e := flow.NewEngine(shop, flow.Options{})
	publishAll(t, e, keys, 50)
	eventually(t, func() bool { return h.complete(threeGroups, keys, 50) }, "everything is handled")
	assert.Empty(t, h.wrong)
	assert.Positive(t, h.once())
	groups, err := e.Groups(t.Context(), "notices")
	require.NoError(t, err)
	assert.Len(t, groups, 3)
}

// Connections that are cut again and again: nothing is lost, and the order of keys stays.
func TestEventsWhileConnectionsAreCut(t *testing.T) {
	verifyNone(t)
	server := redistest.Start(t)
	admin := server.Client()
	h := newHearing()
	for k := range 2 {
		b := newBroker(t, server.Client(), redisx.Options{})
		hears(t, b, flow.Options{Name: fmt.Sprint(k)}, func(e *flow.Engine) {
			for _, g := range threeGroups {
				notices.On(e, g, h.handler(g, 7), flow.Redeliver(step.Retry{Attempts: 1000, Delay: time.Millisecond}))
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	var cutting sync.WaitGroup
	cutting.Go(func() {
		for ctx.Err() == nil {
			admin.Do(ctx, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
			admin.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub")
			select {
			case <-time.After(30 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
	keys := []string{"ada", "bob", "cleo", "dora"}
	publisher := flow.NewEngine(newBroker(t, server.Client(), redisx.Options{}), flow.Options{})
	publishAll(t, publisher, keys, 100)
	cancel()
	cutting.Wait()
	eventually(t, func() bool { return h.complete(threeGroups, keys, 100) }, "everything is handled")
	assert.Empty(t, h.wrong)
	groups, err := publisher.Groups(t.Context(), "notices")
	require.NoError(t, err)
	for _, g := range groups {
		assert.Zero(t, g.Lost)
		assert.Zero(t, g.Dead)
	}
}

// The server is killed and comes back with what it had: readers go on by themselves.
func TestEventsOutliveTheServer(t *testing.T) {
	verifyNone(t)
	server := redistest.Start(t, redistest.AOF)
	h := newHearing()
	b := newBroker(t, server.Client(), redisx.Options{})
	e, _ := hears(t, b, flow.Options{}, func(e *flow.Engine) {
		for _, g := range threeGroups {
			notices.On(e, g, h.handler(g, 0))
		}
	})
	keys := []string{"ada", "bob"}
	var publishing sync.WaitGroup
	publishing.Go(func() { publishAll(t, e, keys, 300) })
	eventually(t, func() bool { return h.complete(threeGroups, keys, 20) }, "events are handled")
	server.Kill()
	eventually(t, func() bool { return e.Health(t.Context()) != nil }, "health tells of it")
	server.Restart()
	publishing.Wait()
	eventually(t, func() bool { return h.complete(threeGroups, keys, 300) }, "everything is handled")
	assert.Empty(t, h.wrong)
	eventually(t, func() bool { return e.Health(t.Context()) == nil }, "it is healthy again")
}

// A subscriber that does not notice that it is dead: others have its events in time, and its own settlements change nothing.
func TestAnEventOfADeadSubscriberIsTakenOverInTime(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	b := newBroker(t, client, redisx.Options{})
	const lease = time.Second
	subscribe := func(name string) broker.Subscriber {
		sub, err := b.Subscribe(t.Context(), broker.Subscription{Name: name, Lease: lease, Reads: []broker.Read{{Topic: "news", Group: "g", Room: 10}}})
		require.NoError(t, err)
		return sub
	}
	dying := subscribe("dying")
	require.NoError(t, b.Publish(t.Context(), broker.Publication{Topic: "news", ID: "e1", Key: "k"}, broker.Publication{Topic: "news", ID: "e2", Key: "k"}))
	had, err := dying.Receive(t.Context())
	require.NoError(t, err)
	redisx.ForsakeSubscriber(dying)
	begun := time.Now()
	other := subscribe("other")
	got, err := other.Receive(t.Context())
	require.NoError(t, err)
	took := time.Since(begun)
	assert.Equal(t, "e1", got[0].ID)
	assert.Equal(t, 2, got[0].Attempt)
	t.Logf("taken over after %v, the lease was %v", took, lease)
	redisx.WakeSubscriber(dying)
	err = dying.Settle(t.Context(), broker.Settlement{Topic: "news", Group: "g", Ref: had[0].Ref})
	require.ErrorIs(t, err, broker.ErrFenced)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = other.Receive(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded, "what a dead one said let e2 go on")
	require.NoError(t, other.Settle(t.Context(), broker.Settlement{Topic: "news", Group: "g", Ref: got[0].Ref}))
	got, err = other.Receive(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "e2", got[0].ID)
}

// When all is handled and all have left, a topic is two small keys: where it is, and the IDs of the last hours.
func TestNothingIsLeftOfEvents(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	b := newBroker(t, client, redisx.Options{Bus: redisx.BusOptions{Memory: time.Second}})
	h := newHearing()
	e, stop := hears(t, b, flow.Options{Lease: time.Second}, func(e *flow.Engine) {
		for _, g := range threeGroups {
			notices.On(e, g, h.handler(g, 3), flow.Redeliver(step.Retry{Delay: time.Millisecond}))
		}
	})
	keys := []string{"ada", "bob"}
	publishAll(t, e, keys, 100)
	eventually(t, func() bool { return h.complete(threeGroups, keys, 100) }, "everything is handled")
	left := func() []string {
		return slices.DeleteFunc(client.Keys(t.Context(), "{*").Val(), func(key string) bool {
			return strings.HasSuffix(key, "}:es") || strings.HasSuffix(key, "}:ec") || strings.HasSuffix(key, "}:eh")
		})
	}
	eventually(t, func() bool { return slices.Equal(left(), []string{"{skald:00}:et:notices"}) }, "events, and what was open of them, are gone")
	stop()
	assert.Equal(t, []string{"{skald:00}:et:notices"}, client.Keys(t.Context(), "{*").Val())
}

// What an event to three groups costs the server, with 64 publishers.
func TestAnEventToThreeGroupsCostsFewCommands(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	b := newBroker(t, client, redisx.Options{})
	h := newHearing()
	e, _ := hears(t, b, flow.Options{}, func(e *flow.Engine) {
		for _, g := range threeGroups {
			notices.On(e, g, h.handler(g, 0))
		}
	})
	var keys []string
	for n := range 64 {
		keys = append(keys, fmt.Sprint("key-", n))
	}
	publishAll(t, e, keys, 1)
	eventually(t, func() bool { return h.complete(threeGroups, keys, 1) }, "it is warm")
	before := commands(t, client)
	const each = 50
	for n := 2; n <= each+1; n++ {
		var group sync.WaitGroup
		for _, key := range keys {
			group.Go(func() { assert.NoError(t, notices.Publish(t.Context(), e, notice{key, n})) })
		}
		group.Wait()
	}
	eventually(t, func() bool { return h.complete(threeGroups, keys, each+1) }, "everything is handled")
	per := (commands(t, client) - before) / float64(each*len(keys))
	t.Logf("%.2f commands for an event to three groups", per)
	assert.LessOrEqual(t, per, 10.0)
}

func TestALossOnRedisIsLoud(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	b := newBroker(t, client, redisx.Options{Bus: redisx.BusOptions{Most: 10}})
	h := newHearing()
	_, stop := hears(t, b, flow.Options{}, func(e *flow.Engine) { notices.On(e, "inbox", h.handler("inbox", 0)) })
	publisher := flow.NewEngine(b, flow.Options{})
	groups := func() []flow.GroupStatus {
		all, err := publisher.Groups(t.Context(), "notices")
		require.NoError(t, err)
		return all
	}
	eventually(t, func() bool { return len(groups()) == 1 }, "the group exists")
	stop()
	publishAll(t, publisher, []string{"ada"}, 25)
	alerts := make(chan flow.Alert, 10)
	e, _ := hears(t, b, flow.Options{OnAlert: func(_ context.Context, a flow.Alert) { alerts <- a }}, func(e *flow.Engine) {
		notices.On(e, "inbox", func(context.Context, notice) error { return nil })
	})
	a := <-alerts
	assert.Equal(t, flow.AlertLost, a.Kind)
	assert.EqualValues(t, 15, a.Events)
	assert.ErrorContains(t, e.Health(t.Context()), "lost 15 events")
	assert.EqualValues(t, 15, groups()[0].Lost)
}

func TestTheBusOfAnotherNamespaceIsClosedAndChecked(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	b := newBroker(t, client, redisx.Options{Namespace: "shop", Bus: redisx.BusOptions{Namespace: "events", Partitions: 3}})
	require.NoError(t, b.Publish(t.Context(), broker.Publication{Topic: "news", ID: "e1"}))
	other := newBroker(t, client, redisx.Options{Namespace: "mail", Bus: redisx.BusOptions{Namespace: "events", Partitions: 4}})
	assert.ErrorIs(t, other.Publish(t.Context(), broker.Publication{Topic: "news", ID: "e2"}), redisx.ErrNamespace)
	for name, o := range map[string]redisx.BusOptions{"Namespace": {Namespace: "a{b"}, "Partitions": {Partitions: -1}, "Age": {Age: -1}} {
		assert.Panics(t, func() { redisx.New(client, redisx.Options{Bus: o}) }, name)
	}
	require.NoError(t, b.Check(t.Context()))
}
