package flow_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokerfault"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// seen collects all events of a saga as texts, each once and in order.
func seen(t *testing.T, events <-chan flow.Event) (all []string) {
	t.Helper()
	return collected(t, events, func(seq, next int) bool { return next == seq+1 })
}

// collected is seen, with what is right for the numbers of one event and the next. What was recorded with the end may be missed.
func collected(t *testing.T, events <-chan flow.Event, right func(seq, next int) bool) (all []string) {
	t.Helper()
	seq := 0
	for ev := range events {
		require.Equal(t, "s", ev.SagaID)
		require.True(t, ev.Kind == "settled" || right(seq, ev.Seq), "%d after %d", ev.Seq, seq)
		seq = ev.Seq
		require.False(t, ev.At.IsZero())
		line := ev.Kind
		if ev.Path != "" {
			line += " " + ev.Path
		}
		if ev.Err != nil {
			line += ": " + ev.Err.Error()
		}
		if ev.Kind == "settled" {
			line = fmt.Sprint(ev.Kind, " ", ev.State)
		}
		all = append(all, line)
	}
	return all
}

// eventful is a flow in which something happens every minute.
func eventful() flow.Flow[int, int] {
	undo := func(context.Context, step.Effect[int, int]) error {
		time.Sleep(time.Minute)
		return nil
	}
	pause := func(int) time.Duration { return time.Minute }
	return flow.New[int]("eventful").Then(adds("a", 1).Compensate(undo).Timeout(time.Hour)).Delay("rest", pause).Then(adds("b", 1)).
		Delay("more", pause).Then(fails("no", step.Refused(errDeclined)))
}

var events = []string{
	"done a", "due rest", "woke rest", "done b", "due more", "woke more", "refused no: bank: declined", "undone a", "settled undone",
}

func TestProgressHereAndElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		e := running(t, b, flow.Options{}, eventful())
		ctx := within(t, time.Hour)
		early := eventful().Attach(newEngine(b, flow.Options{}), "s").Progress(ctx)
		settle()
		future := start(t, eventful(), e, 1, flow.ID("s"))
		here, elsewhere := future.Progress(ctx), eventful().Attach(newEngine(b, flow.Options{}), "s").Progress(ctx)
		results := make([][]string, 4)
		var readers sync.WaitGroup
		for i, each := range []<-chan flow.Event{here, elsewhere, early} {
			readers.Go(func() { results[i] = seen(t, each) })
		}
		time.Sleep(90 * time.Second)
		late := future.Progress(ctx)
		readers.Go(func() { results[3] = seen(t, late) })
		readers.Wait()
		last := len(events) - 2 // who is elsewhere may miss what was recorded with the end
		require.Equal(t, events, results[0])
		require.Equal(t, append(slices.Clone(events[:last]), events[last+1]), results[1])
		require.Equal(t, results[1], results[2])
		require.Equal(t, events, results[3])
		require.Equal(t, []string{"settled undone"}, seen(t, future.Progress(ctx)), "who comes after the end gets the end")
		require.Equal(t, []string{"settled undone"}, seen(t, eventful().Attach(newEngine(b, flow.Options{}), "s").Progress(ctx)))
	})
}

func TestProgressSurvivesFaultsAndTakeovers(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			inner := newBroker()
			b := brokerfault.Wrap(inner, brokerfault.Options{Seed: seed + 1, Odds: brokerfault.Odds{
				brokerfault.Fail: 0.1, brokerfault.Lose: 0.1, brokerfault.Repeat: 0.1, brokerfault.KillAfter: 0.05,
			}})
			e := running(t, b, flow.Options{Lease: time.Second}, eventful())
			future := start(t, eventful(), e, 1, flow.ID("s"))
			// A commit whose answer is lost may be read from the journal only until the saga has ended.
			all := collected(t, future.Progress(within(t, 24*time.Hour)), func(seq, next int) bool { return next > seq })
			require.Equal(t, "settled undone", all[len(all)-1])
			require.Contains(t, all, "done a")
		})
	}
}

func TestProgressOfAReaderThatGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := running(t, newBroker(), flow.Options{}, eventful())
		ctx, cancel := context.WithCancel(t.Context())
		future := start(t, eventful(), e, 1, flow.ID("s"))
		unread, read := future.Progress(ctx), future.Progress(ctx)
		require.Equal(t, "done", (<-read).Kind)
		settle()
		cancel()
		settle()
		_, open := <-unread
		require.False(t, open)
		failed(t, future)
	})
}

func TestProgressOfASagaOfAnotherFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := running(t, newBroker(), flow.Options{}, eventful())
		start(t, eventful(), e, 1, flow.ID("s"))
		other := flow.New[string]("other").Attach(e, "s").Progress(within(t, time.Hour))
		ev := <-other
		require.Equal(t, "settled", ev.Kind)
		require.ErrorIs(t, ev.Err, flow.ErrConflict)
		_, open := <-other
		require.False(t, open)
	})
}

func TestEventsOfADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flow.New[int]("f").Then(fails("a", errBroken).Retry(step.Retry{Attempts: 2, Delay: time.Hour, MaxDelay: time.Hour}).
			Compensate(func(context.Context, step.Effect[int, int]) error { return step.GiveUp(errDeclined) }))
		e := running(t, newBroker(), flow.Options{}, f)
		var all []flow.Event
		for ev := range start(t, f, e, 1, flow.ID("s")).Progress(within(t, 24*time.Hour)) {
			ev.At, ev.Err = time.Time{}, nil
			all = append(all, ev)
		}
		require.Equal(t, []flow.Event{
			{SagaID: "s", Flow: "f", Seq: 1, Path: "a", Kind: "tried", Attempt: 1},
			{SagaID: "s", Flow: "f", Seq: 2, Path: "a", Kind: "failed", Attempt: 2},
			{SagaID: "s", Flow: "f", Seq: 3, Path: "a", Kind: "stuck", Attempt: 1, Undo: true},
			{SagaID: "s", Flow: "f", Seq: 4, Kind: "settled", State: flow.StateDeadLetter},
		}, all)
	})
}

// A broker that gives a saga away while its owner works on it says so.
func TestASagaThatIsSeizedIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logs
		inner, g := newBroker(), newGate()
		b := brokerfault.Wrap(inner, brokerfault.Options{})
		f := flow.New[int]("f").Then(g.at("held"))
		e := running(t, b, flow.Options{Name: "e", Logger: log.logger()}, f)
		future := start(t, f, e, 1, flow.ID("s"))
		settle()
		require.NoError(t, b.Seize(t.Context(), "s"))
		settle()
		require.Contains(t, log.String(), "the broker gave a saga to another worker")
		require.EqualValues(t, 2, g.came.Load(), "it is run anew, once the first attempt has ended")
		g.open()
		require.Equal(t, 2, done(t, future))
	})
}

// strangeBroker hands out sagas that were not asked for.
type strangeBroker struct{ *fakeBroker }

func (b strangeBroker) Join(ctx context.Context, m broker.Member) (broker.Worker, error) {
	m.Flows = append(m.Flows, broker.Served{Flow: "strange", Version: 1})
	return b.fakeBroker.Join(ctx, m)
}

func TestASagaThatIsNotServedIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logs
		b := strangeBroker{newBroker()}
		strange := flow.New[int]("strange").Then(adds("a", 1))
		e := running(t, b, flow.Options{Logger: log.logger()}, flow.New[int]("f"))
		future := start(t, strange, e, 1, flow.ID("s"))
		settle()
		require.Equal(t, broker.Ready, stateOf(t, b, "s"))
		require.Contains(t, log.String(), "the broker handed out a saga of a flow that is not served here")
		running(t, b.fakeBroker, flow.Options{}, strange)
		require.Equal(t, 2, done(t, future))
	})
}

// An outage of the broker loses nothing: what was to be committed is committed after it.
func TestAnOutageIsSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logs
		b := &outage{fakeBroker: newBroker()}
		f := flow.New[int]("f").Then(step.New("a", func(_ context.Context, in int) (int, error) {
			time.Sleep(time.Second)
			return in + 1, nil
		})).Then(adds("b", 1))
		e := running(t, b, flow.Options{Logger: log.logger()}, f)
		future := start(t, f, e, 1, flow.ID("s"))
		b.down.Store(true)
		time.Sleep(5 * time.Second)
		require.ErrorContains(t, e.Health(t.Context()), "flow: committing to the broker: outage")
		require.Contains(t, log.String(), "commit failed, trying again")
		ctx := within(t, time.Second)
		_, err := future.Await(ctx)
		require.IsType(t, &flow.RunningError{}, err)
		b.down.Store(false)
		require.Equal(t, 3, done(t, future))
		settle()
		require.NoError(t, e.Health(t.Context()))
	})
}

func TestAnEngineEndsDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logs
		b, g := &outage{fakeBroker: newBroker()}, newGate()
		f := flow.New[int]("f").Then(g.at("held"))
		e := newEngine(b, flow.Options{Logger: log.logger(), Lease: 5 * time.Second}, f)
		stop := run(e)
		settle()
		start(t, f, e, 1, flow.ID("s"))
		settle()
		b.down.Store(true)
		began := time.Now()
		g.open()
		require.NoError(t, stop())
		require.Less(t, time.Since(began), 30*time.Second)
		require.Contains(t, log.String(), "cannot leave the broker; its sagas are taken over when the lease ends")
	})
}

// outage is a broker whose workers cannot reach it while it is down.
type outage struct {
	*fakeBroker
	down atomic.Bool
}

func (b *outage) Join(ctx context.Context, m broker.Member) (broker.Worker, error) {
	w, err := b.fakeBroker.Join(ctx, m)
	return outageWorker{w, b}, err
}

func (b *outage) Start(ctx context.Context, s broker.Start) (broker.Started, error) {
	if w, ok := s.By.(outageWorker); ok {
		s.By = w.Worker
	}
	return b.fakeBroker.Start(ctx, s)
}

type outageWorker struct {
	broker.Worker
	b *outage
}

func (w outageWorker) Commit(ctx context.Context, t broker.Transition) (broker.Ack, error) {
	if w.b.down.Load() {
		return broker.Ack{}, errOutage
	}
	return w.Worker.Commit(ctx, t)
}

func (w outageWorker) Leave(ctx context.Context) error {
	if w.b.down.Load() {
		return errOutage
	}
	return w.Worker.Leave(ctx)
}
