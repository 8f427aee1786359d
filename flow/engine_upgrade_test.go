package flow_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

func restUntilTomorrow(int) time.Duration { return 24 * time.Hour }

// A saga whose record does not fit a definition is left to another, and people can see that.
func TestASagaOfAnotherShapeIsLeftUntilSomebodyFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logs
		b := newBroker()
		before := flow.New[int]("f").Then(adds("a", 1)).Delay("rest", restUntilTomorrow).Then(adds("b", 1))
		renamed := flow.New[int]("f").Then(adds("other", 1)).Delay("rest", restUntilTomorrow).Then(adds("b", 1))
		added := flow.New[int]("f").Then(adds("a", 1)).Delay("rest", restUntilTomorrow).Then(adds("b", 1)).Then(adds("c", 100))

		e := newEngine(b, flow.Options{}, before)
		stop := run(e)
		settle()
		start(t, before, e, 1, flow.ID("s"))
		settle()
		require.NoError(t, stop())

		wrong := newEngine(b, flow.Options{Logger: log.logger()}, renamed)
		stop = run(wrong)
		time.Sleep(25 * time.Hour)
		future := renamed.Attach(wrong, "s")
		_, err := future.Await(within(t, time.Second))
		require.ErrorContains(t, err, "its state cannot be read")
		require.ErrorContains(t, err, `"a"`)
		require.IsType(t, &flow.RunningError{}, err)
		snap := must(wrong.Snapshot(t.Context(), "s"))
		require.True(t, snap.Stranded)
		require.ErrorContains(t, snap.Err, `the record says "a" is done`)
		for listed, err := range wrong.List(t.Context(), flow.Filter{}) {
			require.NoError(t, err)
			require.True(t, listed.Stranded)
		}
		require.ErrorContains(t, wrong.Health(t.Context()), "no living worker takes 1 sagas")
		require.Contains(t, log.String(), "this build cannot go on with a saga, leaving it to another")
		require.Equal(t, 2, done(t, start(t, renamed, wrong, 0)), "new sagas run as before")
		require.NoError(t, stop())

		right := running(t, b, flow.Options{}, added)
		require.Equal(t, 103, done(t, added.Attach(right, "s")), "added steps go on")
		require.NoError(t, right.Health(t.Context()))
	})
}

func TestVersionsAreServedSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		one := flow.New[int]("f").Map(func(n int) int { return n + 1 }).Delay("rest", restUntilTomorrow).Then(adds("a", 10))
		two := flow.New[int]("f").Map(func(n int) int { return n + 2 }).Delay("rest", restUntilTomorrow).Then(adds("a", 20)).Version(2)
		e := running(t, b, flow.Options{DecodeAll: true}, one, two)
		old, young := start(t, one, e, 100), start(t, two, e, 100)
		require.Equal(t, 111, done(t, old))
		require.Equal(t, 122, done(t, young))
		require.Equal(t, 2, must(e.Snapshot(t.Context(), young.ID())).Version)

		three := one.Version(3)
		lonely := start(t, three, e, 1)
		settle()
		require.True(t, must(e.Snapshot(t.Context(), lonely.ID())).Stranded)
		running(t, b, flow.Options{}, three)
		require.Equal(t, 12, done(t, lonely))
	})
}

// rawStart puts something into the broker that no engine of today has written.
func rawStart(t *testing.T, b broker.Broker, id, flow string, record []byte) {
	t.Helper()
	_, err := b.Start(t.Context(), broker.Start{ID: id, Served: broker.Served{Flow: flow, Version: 1}, Record: record})
	require.NoError(t, err)
}

func TestARecordThatCannotBeReadIsADeadLetter(t *testing.T) {
	for name, record := range map[string][]byte{
		"nothing": nil, "garbage": []byte("not a record at all"), "of the future": {99, 1, 2, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logs
				b := newBroker()
				f := flow.New[int]("f").Then(adds("a", 1))
				heard := make(chan flow.DeadLetter, 1)
				e := running(t, b, flow.Options{Logger: log.logger(), OnDeadLetter: func(_ context.Context, d flow.DeadLetter) { heard <- d }}, f)
				rawStart(t, b, "s", "f", record)
				err := failed(t, f.Attach(e, "s"))
				require.Equal(t, flow.StateDeadLetter, err.State)
				require.ErrorContains(t, err, "flow: broken saga: ")
				require.ErrorContains(t, err, "a saga's record")
				require.Equal(t, "s", (<-heard).SagaID)
				require.Contains(t, log.String(), "saga is a dead letter")
				snap := must(e.Snapshot(t.Context(), "s"))
				require.Equal(t, flow.StateDeadLetter, snap.State)
				require.Error(t, snap.Err)

				require.NoError(t, e.Relay(t.Context(), "s", ada))
				<-heard // nothing was repaired
				require.NoError(t, e.SettleFailed(t.Context(), "s", nil, ada))
				settle()
				require.Equal(t, flow.StateUndone, failed(t, f.Attach(e, "s")).State, "a person may end it")
			})
		})
	}
}

// corrupting hands out journals whose bytes nobody can read, as long as it is broken.
type corrupting struct {
	*fakeBroker
	broken atomic.Bool
	parent string // only those of children of this saga
}

func (b *corrupting) Join(ctx context.Context, m broker.Member) (broker.Worker, error) {
	w, err := b.fakeBroker.Join(ctx, m)
	return corruptingWorker{w, b}, err
}

func (b *corrupting) Start(ctx context.Context, s broker.Start) (broker.Started, error) {
	if w, ok := s.By.(corruptingWorker); ok {
		s.By = w.Worker
	}
	return b.fakeBroker.Start(ctx, s)
}

type corruptingWorker struct {
	broker.Worker
	b *corrupting
}

func (w corruptingWorker) Receive(ctx context.Context, room int) ([]broker.Delivery, error) {
	deliveries, err := w.Worker.Receive(ctx, room)
	for _, d := range deliveries {
		if d.Saga != nil && d.Saga.Parent == w.b.parent && w.b.broken.Load() {
			for i := range d.Saga.Journal {
				d.Saga.Journal[i].Data = []byte{1, 2, 3}
			}
		}
	}
	return deliveries, err
}

func TestAJournalThatCannotBeReadIsADeadLetterUntilItIsRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &corrupting{fakeBroker: newBroker()}
		b.broken.Store(true)
		f := flow.New[int]("f").Then(adds("a", 1)).Delay("rest", restUntilTomorrow).Then(adds("b", 1))
		headers := make(chan flow.Headers, 1)
		e := running(t, b, flow.Options{OnDeadLetter: func(_ context.Context, d flow.DeadLetter) { headers <- d.Headers }}, f)
		future := start(t, f, e, 1, flow.ID("s"), flow.WithHeaders(flow.Headers{"h": "v"}))
		err := failed(t, future)
		require.Equal(t, flow.StateDeadLetter, err.State)
		require.ErrorContains(t, err, `flow: broken saga at "a": journal entry of "a"`)
		require.Equal(t, flow.Headers{"h": "v"}, <-headers, "what can be read is told")
		b.broken.Store(false)
		require.NoError(t, e.Relay(t.Context(), "s", ada))
		require.Equal(t, 3, done(t, future))
	})
}

func TestAParentHearsOfAChildThatAPersonEndedUnread(t *testing.T) {
	for name, out := range map[string]bool{"as done": true, "as failed": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &corrupting{fakeBroker: newBroker(), parent: "s"}
				b.broken.Store(true)
				child := flow.New[int]("child").Then(adds("a", 1)).Delay("rest", restUntilTomorrow)
				f := flow.New[int]("f").Then(flow.Child(child))
				e := running(t, b, flow.Options{}, f)
				future := start(t, f, e, 1, flow.ID("s"))
				require.Equal(t, flow.StateDeadLetter, failed(t, child.Attach(e, "s/child")).State)
				if out {
					require.NoError(t, child.SettleDone(t.Context(), e, "s/child", 50, ada))
					require.Equal(t, 50, done(t, future))
				} else {
					require.NoError(t, e.SettleFailed(t.Context(), "s/child", errBroken, ada))
					require.ErrorIs(t, failed(t, future), errBroken)
				}
				require.Equal(t, "ada", must(e.Snapshot(t.Context(), "s/child")).Decisions[0].By.Who)
				requireNothingLeft(t, b, 2)
			})
		})
	}
}

func TestAnInputThatCannotBeReadIsADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		text := flow.New[string]("f").Then(step.New("a", func(_ context.Context, s string) (int, error) { return len(s), nil }))
		number := flow.New[int]("f").Then(adds("a", 1))
		e := running(t, b, flow.Options{}, number)
		future := start(t, text, newEngine(b, flow.Options{}), "seven", flow.ID("s"))
		err := failed(t, future)
		require.Equal(t, flow.StateDeadLetter, err.State)
		require.NotContains(t, err.Error(), "seven")
		_ = e
	})
}

// An event that this version does not know is for another.
func TestMailOfTheFutureIsLeftToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g := newBroker(), newGate()
		f := flow.New[int]("f").Then(g.at("held"))
		e := newEngine(b, flow.Options{}, f)
		stop := run(e)
		settle()
		future := start(t, f, e, 1, flow.ID("s"))
		settle()
		require.NoError(t, b.Deliver(t.Context(), "s", broker.Event{ID: "x", Kind: "of-the-future"}))
		settle()
		snap := must(e.Snapshot(t.Context(), "s"))
		require.True(t, snap.Stranded)
		require.Equal(t, "open", snap.Steps[0].State)
		shot, err := b.Lookup(t.Context(), "s", true)
		require.NoError(t, err)
		require.Len(t, shot.Mail, 1, "it is not lost")
		require.NotEmpty(t, shot.Journal, "that an attempt may have had an effect is not forgotten")
		_, err = future.Await(within(t, time.Second))
		require.Error(t, err)
		require.NoError(t, stop())
	})
}
