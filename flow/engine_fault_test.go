package flow_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokerfault"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

var (
	faultSeed = flag.Uint64("faults", 0, "run the tests with random faults from this seed only")
	faultRuns = flag.Int("faultruns", 20, "how many seeds the tests with random faults run")
)

// ledger is a participant whose effects are idempotent by the keys that steps have.
type ledger struct {
	mu      sync.Mutex
	effects map[string]int // key of the do → 1 done, 0 undone
}

func (l *ledger) set(ctx context.Context, n int) {
	info := step.InfoFrom(ctx)
	info.Undo = false
	l.mu.Lock()
	defer l.mu.Unlock()
	l.effects[info.Key()] = n
}

func (l *ledger) left(saga string) (keys []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, n := range l.effects {
		if n > 0 && len(key) > len("skald/"+saga) && key[:len("skald/"+saga)] == "skald/"+saga {
			keys = append(keys, key)
		}
	}
	return keys
}

// effect is a step that has an effect, and sometimes fails before, after or without it.
func (l *ledger) effect(name string, dice func() int) step.Step[int, int] {
	return step.New(name, func(ctx context.Context, in int) (int, error) {
		switch dice() {
		case 0:
			return 0, step.Refused(errDeclined)
		case 1:
			l.set(ctx, 1)
			return 0, errBroken // its reply was lost
		case 2:
			time.Sleep(time.Second)
		}
		l.set(ctx, 1)
		return in + 1, ctx.Err()
	}).Compensate(func(ctx context.Context, _ step.Effect[int, int]) error {
		if dice() == 1 {
			return errBroken
		}
		l.set(ctx, 0)
		return nil
	}).Retry(step.Retry{Attempts: 2, Delay: time.Second}).RetryUndo(step.Retry{Attempts: 1000, Delay: time.Second})
}

// Whatever the broker does, every saga ends, all done or all undone, and whoever waits is told which.
func TestEverySagaEndsAllOrNothing(t *testing.T) {
	seeds := make([]uint64, *faultRuns)
	for i := range seeds {
		seeds[i] = rand.Uint64()
	}
	if *faultSeed != 0 {
		seeds = []uint64{*faultSeed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("faults=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runUnderFaults(t, seed) })
		})
	}
}

func runUnderFaults(t *testing.T, seed uint64) {
	inner := newBroker()
	b := brokerfault.Wrap(inner, brokerfault.Options{Seed: seed, Odds: brokerfault.Odds{
		brokerfault.Fail: 0.05, brokerfault.Lose: 0.05, brokerfault.Repeat: 0.05, brokerfault.Delay: 0.1,
		brokerfault.Reorder: 0.05, brokerfault.KillBefore: 0.01, brokerfault.KillAfter: 0.01,
	}})
	l := &ledger{effects: map[string]int{}}
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 1))
	dice := func() int {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(12)
	}
	child := flow.New[int]("child").Then(l.effect("in", dice)).Then(l.effect("out", dice))
	f := flow.New[int]("f").
		Then(l.effect("a", dice)).
		Both("both", l.effect("x", dice), flow.New[int]("y").Delay("rest", func(int) time.Duration { return time.Minute }).Then(l.effect("z", dice)),
			func(_, x, y int) int { return x + y }).
		Then(flow.Child(child)).
		Wait(payment, func(a, n int) int { return a + n }).
		Then(l.effect("last", dice))
	for i := range 2 {
		running(t, b, flow.Options{Name: fmt.Sprint("e", i), Concurrency: 20, Lease: 5 * time.Second, TakeoverLimit: 100}, f)
	}
	client := newEngine(b, flow.Options{})
	var all sync.WaitGroup
	for i := range 30 {
		all.Go(func() {
			id := fmt.Sprint("saga-", i, "-")
			future := start(t, f, client, i, flow.ID(id))
			ctx := within(t, 30*24*time.Hour)
			_ = payment.Send(ctx, client, id, 7, flow.SignalID("once"))
			if i%5 == 0 {
				time.Sleep(time.Duration(dice()) * 10 * time.Second)
				cancelled := future.Cancel(ctx, "enough")
				_, err := future.Await(ctx)
				if cancelled == nil && !errors.Is(err, flow.ErrCancelled) {
					t.Errorf("%s: cancelled, but it ended with %v", id, err)
				}
			}
			checkEnd(t, l, id, future)
		})
	}
	all.Wait()
	time.Sleep(time.Minute)
	s := stats(t, inner)
	require.Equal(t, broker.Stats{Finished: s.Finished}, broker.Stats{Ready: s.Ready, Owned: s.Owned, Parked: s.Parked, Held: s.Held, Buried: s.Buried, Finished: s.Finished})
}

func checkEnd(t *testing.T, l *ledger, id string, future flow.Future[int]) {
	_, err := future.Await(within(t, 30*24*time.Hour))
	failure, failed := errors.AsType[*flow.Error](err)
	switch left := l.left(id); {
	case err == nil && len(left) != 6:
		t.Errorf("%s is done, and these effects are there: %v", id, left)
	case err != nil && (!failed || failure.State != flow.StateUndone):
		t.Errorf("%s: %v", id, err)
	case err != nil && len(left) > 0:
		t.Errorf("%s is undone, and these effects are still there: %v (%v)", id, left, err)
	}
}
