package brokerfault_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	. "github.com/skald-go/skald/broker/brokerfault"
	"github.com/skald-go/skald/inmem"
)

func wrap(t *testing.T, rules ...Rule) *Broker {
	t.Helper()
	b := Wrap(inmem.New(), Options{Rules: rules, Logf: t.Logf})
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	return b
}

func join(t *testing.T, b broker.Broker, name string) broker.Worker {
	t.Helper()
	w, err := b.Join(t.Context(), broker.Member{Name: name, Flows: []broker.Served{{}}, Lease: time.Second})
	require.NoError(t, err)
	return w
}

func start(t *testing.T, b broker.Broker, by broker.Worker, id string) {
	t.Helper()
	_, err := b.Start(t.Context(), broker.Start{ID: id, By: by})
	require.NoError(t, err)
}

// revision reads the store behind the faults.
func revision(t *testing.T, b *Broker, id string) uint64 {
	t.Helper()
	shot, err := b.Broker.Lookup(t.Context(), id, false)
	require.NoError(t, err)
	return shot.Rev
}

// living counts workers.
func living(t *testing.T, b *Broker) int {
	t.Helper()
	stats, err := b.Broker.Stats(t.Context())
	require.NoError(t, err)
	return stats.Workers
}

func TestFailHasNoEffectAndLoseHas(t *testing.T) {
	for fault, rev := range map[Fault]uint64{Fail: 1, Lose: 2} {
		b := wrap(t, Rule{Method: Commit, Try: 1, Fault: fault})
		w := join(t, b, "w")
		start(t, b, w, "a")
		_, err := w.Commit(t.Context(), broker.Transition{ID: "a", Rev: 1})
		assert.ErrorIs(t, err, ErrInjected)
		assert.Equal(t, rev, revision(t, b, "a"), fault)
		ack, err := w.Commit(t.Context(), broker.Transition{ID: "a", Rev: 1})
		assert.NoError(t, err)
		assert.EqualValues(t, 2, ack.Rev)
	}
}

func TestEveryMethodCanFail(t *testing.T) {
	for _, fault := range []Fault{Fail, Lose} {
		b := wrap(t, Rule{Try: 1, Fault: fault})
		ctx := t.Context()
		var w broker.Worker
		twice(t, func() (err error) {
			w, err = b.Join(ctx, broker.Member{Name: "w", Flows: []broker.Served{{}}, Lease: time.Second})
			return err
		})
		assert.Equal(t, 1, living(t, b))
		twice(t, func() error { _, err := b.Start(ctx, broker.Start{ID: "a"}); return err })
		twice(t, func() error { return b.Deliver(ctx, "a", broker.Event{ID: "e"}) })
		twice(t, func() error { _, err := b.Lookup(ctx, "a", true); return err })
		twice(t, func() error { _, err := b.Stats(ctx); return err })
		var got []broker.Delivery
		twice(t, func() (err error) { got, err = w.Receive(ctx, 1); return err })
		require.Len(t, got, 1)
		bury := broker.Transition{ID: "a", Rev: 1, Next: broker.Bury}
		twice(t, func() error { _, err := w.Commit(ctx, bury); return err })
		twice(t, func() error { return b.Resolve(ctx, "a", 2, broker.Event{ID: "d"}) })
		twice(t, func() error { return w.Leave(ctx) })
		assert.Zero(t, living(t, b))
	}
}

// twice makes a call that fails, and then does not.
func twice(t *testing.T, call func() error) {
	t.Helper()
	require.ErrorIs(t, call(), ErrInjected)
	require.NoError(t, call())
}

func TestAListFailsAtOnceOrAfterItsFirstSaga(t *testing.T) {
	for fault, want := range map[Fault]int{Fail: 0, Lose: 1} {
		b := wrap(t, Rule{Method: List, Try: 1, Fault: fault})
		start(t, b, nil, "a")
		start(t, b, nil, "b")
		seen, err := list(t, b)
		assert.ErrorIs(t, err, ErrInjected)
		assert.Equal(t, want, seen)
		seen, err = list(t, b)
		assert.NoError(t, err)
		assert.Equal(t, 2, seen)
	}
}

// list counts sagas, until an error.
func list(t *testing.T, b broker.Broker) (seen int, err error) {
	t.Helper()
	for _, err := range b.List(t.Context(), broker.Filter{}) {
		if err != nil {
			return seen, err
		}
		seen++
	}
	return seen, nil
}

func TestRulesNameCalls(t *testing.T) {
	b := wrap(t,
		Rule{Method: Commit, ID: "a", Nth: 2, Try: 1, Fault: Fail},
		Rule{Method: Commit, ID: "a", Nth: 2, Try: 2, Fault: Lose},
		Rule{Method: Deliver, Fault: Fail},
	)
	w := join(t, b, "w")
	start(t, b, w, "a")
	start(t, b, w, "b")
	var log []string
	acked := map[string]uint64{"a": 1, "b": 1}
	for _, id := range []string{"b", "b", "a", "a", "a", "a"} {
		rev := acked[id]
		ack, err := w.Commit(t.Context(), broker.Transition{ID: id, Rev: rev})
		if err == nil {
			acked[id] = ack.Rev
		}
		log = append(log, fmt.Sprint(id, " ", rev, " ", errors.Is(err, ErrInjected)))
	}
	assert.Equal(t, []string{"b 1 false", "b 2 false", "a 1 false", "a 2 true", "a 2 true", "a 2 false"}, log)
	for range 3 {
		assert.ErrorIs(t, b.Deliver(t.Context(), "a", broker.Event{ID: "e"}), ErrInjected)
	}
}

func TestWhatALostReplyHandedOutIsHandedOutByReceive(t *testing.T) {
	b := wrap(t, Rule{Method: Start, Try: 1, Fault: Lose}, Rule{Method: Receive, Nth: 1, Try: 1, Fault: Lose})
	w := join(t, b, "w")
	begin := broker.Start{ID: "a", Record: []byte("record"), By: w}
	_, err := b.Start(t.Context(), begin)
	require.ErrorIs(t, err, ErrInjected)
	started, err := b.Start(t.Context(), begin)
	require.NoError(t, err)
	assert.Equal(t, broker.Started{Existed: true, State: broker.Owned}, started)
	require.NoError(t, b.Deliver(t.Context(), "a", broker.Event{ID: "e"}))

	_, err = w.Receive(t.Context(), 1)
	require.ErrorIs(t, err, ErrInjected)
	require.NoError(t, b.Deliver(t.Context(), "a", broker.Event{ID: "f"}))
	got, err := w.Receive(t.Context(), 1)
	require.NoError(t, err)
	require.Len(t, got, 1)
	assert.Equal(t, []byte("record"), got[0].Saga.Record)
	assert.Equal(t, []broker.Event{{ID: "e"}, {ID: "f"}}, got[0].Saga.Mail, "also what came while it was lost")
}

func TestABlockedReceiveWakesForWhatWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := wrap(t, Rule{Method: Start, Try: 1, Fault: Lose})
		w := join(t, b, "w")
		without := make(chan error)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := w.Receive(ctx, 0)
			without <- err
		}()
		time.AfterFunc(time.Hour, func() {
			_, err := b.Start(context.Background(), broker.Start{ID: "a", By: w})
			assert.ErrorIs(t, err, ErrInjected)
		})
		got, err := w.Receive(t.Context(), 1)
		require.NoError(t, err)
		assert.Equal(t, "a", got[0].ID)
		cancel()
		assert.ErrorIs(t, <-without, context.Canceled)
	})
}

func TestWhatWasLostIsNotHandedOutToTheDead(t *testing.T) {
	b := wrap(t, Rule{Method: Start, Try: 1, Fault: Lose})
	w := join(t, b, "w")
	_, err := b.Start(t.Context(), broker.Start{ID: "a", By: w})
	require.ErrorIs(t, err, ErrInjected)
	b.Kill(w)
	_, err = w.Receive(t.Context(), 1)
	assert.ErrorIs(t, err, broker.ErrFenced)
}

func TestWhatWasLostStaysForRoom(t *testing.T) {
	b := wrap(t, Rule{Method: Start, Try: 1, Fault: Lose})
	w := join(t, b, "w")
	for _, id := range []string{"a", "b"} {
		_, err := b.Start(t.Context(), broker.Start{ID: id, By: w})
		require.ErrorIs(t, err, ErrInjected)
	}
	for _, id := range []string{"a", "b"} {
		got, err := w.Receive(t.Context(), 1)
		require.NoError(t, err)
		require.Len(t, got, 1)
		assert.Equal(t, id, got[0].ID)
	}
}

func TestAFailedReadLosesNothing(t *testing.T) {
	b := wrap(t, Rule{Method: Start, Try: 1, Fault: Lose})
	w := join(t, b, "w")
	_, err := b.Start(t.Context(), broker.Start{ID: "a", By: w})
	require.ErrorIs(t, err, ErrInjected)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = w.Receive(ended, 1)
	require.ErrorIs(t, err, context.Canceled)
	got, err := w.Receive(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, "a", got[0].ID)
}

func TestRepeatTellsMailAgain(t *testing.T) {
	b := wrap(t, Rule{Fault: Repeat})
	w := join(t, b, "w")
	start(t, b, w, "a")
	require.NoError(t, b.Deliver(t.Context(), "a", broker.Event{ID: "e", Data: []byte("data")}))
	for range 2 {
		got, err := w.Receive(t.Context(), 1)
		require.NoError(t, err)
		assert.Equal(t, []broker.Delivery{{ID: "a", Mail: []broker.Event{{ID: "e", Data: []byte("data")}}}}, got)
		clear(got[0].Mail[0].Data)
	}
	_, err := w.Commit(t.Context(), broker.Transition{ID: "a", Rev: 1})
	require.NoError(t, err)
	assert.EqualValues(t, 2, revision(t, b, "a"))
	stats, err := b.Stats(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, stats.Workers)
}

func TestDelayTakesTimeAndEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := Wrap(inmem.New(), Options{MaxDelay: time.Hour, Rules: []Rule{{Method: Start, Fault: Delay}}})
		begin := time.Now()
		start(t, b, nil, "a")
		took := time.Since(begin)
		assert.Positive(t, took)
		assert.Less(t, took, time.Hour)

		ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		defer cancel()
		_, err := b.Start(ctx, broker.Start{ID: "b"})
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = b.Lookup(t.Context(), "b", false)
		assert.ErrorIs(t, err, broker.ErrUnknown)
	})
}

func TestReorderChangesTheOrderOfAReply(t *testing.T) {
	b := wrap(t, Rule{Method: Receive, Fault: Reorder})
	w := join(t, b, "w")
	var sorted, got []string
	for i := range 20 {
		id := fmt.Sprintf("%02d", i)
		start(t, b, nil, id)
		sorted = append(sorted, id)
	}
	deliveries, err := w.Receive(t.Context(), 20)
	require.NoError(t, err)
	for _, d := range deliveries {
		got = append(got, d.ID)
	}
	assert.ElementsMatch(t, sorted, got)
	assert.NotEqual(t, sorted, got)
}

func TestKillBeforeAndAfterACommit(t *testing.T) {
	for fault, rev := range map[Fault]uint64{KillBefore: 2, KillAfter: 3} {
		synctest.Test(t, func(t *testing.T) {
			b := wrap(t, Rule{Method: Commit, ID: "a", Nth: 2, Fault: fault})
			doomed, heir := join(t, b, "doomed"), join(t, b, "heir")
			start(t, b, doomed, "a")
			_, err := doomed.Commit(t.Context(), broker.Transition{ID: "a", Rev: 1})
			require.NoError(t, err)
			_, err = doomed.Commit(t.Context(), broker.Transition{ID: "a", Rev: 2})
			require.ErrorIs(t, err, broker.ErrFenced)
			got, err := heir.Receive(t.Context(), 1)
			require.NoError(t, err)
			assert.Equal(t, rev, got[0].Saga.Rev)
			assert.Equal(t, 1, got[0].Saga.Takeovers)
		})
	}
}

func TestAStartThatKillsItsWorkerIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := wrap(t, Rule{Method: Start, Fault: KillAfter})
		doomed, heir := join(t, b, "doomed"), join(t, b, "heir")
		_, err := b.Start(t.Context(), broker.Start{ID: "a", By: doomed})
		require.ErrorIs(t, err, ErrInjected)
		_, err = doomed.Receive(t.Context(), 1)
		require.ErrorIs(t, err, broker.ErrFenced)
		start(t, b, nil, "nobody to kill")
		got, err := heir.Receive(t.Context(), 1)
		require.NoError(t, err)
		assert.Equal(t, "nobody to kill", got[0].ID)
		got, err = heir.Receive(t.Context(), 1)
		require.NoError(t, err)
		assert.Equal(t, "a", got[0].ID)
	})
}

func TestSeizeTellsTheOwner(t *testing.T) {
	b := wrap(t, Rule{Method: Receive, Fault: Reorder})
	w := join(t, b, "w")
	start(t, b, w, "a")
	require.NoError(t, b.Seize(t.Context(), "a"))
	_, err := w.Commit(t.Context(), broker.Transition{ID: "a", Rev: 1})
	assert.ErrorIs(t, err, broker.ErrStale)

	got, err := w.Receive(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, []broker.Delivery{{ID: "a", Lost: true}}, got)
	require.NoError(t, b.Seize(t.Context(), "a"), "nobody owns it")
	got, err = w.Receive(t.Context(), 1)
	require.NoError(t, err)
	_, err = w.Commit(t.Context(), broker.Transition{ID: "a", Rev: got[0].Saga.Rev})
	assert.NoError(t, err)
}

func TestSeizeNeedsAWorkerOfTheWrapper(t *testing.T) {
	b := wrap(t)
	start(t, b.Broker, join(t, b.Broker, "bare"), "a")
	assert.EqualError(t, b.Seize(t.Context(), "a"), `brokerfault: seize "a": "bare" is no worker of this wrapper`)
	assert.ErrorIs(t, b.Seize(t.Context(), "b"), broker.ErrUnknown)
}

func TestALostSagaKeepsItsPlace(t *testing.T) {
	b := wrap(t, Rule{Method: Receive, Fault: Reorder})
	w := join(t, b, "w")
	for i := range 20 {
		start(t, b, w, fmt.Sprint(i))
		require.NoError(t, b.Seize(t.Context(), fmt.Sprint(i)))
	}
	got, err := w.Receive(t.Context(), 0)
	require.NoError(t, err)
	for i, d := range got {
		assert.Equal(t, broker.Delivery{ID: fmt.Sprint(i), Lost: true}, d)
	}
}

func TestOddsFollowFromTheSeed(t *testing.T) {
	odds := Odds{Lose: 0.3, Fail: 0.3}
	first := faults(t, Options{Odds: odds, Seed: 7})
	assert.Equal(t, first, faults(t, Options{Odds: odds, Seed: 7}))
	assert.NotEqual(t, first, faults(t, Options{Odds: odds, Seed: 8}))

	var told string
	b := Wrap(inmem.New(), Options{Odds: odds, Logf: func(format string, args ...any) { told = fmt.Sprintf(format, args...) }})
	assert.Equal(t, fmt.Sprint("brokerfault: seed ", b.Seed()), told)
	assert.NotEqual(t, b.Seed(), Wrap(inmem.New(), Options{Odds: odds}).Seed())
}

// faults tells which of a hundred calls fail.
func faults(t *testing.T, o Options) string {
	b := Wrap(inmem.New(), o)
	var log []byte
	failed := 0
	for i := range 100 {
		_, err := b.Start(t.Context(), broker.Start{ID: fmt.Sprint(i)})
		switch {
		case err == nil:
			log = append(log, '.')
		default:
			require.ErrorIs(t, err, ErrInjected)
			log = append(log, 'x')
			failed++
		}
	}
	assert.InDelta(t, 60, failed, 20)
	return string(log)
}

func TestUnwrapGivesTheWorkerOfTheBroker(t *testing.T) {
	inner := inmem.New()
	b := Wrap(inner, Options{})
	w := join(t, b, "w")
	inner.Kill(Unwrap(w))
	_, err := w.Receive(t.Context(), 1)
	assert.ErrorIs(t, err, broker.ErrFenced)
	bare := join(t, inner, "bare")
	assert.Same(t, bare, Unwrap(bare))
}
