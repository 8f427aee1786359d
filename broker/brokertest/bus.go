package brokertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokerfault"
)

// BusHarness is what RunBus needs to know of a bus. Fields without a comment are as in Harness.
type BusHarness struct {
	// New makes a broker with an empty bus. The suite closes it.
	New func(t *testing.T, l BusLimits) broker.Broker

	// Kill ends the signs of life of s, a subscriber of b, as if its process had died without a word.
	Kill func(t *testing.T, b broker.Broker, s broker.Subscriber)

	// Spread says that the bounds of a topic hold in each of several parts. The suite leaves the cases of bounds out then.
	Spread bool

	Virtual                        bool
	Lease, Slack, Patience, Moment time.Duration
}

// BusLimits are options of a bus that some cases need. Zero fields are the defaults.
type BusLimits struct {
	Age    time.Duration // how long events are kept at most
	Most   int           // how many of a topic are kept at most
	Memory time.Duration // for how long an ID is known at least; twice that time later it is not known any more
}

// RunBus proves that a broker keeps the contract of broker.Bus, as Run does for broker.Broker: cases, each plainly, with lost replies and with calls that are
// sent twice, and a property test of random operations that looks after the order of keys, losses and repeats.
func RunBus(t *testing.T, h BusHarness) {
	h.Lease = cmp.Or(h.Lease, 10*time.Second)
	h.Patience = cmp.Or(h.Patience, 10*h.Lease)
	h.Moment = cmp.Or(h.Moment, 50*time.Millisecond)
	running := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, running) })
	for _, c := range slices.Concat(busPublishCases(), busOrderCases(), busSettleCases(), busMemberCases(), busKeepCases(), ledgerCases()) {
		if h.Spread && c.limits != (BusLimits{}) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			h.harness().parallel(t)
			for _, m := range modes() {
				t.Run(m.name, func(t *testing.T) { c.in(t, h, m) })
			}
		})
	}
	t.Run("random operations", func(t *testing.T) { h.harness().parallel(t); randomEvents(t, h) })
}

func (h BusHarness) harness() Harness { return Harness{Virtual: h.Virtual} }

// busCase is one thing that a bus must do.
type busCase struct {
	name   string
	run    func(*busSuite)
	limits BusLimits
}

func (c busCase) in(t *testing.T, h BusHarness, m mode) {
	h.harness().bubble(t, func(t *testing.T) {
		c.run(newBusSuite(t, t, h, c.limits, brokerfault.Options{Rules: m.rules}))
	})
}

// busSuite is one case that runs.
type busSuite struct {
	t   tester
	ctx context.Context
	h   BusHarness
	b   *brokerfault.Broker
	own func(broker.Subscriber) // kills
}

func newBusSuite(test *testing.T, current tester, h BusHarness, l BusLimits, faults brokerfault.Options) *busSuite {
	bare := h.New(test, l)
	current.Cleanup(func() { require.NoError(test, bare.Close()) })
	return &busSuite{
		t: current, ctx: current.Context(), h: h, b: brokerfault.Wrap(bare, faults),
		own: func(s broker.Subscriber) { h.Kill(test, bare, brokerfault.UnwrapSubscriber(s)) },
	}
}

// news is an event with everything in it.
func news(topic, id, key string) broker.Publication {
	return broker.Publication{Topic: topic, ID: id, Key: key, Data: []byte("data of " + id)}
}

func (s *busSuite) publish(events ...broker.Publication) {
	s.t.Helper()
	require.NoError(s.t, insisted(func() error { return s.b.Publish(s.ctx, events...) }))
}

// publishAll publishes events without a key.
func (s *busSuite) publishAll(topic string, ids ...string) {
	s.t.Helper()
	for _, id := range ids {
		s.publish(news(topic, id, ""))
	}
}

// publishKeyed publishes events "key1", "key2" …, one after the other.
func (s *busSuite) publishKeyed(topic, key string, from, to int) {
	s.t.Helper()
	for n := from; n <= to; n++ {
		s.publish(news(topic, fmt.Sprint(key, n), key))
	}
}

func (s *busSuite) trySubscribe(sub broker.Subscription) (broker.Subscriber, error) {
	sub.Lease = cmp.Or(sub.Lease, s.h.Lease)
	return insist(func() (broker.Subscriber, error) { return s.b.Subscribe(s.ctx, sub) })
}

func (s *busSuite) join(name string, reads ...broker.Read) broker.Subscriber {
	s.t.Helper()
	sub, err := s.trySubscribe(broker.Subscription{Name: name, Reads: reads})
	require.NoError(s.t, err)
	return sub
}

// reads is a group of the topic "news" with room.
func reads(group string) broker.Read { return broker.Read{Topic: "news", Group: group, Room: 100} }

// receive waits for at least one arrival.
func (s *busSuite) receive(sub broker.Subscriber) []broker.Arrival {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, s.h.Patience)
	defer cancel()
	got, err := insist(func() ([]broker.Arrival, error) { return sub.Receive(ctx) })
	require.NoError(s.t, err)
	require.NotEmpty(s.t, got)
	return got
}

// take waits for n events, and fails if there are more.
func (s *busSuite) take(sub broker.Subscriber, n int) []broker.Arrival {
	s.t.Helper()
	var all []broker.Arrival
	for len(all) < n {
		all = append(all, s.receive(sub)...)
	}
	require.Len(s.t, all, n, "%v", idsOf(all))
	for _, a := range all {
		require.Zero(s.t, a.Lost)
	}
	return all
}

// nothing checks that sub gets nothing for a moment.
func (s *busSuite) nothing(sub broker.Subscriber) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, s.h.Moment)
	defer cancel()
	got, err := insist(func() ([]broker.Arrival, error) { return sub.Receive(ctx) })
	require.ErrorIs(s.t, err, context.DeadlineExceeded, "%v was handed out", idsOf(got))
}

func (s *busSuite) trySettle(sub broker.Subscriber, fate broker.Fate, after time.Duration, events ...broker.Arrival) error {
	var all []broker.Settlement
	for _, a := range events {
		all = append(all, broker.Settlement{Topic: a.Topic, Group: a.Group, Ref: a.Ref, Fate: fate, After: after, Reason: []byte("why " + a.ID)})
	}
	return insisted(func() error { return sub.Settle(s.ctx, all...) })
}

func (s *busSuite) settle(sub broker.Subscriber, fate broker.Fate, events ...broker.Arrival) {
	s.t.Helper()
	require.NoError(s.t, s.trySettle(sub, fate, 0, events...))
}

func (s *busSuite) leave(sub broker.Subscriber) error {
	return insisted(func() error { return sub.Leave(s.ctx) })
}

func (s *busSuite) group(name string) (none broker.Group) {
	s.t.Helper()
	groups, err := insist(func() ([]broker.Group, error) { return s.b.Groups(s.ctx, "news") })
	require.NoError(s.t, err)
	for _, g := range groups {
		if g.Name == name {
			return g
		}
	}
	return none
}

// dead lists the dead events of a group.
func (s *busSuite) dead(group string) (all []broker.DeadEvent) {
	s.t.Helper()
	err := insisted(func() error {
		all = nil
		for d, err := range s.b.Dead(s.ctx, "news", group) {
			if err != nil {
				return err
			}
			all = append(all, d)
		}
		return nil
	})
	require.NoError(s.t, err)
	return all
}

// decided repeats a decision. What a lost reply applied is answered with ErrNoEvent.
func (s *busSuite) decided(do func() error) {
	s.t.Helper()
	lost := false
	for {
		err := do()
		switch {
		case errors.Is(err, brokerfault.ErrInjected):
			lost = true
		case lost && errors.Is(err, broker.ErrNoEvent):
			return
		default:
			require.NoError(s.t, err)
			return
		}
	}
}

func (s *busSuite) elapse(d time.Duration) {
	(&suite{h: s.h.harness()}).elapse(d)
}

func idsOf(arrivals []broker.Arrival) (ids []string) {
	for _, a := range arrivals {
		ids = append(ids, a.ID)
	}
	return ids
}
