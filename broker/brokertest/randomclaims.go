package brokertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokerfault"
)

// randomClaims lets workers start, end, cancel and lose sagas that claim a few keys, while calls fail. Of the sagas that were told that they hold
// what they claim no two have a key in common; of those with one key, each gets it before those that were started after it; and when all are ended in the
// order in which they get on, all get on, and nobody holds anything.
func randomClaims(t *testing.T, h Harness) {
	if !h.Virtual {
		h.Lease, h.Slack = 2*h.Lease, 2*h.Slack
	}
	property(t, h.Virtual, func(rt *rapid.T) { operateClaims(t, rt, h) })
}

func operateClaims(t *testing.T, rt *rapid.T, h Harness) {
	m := &claimMachine{sagas: make(map[string]*claimSaga)}
	m.s = newSuite(t, rt, h, Limits{}, brokerfault.Options{
		Seed: rapid.Uint64Min(1).Draw(rt, "seed of the faults"),
		Odds: brokerfault.Odds{brokerfault.Lose: 0.1, brokerfault.Fail: 0.05, brokerfault.Repeat: 0.1},
	})
	m.worker = m.s.worker()
	rt.Repeat(map[string]func(*rapid.T){
		"":            func(*rapid.T) {},
		"start":       m.start,
		"start again": m.start,
		"receive":     func(*rapid.T) { m.receive(m.s.h.Moment / 10) },
		"end":         m.end,
		"cancel":      m.cancel,
		"replace":     m.replace,
	})
	m.drain()
}

// claimMachine does random things to sagas with claims.
type claimMachine struct {
	s       *suite
	worker  broker.Worker
	sagas   map[string]*claimSaga
	started int
}

// claimSaga is what is known of one that was started.
type claimSaga struct {
	id    string
	order int
	keys  []string
	rev   uint64
	owned bool // by the worker, who was told
	holds bool // what it claims
	ended bool
}

func (m *claimMachine) start(rt *rapid.T) {
	m.started++
	keys := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"k1", "k2", "k3", "k4"}), 1, 3, rapid.ID).Draw(rt, "keys")
	slices.Sort(keys)
	start := claiming(fmt.Sprint("saga ", m.started), keys...)
	start.Refuse = rapid.IntRange(0, 3).Draw(rt, "refuse") == 3
	if rapid.Bool().Draw(rt, "by the worker") {
		start.By = m.worker
	}
	started, err := m.s.tryStart(start)
	if start.Refuse && errors.Is(err, broker.ErrLocked) {
		_, err = m.s.tryLookup(start.ID)
		require.ErrorIs(rt, err, broker.ErrUnknown)
		return
	}
	require.NoError(rt, err)
	x := &claimSaga{id: start.ID, order: m.started, keys: keys}
	m.sagas[x.id] = x
	if started.Owned {
		x.owned, x.rev = true, 1
		m.told(x, !started.Waits, started.Mail)
	}
}

// told notes what the worker learned of a saga.
func (m *claimMachine) told(x *claimSaga, holds bool, mail []broker.Event) {
	for _, ev := range mail {
		holds = holds || ev.Kind == broker.Granted
	}
	if !holds || x.holds {
		return
	}
	x.holds = true
	for _, other := range m.sagas {
		if other == x || other.ended {
			continue
		}
		require.False(m.s.t, other.order < x.order && other.keys[0] == x.keys[0], "%q gets on before %q", x.id, other.id)
		common := slices.ContainsFunc(x.keys, func(key string) bool { return slices.Contains(other.keys, key) })
		require.False(m.s.t, common && other.holds, "%q and %q hold %v and %v", x.id, other.id, x.keys, other.keys)
	}
}

func (m *claimMachine) receive(wait time.Duration) {
	ctx, cancel := context.WithTimeout(m.s.ctx, wait)
	defer cancel()
	got, err := insist(func() ([]broker.Delivery, error) { return m.worker.Receive(ctx, 3) })
	if errors.Is(err, context.DeadlineExceeded) {
		return
	}
	require.NoError(m.s.t, err)
	for _, d := range got {
		x := m.sagas[d.ID]
		switch {
		case d.Lost:
			x.owned = false
		case d.Saga == nil:
			m.told(x, false, d.Mail)
		default:
			x.owned, x.rev = true, d.Saga.Rev
			m.told(x, !d.Saga.Waits, d.Saga.Mail)
		}
	}
	m.rest()
}

// rest parks what waits for its keys.
func (m *claimMachine) rest() {
	for _, x := range m.sagas {
		if !x.owned || x.holds || x.ended {
			continue
		}
		ack, err := m.s.tryCommit(m.worker, broker.Transition{ID: x.id, Rev: x.rev, Next: broker.Park})
		require.NoError(m.s.t, err)
		x.rev, x.owned = ack.Rev, ack.Owned
		m.told(x, false, ack.Mail)
	}
}

// some gives a saga that has not ended, or nil.
func (m *claimMachine) some(rt *rapid.T, which func(*claimSaga) bool) *claimSaga {
	var found []*claimSaga
	for _, x := range m.sagas {
		if !x.ended && which(x) {
			found = append(found, x)
		}
	}
	if len(found) == 0 {
		return nil
	}
	slices.SortFunc(found, func(x, y *claimSaga) int { return x.order - y.order })
	return rapid.SampledFrom(found).Draw(rt, "saga")
}

func (m *claimMachine) end(rt *rapid.T) {
	if x := m.some(rt, func(x *claimSaga) bool { return x.owned && x.holds }); x != nil {
		m.finish(x)
	}
}

func (m *claimMachine) finish(x *claimSaga) {
	m.s.finish(m.worker, x.id, x.rev)
	x.ended, x.owned = true, false
}

// cancel ends a saga that the worker owns, whether it holds its keys or not.
func (m *claimMachine) cancel(rt *rapid.T) {
	if x := m.some(rt, func(x *claimSaga) bool { return x.owned }); x != nil {
		m.finish(x)
	}
}

// replace lets another worker take all over: the one before leaves or, seldom, dies.
func (m *claimMachine) replace(rt *rapid.T) {
	old := m.worker
	m.worker = m.s.worker()
	if m.s.h.Virtual || rapid.IntRange(0, 19).Draw(rt, "dies") == 19 {
		m.s.kill(old)
	} else {
		require.NoError(rt, m.s.leave(old))
	}
	for _, x := range m.sagas {
		x.owned = false
	}
}

// drain ends every saga when it holds what it claims.
func (m *claimMachine) drain() {
	m.s.eventually(func() bool {
		open := false
		for _, x := range m.sagas {
			if x.owned && x.holds {
				m.finish(x)
			}
			open = open || !x.ended
		}
		if open {
			m.receive(m.s.h.Moment / 10)
		}
		return !open
	}, "all sagas get on")
	for _, key := range []string{"k1", "k2", "k3", "k4"} {
		m.s.claimed(key)
	}
}
