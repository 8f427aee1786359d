package flow_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokerfault"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// dead is a flow that becomes a dead letter because two undos give up, until it is repaired.
func dead(repaired *atomic.Bool) flow.Flow[int, int] {
	release := func(context.Context, step.Effect[int, int]) error {
		if repaired.Load() {
			return nil
		}
		return step.GiveUp(errBroken)
	}
	return flow.New[int]("dead").
		Then(adds("a", 1).Compensate(release)).
		Then(adds("b", 1).Compensate(release)).
		Then(adds("kept", 1)).
		Then(fails("no", step.Refused(errDeclined)))
}

var ada = flow.By{Who: "ada", Why: "stock is up again"}

func TestDecisionsAboutDeadLetters(t *testing.T) {
	for name, tt := range map[string]struct {
		decide    func(ctx context.Context, e *flow.Engine, f flow.Flow[int, int]) error
		repaired  bool
		state     flow.State // afterwards
		decisions []flow.Decision
		check     func(t *testing.T, out int, err error)
	}{
		"relay": {
			decide:    func(ctx context.Context, e *flow.Engine, _ flow.Flow[int, int]) error { return e.Relay(ctx, "s", ada) },
			repaired:  true,
			state:     flow.StateUndone,
			decisions: []flow.Decision{{Kind: "relay", By: ada}},
			check: func(t *testing.T, _ int, err error) {
				require.ErrorIs(t, err, errDeclined)
				require.Equal(t, []flow.Undo{{Step: "b"}, {Step: "a"}}, err.(*flow.Error).Undone)
				require.Equal(t, []string{"kept"}, err.(*flow.Error).Kept)
			},
		},
		"relay in vain": {
			decide:    func(ctx context.Context, e *flow.Engine, _ flow.Flow[int, int]) error { return e.Relay(ctx, "s", ada) },
			state:     flow.StateDeadLetter,
			decisions: []flow.Decision{{Kind: "relay", By: ada}},
		},
		"skip one": {
			decide: func(ctx context.Context, e *flow.Engine, _ flow.Flow[int, int]) error {
				return e.Skip(ctx, "s", "a", ada)
			},
			state:     flow.StateDeadLetter,
			decisions: []flow.Decision{{Kind: "skip", Path: "a", By: ada}},
		},
		"skip both": {
			decide: func(ctx context.Context, e *flow.Engine, _ flow.Flow[int, int]) error {
				if err := e.Skip(ctx, "s", "a", ada); err != nil {
					return err
				}
				settle()
				return e.Skip(ctx, "s", "b", flow.By{Who: "bob"})
			},
			state:     flow.StateUndone,
			decisions: []flow.Decision{{Kind: "skip", Path: "a", By: ada}, {Kind: "skip", Path: "b", By: flow.By{Who: "bob"}}},
			check: func(t *testing.T, _ int, err error) {
				require.ElementsMatch(t, []flow.Undo{{Step: "a", ByHand: true}, {Step: "b", ByHand: true}}, err.(*flow.Error).Undone)
				require.Equal(t, []string{"a", "b", "kept"}, err.(*flow.Error).Kept)
			},
		},
		"settle as failed": {
			decide: func(ctx context.Context, e *flow.Engine, _ flow.Flow[int, int]) error {
				return e.SettleFailed(ctx, "s", errBroken, ada)
			},
			state:     flow.StateUndone,
			decisions: []flow.Decision{{Kind: "settle", By: ada}},
			check: func(t *testing.T, _ int, err error) {
				require.ErrorIs(t, err, errDeclined)
				require.ErrorIs(t, err, errBroken)
			},
		},
		"settle without a cause": {
			decide: func(ctx context.Context, e *flow.Engine, _ flow.Flow[int, int]) error {
				return e.SettleFailed(ctx, "s", nil, ada)
			},
			state:     flow.StateUndone,
			decisions: []flow.Decision{{Kind: "settle", By: ada}},
			check: func(t *testing.T, _ int, err error) {
				require.ErrorContains(t, errors.Join(err.(*flow.Error).Also...), "settled by hand")
			},
		},
		"settle as done": {
			decide: func(ctx context.Context, e *flow.Engine, f flow.Flow[int, int]) error {
				return f.SettleDone(ctx, e, "s", 77, ada)
			},
			state:     flow.StateDone,
			decisions: []flow.Decision{{Kind: "settle", By: ada}},
			check: func(t *testing.T, out int, err error) {
				require.NoError(t, err)
				require.Equal(t, 77, out)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logs
				var repaired atomic.Bool
				b := newBroker()
				f := dead(&repaired)
				e := running(t, b, flow.Options{Logger: log.logger()}, f)
				future := start(t, f, e, 1, flow.ID("s"))
				require.Equal(t, flow.StateDeadLetter, failed(t, future).State)
				repaired.Store(tt.repaired)
				time.Sleep(time.Hour)
				when := time.Now()
				require.NoError(t, tt.decide(t.Context(), e, f))
				out, err := await(t, future)
				settle()

				snap, snapErr := e.Snapshot(t.Context(), "s")
				require.NoError(t, snapErr)
				require.Equal(t, tt.state, snap.State)
				for i := range snap.Decisions {
					require.WithinDuration(t, when, snap.Decisions[i].At, time.Second)
					snap.Decisions[i].At = time.Time{}
				}
				require.Equal(t, tt.decisions, snap.Decisions)
				require.Contains(t, log.String(), "a person decided about a dead letter")
				require.Contains(t, log.String(), "who=ada")
				if tt.check != nil {
					tt.check(t, out, err)
				}
			})
		})
	}
}

func TestDecisionsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var repaired atomic.Bool
		b, g := newBroker(), newGate()
		f, held := dead(&repaired), flow.New[int]("held").Then(g.at("held"))
		defer g.open()
		e := running(t, b, flow.Options{MaxPayload: 100}, f, held)
		start(t, f, e, 1, flow.ID("s"))
		start(t, held, e, 1, flow.ID("running"))
		settle()
		ctx := within(t, time.Minute)
		text := flow.New[string]("held")
		for name, tt := range map[string]struct {
			decide func() error
			is     error
			says   string
		}{
			"unknown":  {func() error { return e.Relay(ctx, "nobody", ada) }, flow.ErrUnknown, `flow: relay saga "nobody": flow: no such saga`},
			"running":  {func() error { return e.Relay(ctx, "running", ada) }, flow.ErrNotDead, `flow: relay saga "running": it is owned: flow: the saga is not a dead letter`},
			"nobody":   {func() error { return e.Relay(ctx, "s", flow.By{}) }, nil, `flow: relay saga "s": By.Who is empty: say who decides`},
			"long why": {func() error { return e.Relay(ctx, "s", flow.By{Who: "ada", Why: strings.Repeat("x", 5000)}) }, flow.ErrTooLarge, `more than 4096 bytes`},
			"path": {func() error { return e.Skip(ctx, "s", "kept", ada) }, flow.ErrNotDead,
				`flow: skip kept of saga "s": no undo failed for good at that path, but at [a, b]: flow: the saga is not a dead letter`},
			"another flow": {func() error { return held.SettleDone(ctx, e, "s", 1, ada) }, flow.ErrConflict, `it is a saga of "dead", not of "held"`},
			"too large":    {func() error { return text.SettleDone(ctx, e, "s", strings.Repeat("x", 200), ada) }, flow.ErrTooLarge, `the output has 202 bytes`},
			"not encodable": {func() error { return flow.New[failing]("f").SettleDone(ctx, e, "s", failing{}, ada) }, flow.ErrPayload,
				`flow: settle saga "s": flow: payload: encode a flow_test.failing`},
			"zero flow":   {func() error { return flow.Flow[int, int]{}.SettleDone(ctx, e, "s", 1, ada) }, flow.ErrZero, `flow: settle saga "s"`},
			"nil engine":  {func() error { return held.SettleDone(ctx, nil, "s", 1, ada) }, flow.ErrZero, `flow: settle saga "s"`},
			"zero engine": {func() error { return new(flow.Engine).Relay(ctx, "s", ada) }, flow.ErrZero, `flow: relay saga "s"`},
		} {
			err := tt.decide()
			require.Error(t, err, name)
			if tt.is != nil {
				require.ErrorIs(t, err, tt.is, name)
			}
			require.ErrorContains(t, err, tt.says, name)
		}
		require.Equal(t, broker.Buried, stateOf(t, b, "s"), "nothing was decided")
		require.Empty(t, must(e.Snapshot(ctx, "s")).Decisions)
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// An engine that does not know the flow cannot look; the saga itself refuses then.
func TestASkipInVainLeavesADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var repaired atomic.Bool
		b := newBroker()
		f := dead(&repaired)
		e := running(t, b, flow.Options{}, f)
		future := start(t, f, e, 1, flow.ID("s"))
		settle()
		require.NoError(t, newEngine(b, flow.Options{}).Skip(t.Context(), "s", "kept", ada))
		settle()
		err := failed(t, future)
		require.Equal(t, flow.StateDeadLetter, err.State)
		require.ErrorIs(t, err, errDeclined)
		require.ErrorContains(t, errors.Join(append(err.Also, err.Cause)...), `a skip names no undo that failed for good: "kept"`)
		repaired.Store(true)
		require.NoError(t, e.Relay(t.Context(), "s", ada))
		require.Equal(t, flow.StateUndone, failed(t, future).State)
	})
}

func TestOneOfManyDecisionsWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var repaired atomic.Bool
		repaired.Store(false)
		b := newBroker()
		f := dead(&repaired)
		e := running(t, b, flow.Options{}, f)
		start(t, f, e, 1, flow.ID("s"))
		settle()
		repaired.Store(true)
		var won atomic.Int64
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				var err error
				switch i % 3 {
				case 0:
					err = e.Relay(t.Context(), "s", ada)
				case 1:
					err = e.SettleFailed(t.Context(), "s", nil, ada)
				default:
					err = f.SettleDone(t.Context(), e, "s", 1, ada)
				}
				if err == nil {
					won.Add(1)
					return
				}
				assert.ErrorIs(t, err, flow.ErrNotDead)
			})
		}
		all.Wait()
		require.EqualValues(t, 1, won.Load())
		settle()
		require.Len(t, must(e.Snapshot(t.Context(), "s")).Decisions, 1)
	})
}

func TestADecisionIsRepeatedUntilTheBrokerAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokerfault.Wrap(newBroker(), brokerfault.Options{Rules: []brokerfault.Rule{
			{Method: brokerfault.Resolve, Try: 1, Fault: brokerfault.Lose}, {Method: brokerfault.Lookup, Try: 1, Fault: brokerfault.Fail},
		}})
		var repaired atomic.Bool
		f := dead(&repaired)
		e := running(t, b, flow.Options{}, f)
		future := start(t, f, e, 1, flow.ID("s"))
		require.Equal(t, flow.StateDeadLetter, failed(t, future).State)
		repaired.Store(true)
		require.NoError(t, e.Relay(t.Context(), "s", ada))
		settle()
		require.Equal(t, flow.StateUndone, failed(t, f.Attach(newEngine(b, flow.Options{}), "s")).State)
	})
}

func TestSnapshotsTellHowSagasStand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g := newBroker(), newGate()
		f := flow.New[int]("f").
			Then(adds("a", 1).Compensate(func(ctx context.Context, _ step.Effect[int, int]) error { return g.pass(ctx) }).Timeout(time.Hour)).
			Then(fails("b", errBroken).Retry(step.Retry{Attempts: 2, Delay: time.Hour, MaxDelay: time.Hour}))
		e := running(t, b, flow.Options{Name: "shop-1"}, f)
		began := time.Now()
		future := start(t, f, e, 1, flow.ID("s"), flow.WithHeaders(flow.Headers{"user": "u1"}))
		settle()
		snap := must(e.Snapshot(t.Context(), "s"))
		require.WithinDuration(t, began, snap.Started, time.Second)
		require.False(t, snap.Wake.IsZero())
		require.Equal(t, flow.Headers{"user": "u1"}, snap.Headers)
		require.Equal(t, flow.StateRunning, snap.State)
		require.Equal(t, 1, snap.Version)
		require.NoError(t, snap.Err)
		require.Equal(t, "step", snap.Steps[0].Kind)
		require.Equal(t, flow.StepStatus{Path: "a", Kind: "step", State: "done", Attempts: 1}, snap.Steps[0])
		tried := snap.Steps[1]
		require.ErrorIs(t, tried.Err, errBroken)
		require.Equal(t, snap.Wake, tried.Next)
		require.Equal(t, 1, tried.Attempts)
		require.Equal(t, "open", tried.State)

		time.Sleep(time.Hour)
		snap = must(e.Snapshot(t.Context(), "s"))
		require.Equal(t, flow.StateCompensating, snap.State)
		require.Equal(t, "shop-1", snap.Owner)
		require.ErrorIs(t, snap.Err, errBroken)
		require.Equal(t, "undoing", snap.Steps[0].State)
		require.Empty(t, must(newEngine(b, flow.Options{}).Snapshot(t.Context(), "s")).Steps, "an engine that does not serve the flow cannot tell")
		g.open()
		failed(t, future)
		snap = must(e.Snapshot(t.Context(), "s"))
		require.Equal(t, flow.StateUndone, snap.State)
		require.ErrorIs(t, snap.Err, errBroken)
		require.Empty(t, snap.Owner)

		_, err := e.Snapshot(t.Context(), "nobody")
		require.EqualError(t, err, `flow: snapshot of saga "nobody": flow: no such saga (inmem: look up "nobody": no such saga)`)
		_, err = new(flow.Engine).Snapshot(t.Context(), "s")
		require.ErrorIs(t, err, flow.ErrZero)
	})
}

func TestListSelects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var repaired atomic.Bool
		b, g := newBroker(), newGate()
		defer g.open()
		ok, no, held, lost := flow.New[int]("ok").Then(adds("a", 1)), flow.New[int]("no").Then(fails("a", errDeclined)), flow.New[int]("held").Then(g.at("a")), dead(&repaired)
		rest := flow.New[int]("rest").Delay("rest", func(int) time.Duration { return time.Hour })
		e := running(t, b, flow.Options{}, ok, no, held, lost, rest)
		start(t, ok, e, 1, flow.ID("a-ok"))
		start(t, no, e, 1, flow.ID("b-no"))
		start(t, held, e, 1, flow.ID("c-held"))
		start(t, lost, e, 1, flow.ID("d-dead"))
		start(t, rest, e, 1, flow.ID("e-rest"))
		start(t, flow.New[int]("elsewhere"), e, 1, flow.ID("f-stranded"))
		settle()
		list := func(f flow.Filter) (ids string) {
			for snap, err := range e.List(t.Context(), f) {
				require.NoError(t, err)
				ids += snap.SagaID + " "
				if snap.State == flow.StateDeadLetter || snap.State == flow.StateUndone {
					require.ErrorIs(t, snap.Err, errDeclined)
				}
				require.Equal(t, snap.SagaID == "f-stranded", snap.Stranded)
			}
			return ids
		}
		require.Equal(t, "a-ok b-no c-held d-dead e-rest f-stranded ", list(flow.Filter{}))
		require.Equal(t, "a-ok ", list(flow.Filter{State: flow.StateDone}))
		require.Equal(t, "b-no ", list(flow.Filter{State: flow.StateUndone}))
		require.Equal(t, "d-dead ", list(flow.Filter{State: flow.StateDeadLetter}))
		require.Equal(t, "c-held e-rest f-stranded ", list(flow.Filter{State: flow.StateRunning}))
		require.Equal(t, "c-held e-rest f-stranded ", list(flow.Filter{State: flow.StateCompensating}))
		require.Equal(t, "c-held ", list(flow.Filter{Flow: "held"}))
		require.Equal(t, "e-rest f-stranded ", list(flow.Filter{After: "d-dead"}))
		for range e.List(t.Context(), flow.Filter{}) {
			break // nothing goes on after it
		}
		for _, err := range new(flow.Engine).List(t.Context(), flow.Filter{}) {
			require.ErrorIs(t, err, flow.ErrZero)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for _, err := range e.List(ended, flow.Filter{}) {
			require.ErrorIs(t, err, context.Canceled)
		}
	})
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults := &switchedBroker{fakeBroker: newBroker()}
		f := flow.New[int]("f").Then(adds("a", 1))
		e := newEngine(faults, flow.Options{Name: "e"}, f)
		require.NoError(t, e.Health(t.Context()), "before it runs")
		stop := run(e)
		settle()
		require.NoError(t, e.Health(t.Context()))
		start(t, flow.New[int]("elsewhere"), e, 1)
		require.ErrorContains(t, e.Health(t.Context()), "flow: no living worker takes 1 sagas: serve their flow and version, or see List")

		faults.down.Store(true)
		err := e.Health(t.Context())
		require.ErrorContains(t, err, "flow: asking the broker: outage")
		faults.kill("e")
		time.Sleep(time.Second)
		err = e.Health(t.Context())
		require.ErrorContains(t, err, "flow: joining the broker: outage")
		faults.down.Store(false)
		time.Sleep(2 * time.Second)
		require.NotContains(t, e.Health(t.Context()).Error(), "outage", "it recovers by itself")
		require.NoError(t, stop())
		require.ErrorIs(t, e.Health(t.Context()), flow.ErrEnded)
		require.ErrorIs(t, new(flow.Engine).Health(t.Context()), flow.ErrZero)
	})
}

// switchedBroker has an outage while it is down.
type switchedBroker struct {
	*fakeBroker
	down atomic.Bool
}

var errOutage = errors.New("outage")

func (b *switchedBroker) Stats(ctx context.Context) (broker.Stats, error) {
	if b.down.Load() {
		return broker.Stats{}, errOutage
	}
	return b.fakeBroker.Stats(ctx)
}

func (b *switchedBroker) Join(ctx context.Context, m broker.Member) (broker.Worker, error) {
	if b.down.Load() {
		return nil, errOutage
	}
	return b.fakeBroker.Join(ctx, m)
}
