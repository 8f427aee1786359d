package flow_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokerfault"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

// posted is the event of the tests.
type posted struct {
	User string
	N    int
}

var posts = flow.NewTopic[posted]("posted")

// heard collects what handlers got.
type heard struct {
	mu  sync.Mutex
	got []string
}

func (h *heard) add(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got = append(h.got, fmt.Sprintf(format, args...))
}

func (h *heard) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.got)
}

// listening gives an engine that runs until the test ends, with one handler of group "mail".
func listening(t *testing.T, b broker.Broker, o flow.Options, handle func(context.Context, posted) error, opts ...flow.ListenOption) *flow.Engine {
	t.Helper()
	e := newEngine(b, o)
	posts.On(e, "mail", handle, opts...)
	stop := run(e)
	t.Cleanup(func() { assert.NoError(t, stop()) })
	settle()
	return e
}

func publish(t *testing.T, e *flow.Engine, event posted, opts ...flow.PublishOption) {
	t.Helper()
	require.NoError(t, posts.Publish(within(t, time.Hour), e, event, opts...))
}

func deadEvents(t *testing.T, e *flow.Engine, group string) (all []flow.DeadEvent) {
	t.Helper()
	for d, err := range e.DeadEvents(context.Background(), "posted", group) {
		require.NoError(t, err)
		all = append(all, d)
	}
	return all
}

func groupOf(t *testing.T, e *flow.Engine, group string) flow.GroupStatus {
	t.Helper()
	groups, err := e.Groups(context.Background(), "posted")
	require.NoError(t, err)
	k := slices.IndexFunc(groups, func(g flow.GroupStatus) bool { return g.Group == group })
	require.GreaterOrEqual(t, k, 0)
	return groups[k]
}

func TestEachGroupHandlesEachEventOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var h heard
		for _, name := range []string{"one", "two"} {
			e := newEngine(b, flow.Options{Name: name})
			for _, group := range []string{"mail", "stats"} {
				posts.On(e, group, func(_ context.Context, ev posted) error {
					h.add("%s %s %d", group, ev.User, ev.N)
					return nil
				})
			}
			stop := run(e)
			defer stop()
		}
		settle()
		client := newEngine(b, flow.Options{})
		publish(t, client, posted{"ada", 1}, flow.EventID("first"))
		publish(t, client, posted{"ada", 1}, flow.EventID("first"))
		publish(t, client, posted{"bob", 2})
		settle()
		assert.ElementsMatch(t, []string{"mail ada 1", "stats ada 1", "mail bob 2", "stats bob 2"}, h.all())
		g := groupOf(t, client, "mail")
		assert.Zero(t, g.Lag)
		assert.Equal(t, []string{"one", "two"}, g.Readers)
	})
}

func TestAFailedEventComesAgainAndThenIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h heard
		var told []flow.DeadEvent
		broken := true
		e := listening(t, newBroker(), flow.Options{OnDeadEvent: func(_ context.Context, d flow.DeadEvent) { told = append(told, d) }},
			func(ctx context.Context, ev posted) error {
				h.add("%d after %v", flow.DeliveryFrom(ctx).Attempt, time.Since(flow.DeliveryFrom(ctx).Published) > 0)
				if broken {
					return fmt.Errorf("post %d: %w", ev.N, errDeclined)
				}
				return nil
			}, flow.Redeliver(step.Retry{Attempts: 3, Delay: time.Minute}))
		publish(t, e, posted{"ada", 7}, flow.EventID("e7"), flow.EventHeaders(flow.Headers{"user": "ada"}))
		time.Sleep(time.Hour)
		settle()
		assert.Equal(t, []string{"1 after false", "2 after true", "3 after true"}, h.all())
		dead := deadEvents(t, e, "mail")
		require.Len(t, dead, 1)
		require.Len(t, told, 1)
		for _, d := range []flow.DeadEvent{dead[0], told[0]} {
			assert.ErrorIs(t, d.Err, errDeclined)
			assert.Equal(t, "e7", d.EventID)
			assert.Equal(t, 3, d.Attempts)
			assert.Equal(t, "ada", d.Headers.Get("user"))
			ev, err := posts.Read(e, d)
			require.NoError(t, err)
			assert.Equal(t, posted{"ada", 7}, ev)
		}
		assert.Equal(t, 1, groupOf(t, e, "mail").Dead)
		broken = false
		require.NoError(t, e.Redeliver(t.Context(), dead[0], flow.By{Who: "eva", Why: "mended"}))
		settle()
		assert.Equal(t, "1 after true", h.all()[3])
		assert.Empty(t, deadEvents(t, e, "mail"))
		assert.ErrorIs(t, e.Redeliver(t.Context(), dead[0], flow.By{Who: "eva"}), flow.ErrNoEvent)
	})
}

func TestADeadEventIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := listening(t, newBroker(), flow.Options{}, func(context.Context, posted) error { return step.Permanent(errBroken) })
		publish(t, e, posted{"ada", 1})
		settle()
		dead := deadEvents(t, e, "mail")
		require.Len(t, dead, 1)
		assert.Equal(t, 1, dead[0].Attempts)
		assert.Error(t, e.DropEvent(t.Context(), dead[0], flow.By{}), "who decides is not said")
		require.NoError(t, e.DropEvent(t.Context(), dead[0], flow.By{Who: "eva"}))
		assert.ErrorIs(t, e.DropEvent(t.Context(), dead[0], flow.By{Who: "eva"}), flow.ErrNoEvent)
		assert.Empty(t, deadEvents(t, e, "mail"))
	})
}

func TestAnswersOfHandlers(t *testing.T) {
	for name, c := range map[string]struct {
		answer   func() error
		attempts []int // that the handler saw, until it is content
		dead     bool
	}{
		"panic":     {func() error { panic("no paper") }, []int{1, 2}, false},
		"exit":      {func() error { runtime.Goexit(); return nil }, []int{1, 2}, false},
		"not yet":   {func() error { return step.NotYet(time.Minute) }, []int{1, 1}, false},
		"refused":   {func() error { return step.Refused(errDeclined) }, []int{1}, true},
		"permanent": {func() error { return step.Permanent(errDeclined) }, []int{1}, true},
		"plain":     {func() error { return errDeclined }, []int{1, 2}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var attempts []int
				e := listening(t, newBroker(), flow.Options{}, func(ctx context.Context, _ posted) error {
					attempts = append(attempts, flow.DeliveryFrom(ctx).Attempt)
					if len(attempts) == 1 {
						return c.answer()
					}
					return nil
				})
				publish(t, e, posted{"ada", 1})
				time.Sleep(time.Hour)
				settle()
				assert.Equal(t, c.attempts, attempts)
				assert.Equal(t, c.dead, len(deadEvents(t, e, "mail")) == 1)
			})
		})
	}
}

func TestNotYetEndsWithItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := listening(t, newBroker(), flow.Options{NotYetLimit: time.Hour}, func(context.Context, posted) error { return step.NotYet(time.Minute) },
			flow.Redeliver(step.Retry{Attempts: 2}))
		publish(t, e, posted{"ada", 1})
		time.Sleep(50 * time.Minute)
		assert.Empty(t, deadEvents(t, e, "mail"))
		time.Sleep(time.Hour)
		settle()
		assert.Len(t, deadEvents(t, e, "mail"), 1)
	})
}

// What nobody can read is a dead letter at once, says why, and holds up nothing.
func TestAnEventThatDoesNotDecodeIsDeadAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var h heard
		e := listening(t, b, flow.Options{}, func(_ context.Context, ev posted) error { h.add("%d", ev.N); return nil })
		require.NoError(t, flow.NewTopic[string]("posted").Publish(t.Context(), e, "not a post", flow.EventID("text"), flow.OrderKey("k")))
		require.NoError(t, b.Publish(t.Context(), broker.Publication{Topic: "posted", ID: "noise", Key: "k", Data: []byte("\xc1 noise")}))
		publish(t, e, posted{"ada", 3}, flow.OrderKey("k"))
		settle()
		assert.Equal(t, []string{"3"}, h.all())
		dead := deadEvents(t, e, "mail")
		require.Len(t, dead, 2)
		for k, id := range []string{"text", "noise"} {
			assert.Equal(t, id, dead[k].EventID)
			assert.ErrorIs(t, dead[k].Err, flow.ErrPayload)
			assert.Equal(t, 1, dead[k].Attempts)
			_, err := posts.Read(e, dead[k])
			assert.ErrorIs(t, err, flow.ErrPayload)
		}
	})
}

func TestTheEventsOfADeadEngineGoToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var h heard
		held := newGate()
		listening(t, b, flow.Options{Name: "dying", Lease: 10 * time.Second}, func(ctx context.Context, _ posted) error {
			h.add("dying %d", flow.DeliveryFrom(ctx).Attempt)
			err := held.pass(ctx)
			h.add("dying: %v", err)
			return err
		}, flow.HandlerTimeout(time.Hour))
		client := newEngine(b, flow.Options{})
		publish(t, client, posted{"ada", 1})
		settle()
		listening(t, b, flow.Options{Name: "other"}, func(ctx context.Context, _ posted) error {
			h.add("other %d", flow.DeliveryFrom(ctx).Attempt)
			return nil
		})
		begun := time.Now()
		b.killSubscriber("dying")
		for len(h.all()) < 3 {
			time.Sleep(100 * time.Millisecond)
		}
		assert.LessOrEqual(t, time.Since(begun), 11*time.Second)
		assert.Contains(t, h.all(), "dying: context canceled")
		for len(h.all()) < 3 || !slices.Contains(h.all(), "other 2") {
			if time.Since(begun) > 11*time.Second {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		assert.NotContains(t, h.all(), "other 1")
	})
}

func TestAPoisonousEventThatKillsWorkersIsDeadInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		deaths := 0
		e := listening(t, b, flow.Options{Name: "worker", Lease: time.Second}, func(ctx context.Context, _ posted) error {
			deaths++
			b.killSubscriber("worker")
			<-ctx.Done()
			return ctx.Err()
		}, flow.Redeliver(step.Retry{Attempts: 4}))
		publish(t, e, posted{"ada", 1})
		time.Sleep(time.Hour)
		settle()
		assert.Equal(t, 4, deaths)
		dead := deadEvents(t, e, "mail")
		require.Len(t, dead, 1)
		assert.ErrorIs(t, dead[0].Err, flow.ErrTakeovers)
	})
}

func TestAnEngineThatEndsLetsHandlersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var h heard
		e := newEngine(b, flow.Options{Grace: 10 * time.Second})
		posts.On(e, "mail", func(ctx context.Context, ev posted) error {
			select {
			case <-time.After(time.Duration(ev.N) * time.Second):
				h.add("%d done", ev.N)
				return nil
			case <-ctx.Done():
				h.add("%d cut off", ev.N)
				return ctx.Err()
			}
		}, flow.AtOnce(2))
		stop := run(e)
		settle()
		for _, n := range []int{5, 50, 1} {
			publish(t, e, posted{"ada", n})
		}
		settle()
		begun := time.Now()
		require.NoError(t, stop())
		assert.Equal(t, 10*time.Second, time.Since(begun))
		assert.Equal(t, []string{"5 done", "50 cut off"}, h.all())
		listening(t, b, flow.Options{}, func(ctx context.Context, ev posted) error {
			h.add("%d again %d", ev.N, flow.DeliveryFrom(ctx).Attempt)
			return nil
		})
		settle()
		assert.ElementsMatch(t, []string{"50 again 1", "1 again 1"}, h.all()[2:])
	})
}

// Three engines, handlers that fail now and then: the events of a user come in order all the same.
func TestEventsOfAKeyAreHandledInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		byUser := posts.KeyedBy(func(ev posted) string { return ev.User })
		var mu sync.Mutex
		last, calls := map[string]int{}, 0
		for k := range 3 {
			listening(t, b, flow.Options{Name: fmt.Sprint(k)}, func(_ context.Context, ev posted) error {
				mu.Lock()
				defer mu.Unlock()
				calls++
				assert.Contains(t, []int{last[ev.User], last[ev.User] + 1}, ev.N, "of %s", ev.User)
				last[ev.User] = ev.N
				if calls%3 == 0 {
					return errBroken
				}
				return nil
			}, flow.Redeliver(step.Retry{Attempts: 1000}))
		}
		client := newEngine(b, flow.Options{})
		for n := 1; n <= 50; n++ {
			for _, user := range []string{"ada", "bob", "cleo"} {
				require.NoError(t, byUser.Publish(t.Context(), client, posted{user, n}))
			}
		}
		time.Sleep(24 * time.Hour)
		settle()
		assert.Equal(t, map[string]int{"ada": 50, "bob": 50, "cleo": 50}, last)
		assert.Greater(t, calls, 150)
		assert.Zero(t, groupOf(t, client, "mail").Lag)
	})
}

// A handler that starts a saga starts one, however often it is called.
func TestAHandlerStartsASaga(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		thank := flow.New[int]("thank").Then(adds("thank", 1))
		e := newEngine(b, flow.Options{}, thank)
		var ids []string
		posts.On(e, "mail", func(ctx context.Context, ev posted) error {
			d := flow.DeliveryFrom(ctx)
			f, err := thank.Start(ctx, e, ev.N, flow.ID(d.SagaID()))
			if err != nil {
				return err
			}
			ids = append(ids, f.ID())
			if d.Attempt < 3 {
				return errBroken
			}
			return nil
		})
		stop := run(e)
		defer stop()
		settle()
		publish(t, e, posted{"ada", 1}, flow.EventID("shop/1/pay/do"))
		time.Sleep(time.Minute)
		settle()
		require.Len(t, ids, 3)
		assert.Equal(t, ids[0], ids[1])
		assert.Equal(t, 2, done(t, thank.Attach(e, ids[0])))
		assert.Equal(t, 1, stats(t, b).Finished)
	})
}

func TestAStepThatPublishesDoesSoOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var h heard
		lose := true
		tell := flow.New[posted]("tell").Then(posts.Step("announce"))
		e := newEngine(b, flow.Options{Interceptors: []flow.Interceptor{func(ctx context.Context, next func(context.Context) error) error {
			if err := next(ctx); err != nil || !lose {
				return err
			}
			lose = false
			return errBroken // the effect's reply is lost
		}}}, tell)
		posts.On(e, "mail", func(ctx context.Context, ev posted) error {
			d := flow.DeliveryFrom(ctx)
			h.add("%s %s", d.EventID, d.Headers.Get("x"))
			assert.Equal(t, d.Key(), step.InfoFrom(ctx).Key())
			return nil
		})
		stop := run(e)
		defer stop()
		settle()
		assert.Equal(t, posted{"ada", 1}, done(t, start(t, tell, e, posted{"ada", 1}, flow.ID("s1"))))
		settle()
		assert.False(t, lose)
		assert.Equal(t, []string{"skald/s1/announce/do "}, h.all())
		assert.ErrorIs(t, posts.Publish(t.Context(), e, posted{}, flow.Once()), flow.ErrID, "outside of a step")
	})
}

type listenerKey struct{}

// listenerPropagator carries a user's name.
type listenerPropagator struct{}

func (listenerPropagator) Inject(ctx context.Context, h flow.Headers) {
	if user, ok := ctx.Value(listenerKey{}).(string); ok {
		h.Set("user", user)
	}
}

func (listenerPropagator) Extract(ctx context.Context, h flow.Headers) context.Context {
	return context.WithValue(ctx, listenerKey{}, h.Get("user"))
}

func TestContextValuesReachHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		o := flow.Options{Propagators: []flow.Propagator{listenerPropagator{}}}
		var h heard
		other := flow.NewTopic[int]("other")
		e := newEngine(b, o)
		posts.On(e, "mail", func(ctx context.Context, ev posted) error {
			h.add("mail %v", ctx.Value(listenerKey{}))
			return other.Publish(ctx, e, ev.N, flow.Once())
		})
		other.On(e, "stats", func(ctx context.Context, _ int) error {
			h.add("stats %v", ctx.Value(listenerKey{}))
			return nil
		})
		stop := run(e)
		defer stop()
		settle()
		require.NoError(t, posts.Publish(context.WithValue(t.Context(), listenerKey{}, "ada"), e, posted{}))
		settle()
		assert.Equal(t, []string{"mail ada", "stats ada"}, h.all())
	})
}

func TestLateGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		client := newEngine(b, flow.Options{})
		publish(t, client, posted{"ada", 1})
		var h heard
		e := newEngine(b, flow.Options{})
		for group, opts := range map[string][]flow.ListenOption{"all": nil, "new": {flow.FromNow()}} {
			posts.On(e, group, func(_ context.Context, ev posted) error { h.add("%s %d", group, ev.N); return nil }, opts...)
		}
		stop := run(e)
		defer stop()
		settle()
		publish(t, client, posted{"ada", 2})
		settle()
		assert.ElementsMatch(t, []string{"all 1", "all 2", "new 2"}, h.all())
		assert.ErrorIs(t, e.ForgetGroup(t.Context(), "posted", "all"), flow.ErrListening)
		require.NoError(t, stop())
		require.NoError(t, e.ForgetGroup(t.Context(), "posted", "all"))
		groups, err := e.Groups(t.Context(), "posted")
		require.NoError(t, err)
		assert.Len(t, groups, 1)
	})
}

func TestALossIsLoud(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(inmem.OnBus(inmem.NewBus(inmem.KeepEvents(0, 3))))
		first := newEngine(b, flow.Options{})
		posts.On(first, "mail", func(context.Context, posted) error { return nil })
		stop := run(first)
		settle()
		require.NoError(t, stop())
		client := newEngine(b, flow.Options{})
		for n := range 5 {
			publish(t, client, posted{"ada", n})
		}
		var out logs
		var alerts []flow.Alert
		var h heard
		o := flow.Options{Logger: out.logger(), OnAlert: func(_ context.Context, a flow.Alert) { alerts = append(alerts, a) }}
		e := listening(t, b, o, func(_ context.Context, ev posted) error { h.add("%d", ev.N); return nil })
		assert.ElementsMatch(t, []string{"2", "3", "4"}, h.all())
		assert.Equal(t, []flow.Alert{{Kind: flow.AlertLost, Topic: "posted", Group: "mail", Events: 2}}, alerts)
		assert.Contains(t, out.String(), "a group lost events")
		assert.ErrorContains(t, e.Health(t.Context()), `group "mail" of "posted" lost 2 events`)
		assert.EqualValues(t, 2, groupOf(t, e, "mail").Lost)
		time.Sleep(2 * time.Hour)
		assert.NoError(t, e.Health(t.Context()))
	})
}

func TestWhatEventsCarryIsEnciphered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		spy := &spyBus{Broker: b.Broker}
		codec, err := flow.Cipher(flow.JSON(), flow.Key{ID: "one", Secret: bytes.Repeat([]byte{7}, 32)})
		require.NoError(t, err)
		var out logs
		var h heard
		e := listening(t, spy, flow.Options{Codec: codec, Logger: out.logger()}, func(_ context.Context, ev posted) error {
			h.add("%s", ev.User)
			return step.Permanent(errors.New("no"))
		})
		publish(t, e, posted{"secret-user", 1})
		settle()
		assert.Equal(t, []string{"secret-user"}, h.all())
		require.NotEmpty(t, spy.data)
		assert.NotContains(t, string(spy.data), "secret-user")
		assert.NotContains(t, out.String(), "secret-user")
		for d, err := range b.Dead(t.Context(), "posted", "mail") {
			require.NoError(t, err)
			assert.NotContains(t, string(d.Data), "secret-user")
		}
	})
}

// spyBus sees what is published.
type spyBus struct {
	*inmem.Broker
	data []byte
}

func (b *spyBus) Publish(ctx context.Context, events ...broker.Publication) error {
	b.data = append(b.data, events[0].Data...)
	return b.Broker.Publish(ctx, events...)
}

func TestAHandlerThatTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h heard
		stuck := newGate()
		e := listening(t, newBroker(), flow.Options{AbandonAfter: time.Minute}, func(ctx context.Context, _ posted) error {
			d := flow.DeliveryFrom(ctx)
			switch d.Attempt {
			case 1:
				<-ctx.Done()
				h.add("1 %v", ctx.Err())
				return ctx.Err()
			case 2:
				<-stuck.wide // and does not heed its ctx
				h.add("2 returned")
				return nil
			}
			h.add("3")
			return nil
		}, flow.HandlerTimeout(time.Minute))
		publish(t, e, posted{"ada", 1})
		time.Sleep(10 * time.Minute)
		settle()
		assert.Equal(t, []string{"1 context deadline exceeded", "3"}, h.all())
		assert.Zero(t, groupOf(t, e, "mail").Lag)
		stuck.open()
		settle()
		assert.Equal(t, "2 returned", h.all()[2])
	})
}

// Whatever fails on the way to the broker, events are handled, and health says what it is.
func TestReadersGoOnAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := &downBus{Broker: inmem.New(), down: true}
		var h heard
		e := newEngine(down, flow.Options{})
		posts.On(e, "mail", func(_ context.Context, ev posted) error { h.add("%d", ev.N); return nil })
		stop := run(e)
		defer stop()
		time.Sleep(time.Minute)
		assert.ErrorContains(t, e.Health(t.Context()), "subscribing to events: the wire is cut")
		down.set(false)
		time.Sleep(time.Minute)
		require.NoError(t, e.Health(t.Context()))
		publish(t, e, posted{"ada", 1})
		settle()
		down.set(true)
		time.Sleep(2 * time.Second) // what is received now ends
		publish(t, newEngine(down.Broker, flow.Options{}), posted{"ada", 2})
		time.Sleep(time.Minute)
		assert.ErrorContains(t, e.Health(t.Context()), "receiving events: the wire is cut")
		assert.Equal(t, []string{"1"}, h.all())
		down.set(false)
		time.Sleep(time.Minute)
		settle()
		assert.Equal(t, []string{"1", "2"}, h.all())
		assert.NoError(t, e.Health(t.Context()))
	})
}

// downBus is a bus that cannot be reached now and then.
type downBus struct {
	*inmem.Broker
	mu   sync.Mutex
	down bool
}

func (b *downBus) set(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

func (b *downBus) cut() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return errors.New("the wire is cut")
	}
	return nil
}

func (b *downBus) Subscribe(ctx context.Context, s broker.Subscription) (broker.Subscriber, error) {
	if err := b.cut(); err != nil {
		return nil, err
	}
	sub, err := b.Broker.Subscribe(ctx, s)
	return &downSubscriber{sub, b}, err
}

type downSubscriber struct {
	broker.Subscriber
	b *downBus
}

func (s *downSubscriber) Receive(ctx context.Context) ([]broker.Arrival, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := s.b.cut(); err != nil {
		return nil, err
	}
	got, err := s.Subscriber.Receive(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, s.b.cut()
	}
	return got, err
}

func (s *downSubscriber) Settle(ctx context.Context, all ...broker.Settlement) error {
	if err := s.b.cut(); err != nil {
		return err
	}
	return s.Subscriber.Settle(ctx, all...)
}

// Lost replies, repeats and failures change nothing of what is heard.
func TestEventsOverABrokerThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bare := inmem.New()
		b := brokerfault.Wrap(bare, brokerfault.Options{Seed: 7, Odds: brokerfault.Odds{brokerfault.Fail: 0.1, brokerfault.Lose: 0.2, brokerfault.Repeat: 0.2}})
		var mu sync.Mutex
		got := map[int]int{}
		for k := range 2 {
			listening(t, b, flow.Options{Name: fmt.Sprint(k)}, func(_ context.Context, ev posted) error {
				mu.Lock()
				defer mu.Unlock()
				got[ev.N]++
				return nil
			})
		}
		client := newEngine(b, flow.Options{})
		for n := range 200 {
			publish(t, client, posted{"ada", n})
		}
		time.Sleep(time.Hour)
		settle()
		assert.Len(t, got, 200)
		for n, times := range got {
			assert.Equal(t, 1, times, "event %d", n)
		}
	})
}

func TestAnEngineThatOnlyListensEndsWithItsBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		e := newEngine(b, flow.Options{})
		posts.On(e, "mail", func(context.Context, posted) error { return nil })
		stop := run(e)
		settle()
		require.NoError(t, b.Close())
		settle()
		assert.ErrorIs(t, stop(), broker.ErrClosed)
		assert.ErrorIs(t, posts.Publish(t.Context(), e, posted{}), flow.ErrEnded)
	})
}

func TestMistakesWithTopics(t *testing.T) {
	handle := func(context.Context, posted) error { return nil }
	e := newEngine(inmem.New(), flow.Options{})
	posts.On(e, "mail", handle)
	for name, mistake := range map[string]func(){
		`the engine listens to the topic for this group already`: func() { posts.On(e, "mail", handle) },
		`it contains '/'`:                              func() { posts.On(e, "a/b", handle) },
		`the handler is nil`:                           func() { posts.On(e, "x", nil) },
		`HandlerTimeout, AtOnce`:                       func() { posts.On(e, "x", handle, flow.AtOnce(-1)) },
		`make it with flow.NewTopic`:                   func() { flow.Topic[posted]{}.On(e, "x", handle) },
		`it is empty`:                                  func() { flow.NewTopic[posted]("") },
		`has no encoding`:                              func() { flow.NewTopic[chan int]("x") },
		`an Engine that NewEngine did not`:             func() { posts.On(nil, "x", handle) },
		`key is nil`:                                   func() { posts.KeyedBy(nil) },
		`the broker has no bus: it is a flow_test.bus`: func() { posts.On(newEngine(busless{inmem.New()}, flow.Options{}), "x", handle) },
	} {
		func() {
			defer func() { assert.Contains(t, fmt.Sprint(recover()), name) }()
			mistake()
		}()
	}
	bare := newEngine(busless{inmem.New()}, flow.Options{})
	assert.ErrorIs(t, posts.Publish(t.Context(), bare, posted{}), flow.ErrNoBus)
	assert.ErrorIs(t, flow.Topic[posted]{}.Publish(t.Context(), e, posted{}), flow.ErrZero)
	assert.ErrorIs(t, posts.Publish(t.Context(), e, posted{}, flow.EventID("\n")), flow.ErrID)
	assert.ErrorIs(t, posts.Publish(t.Context(), newEngine(inmem.New(), flow.Options{MaxPayload: 10}), posted{User: "very long indeed"}), flow.ErrTooLarge)
}

// busless hides the bus of a broker.
type busless struct{ broker.Broker }
