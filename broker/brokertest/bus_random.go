package brokertest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokerfault"
)

// randomEvents publishes, subscribes, receives, settles, leaves and kills at random, with faults, and compares what comes with a model: an event
// is handed out only if nobody has it, none of its key is open before it, and its group is not done with it; in the end nothing is missing.
func randomEvents(t *testing.T, h BusHarness) {
	property(t, h.Virtual, func(rt *rapid.T) { operateBus(t, rt, h) })
}

func operateBus(t *testing.T, rt *rapid.T, h BusHarness) {
	faults := brokerfault.Options{
		Odds: brokerfault.Odds{brokerfault.Fail: 0.03, brokerfault.Lose: 0.05, brokerfault.Repeat: 0.05},
		Seed: rapid.Uint64Min(1).Draw(rt, "seed of the faults"),
	}
	m := &busMachine{busSuite: newBusSuite(t, rt, h, BusLimits{}, faults), groups: map[string]*busModel{}}
	for _, g := range []string{"a", "b"} {
		m.groups[g] = &busModel{has: map[string]*modelSubscriber{}, done: map[string]bool{}, dead: map[string]bool{}}
		m.subscribe(g)
	}
	rt.Repeat(map[string]func(*rapid.T){
		"publish": m.publishSome,
		"receive": m.receiveSome,
		"settle":  m.settleSome,
		"join":    func(rt *rapid.T) { m.subscribe(rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "group")) },
		"leave":   m.leaveSome,
		"kill":    m.killSome,
		"relive":  m.reliveSome,
	})
	m.finish()
}

type busMachine struct {
	*busSuite
	events []broker.Publication
	groups map[string]*busModel
	subs   []*modelSubscriber
}

// busModel is what a group ought to know.
type busModel struct {
	has     map[string]*modelSubscriber // by event
	done    map[string]bool             // or dead
	dead    map[string]bool
	relived map[string]bool // their order is another
}

type modelSubscriber struct {
	broker.Subscriber
	group  string
	holds  []broker.Arrival
	killed bool
	lapses time.Time // of a killed one: nothing is taken over before
}

func (m *busMachine) subscribe(group string) {
	if len(m.subs) >= 6 {
		return
	}
	sub := m.join("sub", broker.Read{Topic: "news", Group: group, Room: 3})
	m.subs = append(m.subs, &modelSubscriber{Subscriber: sub, group: group})
}

func (m *busMachine) publishSome(rt *rapid.T) {
	ev := news("news", fmt.Sprintf("e%03d", len(m.events)), rapid.SampledFrom([]string{"", "x", "y"}).Draw(rt, "key"))
	m.events = append(m.events, ev)
	m.publish(ev)
	if rapid.Bool().Draw(rt, "again") {
		m.publish(ev)
	}
}

func (m *busMachine) living(rt *rapid.T) *modelSubscriber {
	living := slices.DeleteFunc(slices.Clone(m.subs), func(s *modelSubscriber) bool { return s.killed })
	if len(living) == 0 {
		rt.Skip("nobody lives")
	}
	return rapid.SampledFrom(living).Draw(rt, "subscriber")
}

func (m *busMachine) receiveSome(rt *rapid.T) { m.hear(m.living(rt)) }

// hear takes what comes within a moment.
func (m *busMachine) hear(sub *modelSubscriber) {
	ctx, cancel := context.WithTimeout(m.ctx, m.h.Moment)
	defer cancel()
	got, err := insist(func() ([]broker.Arrival, error) { return sub.Receive(ctx) })
	if err != nil {
		require.ErrorIs(m.t, err, context.DeadlineExceeded)
		return
	}
	for _, a := range got {
		m.arrives(sub, a)
	}
	require.LessOrEqual(m.t, len(sub.holds), 3, "more than there is room for")
}

// arrives compares an arrival with the model.
func (m *busMachine) arrives(sub *modelSubscriber, a broker.Arrival) {
	g := m.groups[sub.group]
	require.Zero(m.t, a.Lost)
	require.False(m.t, g.done[a.ID], "%s was done", a.ID)
	if had := g.has[a.ID]; had != nil {
		require.True(m.t, had.killed && !time.Now().Before(had.lapses), "%s is handed out while another has it", a.ID)
		had.holds = slices.DeleteFunc(had.holds, func(x broker.Arrival) bool { return x.ID == a.ID })
	}
	if a.Key != "" && !g.relived[a.ID] {
		for _, before := range m.events {
			if before.ID == a.ID {
				break
			}
			require.False(m.t, before.Key == a.Key && !g.done[before.ID] && !g.relived[before.ID], "%s came before %s", a.ID, before.ID)
		}
	}
	g.has[a.ID] = sub
	sub.holds = append(sub.holds, a)
}

func (m *busMachine) settleSome(rt *rapid.T) {
	sub := m.living(rt)
	if len(sub.holds) == 0 {
		rt.Skip("it has nothing")
	}
	a := rapid.SampledFrom(sub.holds).Draw(rt, "event")
	fate := rapid.SampledFrom([]broker.Fate{broker.Done, broker.Again, broker.Later, broker.Return, broker.Dead}).Draw(rt, "fate")
	m.settled(sub, a, fate)
}

func (m *busMachine) settled(sub *modelSubscriber, a broker.Arrival, fate broker.Fate) {
	require.NoError(m.t, m.trySettle(sub, fate, m.h.Moment/2, a))
	g := m.groups[sub.group]
	sub.holds = slices.DeleteFunc(sub.holds, func(x broker.Arrival) bool { return x.ID == a.ID })
	delete(g.has, a.ID)
	if fate == broker.Done || fate == broker.Dead {
		g.done[a.ID] = true
		g.dead[a.ID] = fate == broker.Dead
	}
}

func (m *busMachine) leaveSome(rt *rapid.T) {
	sub := m.living(rt)
	require.NoError(m.t, m.leave(sub))
	m.gone(sub)
}

// gone forgets a subscriber that left.
func (m *busMachine) gone(sub *modelSubscriber) {
	m.subs = slices.DeleteFunc(m.subs, func(s *modelSubscriber) bool { return s == sub })
	for _, a := range sub.holds {
		delete(m.groups[sub.group].has, a.ID)
	}
}

func (m *busMachine) killSome(rt *rapid.T) {
	sub := m.living(rt)
	m.own(sub.Subscriber)
	sub.killed, sub.lapses = true, time.Now().Add(m.h.Lease-m.h.Slack)
	m.subs = slices.DeleteFunc(m.subs, func(s *modelSubscriber) bool { return s == sub })
}

func (m *busMachine) reliveSome(*rapid.T) {
	for name, g := range m.groups {
		for _, d := range m.dead(name) {
			m.decided(func() error { return m.b.Relive(m.ctx, "news", name, d.Ref) })
			if g.relived == nil {
				g.relived = map[string]bool{}
			}
			g.relived[d.ID] = true
			delete(g.done, d.ID)
			delete(g.dead, d.ID)
		}
	}
}

// finish has everything handled that is left.
func (m *busMachine) finish() {
	m.reliveSome(nil)
	for name, g := range m.groups {
		for _, s := range slices.Clone(m.subs) {
			if s.group == name {
				require.NoError(m.t, m.leave(s))
				m.gone(s)
			}
		}
		m.subscribe(name)
		last := m.subs[len(m.subs)-1]
		for begun := time.Now(); len(g.done) < len(m.events); {
			require.Less(m.t, time.Since(begun), m.h.Patience, "%d of %d events were handled", len(g.done), len(m.events))
			m.hear(last)
			for _, a := range slices.Clone(last.holds) {
				m.settled(last, a, broker.Done)
			}
		}
		require.NoError(m.t, m.leave(last))
		m.gone(last)
		left := m.group(name)
		assert.Zero(m.t, left.Unread+uint64(left.Open))
		assert.Zero(m.t, left.Lost)
	}
}
