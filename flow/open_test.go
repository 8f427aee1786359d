package flow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// hold is what a party joins with.
type hold struct{ Of string }

var (
	opened  = flow.NewOpen[posted]("opened")
	parties = []flow.Party[posted, hold]{opened.Party[hold]("a"), opened.Party[hold]("b"), opened.Party[hold]("c")}
)

// party gives an engine that listens as a party, which joins when the saga starts, or when the party before it has joined.
func party(t *testing.T, b broker.Broker, k int, h *heard, more ...func(*flow.Engine)) *flow.Engine {
	t.Helper()
	p := parties[k]
	e := newEngine(b, flow.Options{Name: p.Name()})
	join := func(ctx context.Context) error {
		return p.Join(ctx, e, flow.DeliveryFrom(ctx).Saga, hold{"hold of " + p.Name()})
	}
	if k == 0 {
		opened.OnStart(e, p.Name(), func(ctx context.Context, in posted) error { return join(ctx) })
	} else {
		parties[k-1].OnJoin(e, p.Name(), func(ctx context.Context, with hold) error { return join(ctx) })
	}
	p.OnCommit(e, func(_ context.Context, with hold) error { h.add("commit %s", with.Of); return nil })
	p.OnRollback(e, func(_ context.Context, with hold, cause error) error {
		h.add("rollback %s %v", with.Of, errors.Is(cause, errDeclined))
		return nil
	})
	for _, f := range more {
		f(e)
	}
	stop := run(e)
	t.Cleanup(func() { assert.NoError(t, stop()) })
	settle()
	return e
}

// allParties runs the three, and one more that hears of ends.
func allParties(t *testing.T, b broker.Broker, h *heard) *flow.Engine {
	t.Helper()
	var e *flow.Engine
	for k := range parties {
		e = party(t, b, k, h, func(e *flow.Engine) {
			opened.OnEnd(e, "ends", func(_ context.Context, s flow.OpenSaga[posted]) error {
				h.add("end %s %v %v %s", s.In.User, s.State, s.Cause != nil, strings.Join(s.Parties, ""))
				return nil
			})
		})
	}
	return e
}

func open(t *testing.T, e *flow.Engine, id string) {
	t.Helper()
	got, err := opened.Start(t.Context(), e, posted{"ada", 1}, flow.ID(id))
	require.NoError(t, err)
	require.Equal(t, id, got)
	settle()
}

func TestAnOpenSagaThatIsCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h heard
		e := allParties(t, newBroker(), &h)
		open(t, e, "s1")
		s, err := opened.Status(t.Context(), e, "s1")
		require.NoError(t, err)
		assert.Equal(t, flow.OpenSaga[posted]{ID: "s1", In: posted{"ada", 1}, Parties: []string{"a", "b", "c"}, State: flow.StateRunning}, s)
		require.NoError(t, opened.Commit(t.Context(), e, "s1"))
		settle()
		assert.Equal(t, []string{"commit hold of a", "commit hold of b", "commit hold of c", "end ada done false abc"}, h.all())
		require.NoError(t, opened.Commit(t.Context(), e, "s1"), "it is committed")
		assert.ErrorIs(t, opened.Rollback(t.Context(), e, "s1", errDeclined), flow.ErrSettled)
		s, err = opened.Status(t.Context(), e, "s1")
		require.NoError(t, err)
		assert.Equal(t, flow.StateDone, s.State)
		assert.True(t, s.Ended)
		time.Sleep(2 * time.Hour)
		_, err = opened.Status(t.Context(), e, "s1")
		assert.ErrorIs(t, err, flow.ErrUnknown, "it is kept for Options.Retention")
		assert.Len(t, h.all(), 4)
	})
}

func TestAnOpenSagaThatIsRolledBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h heard
		e := allParties(t, newBroker(), &h)
		open(t, e, "s1")
		require.NoError(t, opened.Rollback(t.Context(), e, "s1", fmt.Errorf("too late: %w", errDeclined)))
		settle()
		assert.Equal(t, []string{"rollback hold of c true", "rollback hold of b true", "rollback hold of a true", "end ada undone true abc"}, h.all())
		s, err := opened.Status(t.Context(), e, "s1")
		require.NoError(t, err)
		assert.Equal(t, flow.StateUndone, s.State)
		assert.ErrorIs(t, s.Cause, errDeclined)
		assert.ErrorIs(t, opened.Commit(t.Context(), e, "s1"), flow.ErrSettled)
		assert.ErrorIs(t, parties[0].Join(t.Context(), e, "s1", hold{"another"}), flow.ErrConflict)
	})
}

func TestAnOpenSagaThatNobodyJoinsEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h heard
		e := newEngine(newBroker(), flow.Options{})
		opened.OnEnd(e, "ends", func(_ context.Context, s flow.OpenSaga[posted]) error { h.add("%v %v", s.State, s.Parties); return nil })
		stop := run(e)
		defer stop()
		settle()
		open(t, e, "s1")
		require.NoError(t, opened.Rollback(t.Context(), e, "s1", nil))
		settle()
		assert.Equal(t, []string{"undone []"}, h.all())
		s, err := opened.Status(t.Context(), e, "s1")
		require.NoError(t, err)
		assert.True(t, s.Ended)
		assert.ErrorIs(t, parties[0].Join(t.Context(), e, "s1", hold{"late"}), flow.ErrSettled)
		for _, err := range []error{
			opened.Commit(t.Context(), e, "nobody"), opened.Rollback(t.Context(), e, "nobody", nil), parties[0].Join(t.Context(), e, "nobody", hold{}),
		} {
			assert.ErrorIs(t, err, flow.ErrUnknown)
		}
	})
}

func TestStartingAndJoiningTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(newBroker(), flow.Options{})
		for range 2 {
			_, err := opened.Start(t.Context(), e, posted{"ada", 1}, flow.ID("s1"))
			require.NoError(t, err)
			require.NoError(t, parties[0].Join(t.Context(), e, "s1", hold{"x"}))
		}
		_, err := opened.Start(t.Context(), e, posted{"bob", 1}, flow.ID("s1"))
		assert.ErrorIs(t, err, flow.ErrConflict)
		assert.ErrorIs(t, parties[0].Join(t.Context(), e, "s1", hold{"y"}), flow.ErrConflict)
		s, err := opened.Status(t.Context(), e, "s1")
		require.NoError(t, err)
		assert.Equal(t, []string{"a"}, s.Parties)
		_, err = opened.Start(t.Context(), e, posted{}, flow.ID("a/b"))
		assert.ErrorIs(t, err, flow.ErrID)
	})
}

// Many decide at once: one way wins, and everybody is told that.
func TestAnOpenSagaIsDecidedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h heard
		e := allParties(t, newBroker(), &h)
		for n := range 20 {
			id := fmt.Sprint("s", n)
			open(t, e, id)
			before := len(h.all())
			var mu sync.Mutex
			var group sync.WaitGroup
			won := map[string]int{}
			for k := range 8 {
				group.Go(func() {
					how, decide := "commit", func() error { return opened.Commit(t.Context(), e, id) }
					if (k+n)%2 == 0 {
						how, decide = "rollback", func() error { return opened.Rollback(t.Context(), e, id, errDeclined) }
					}
					err := decide()
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						won[how]++
					} else {
						assert.ErrorIs(t, err, flow.ErrSettled)
					}
				})
			}
			group.Wait()
			settle()
			require.Len(t, won, 1)
			told := h.all()[before:]
			require.Len(t, told, 4)
			for how := range won {
				for _, line := range told[:3] {
					assert.True(t, strings.HasPrefix(line, how), line)
				}
			}
		}
	})
}

func TestAListenerThatFailsRollsBack(t *testing.T) {
	for name, c := range map[string]struct {
		fail   func() error
		opts   []flow.ListenOption
		state  flow.State
		calls  int
		dead   int
		caused error
	}{
		"an error":          {func() error { return errDeclined }, nil, flow.StateUndone, 1, 0, errDeclined},
		"a panic":           {func() error { panic(errDeclined) }, nil, flow.StateUndone, 1, 0, errDeclined},
		"a refusal":         {func() error { return step.Refused(errDeclined) }, nil, flow.StateUndone, 1, 0, errDeclined},
		"not yet":           {func() error { return step.NotYet(time.Second) }, nil, flow.StateRunning, 2, 0, nil},
		"one that is named": {func() error { return errBroken }, []flow.ListenOption{flow.NoRollbackFor(errBroken)}, flow.StateRunning, 2, 0, nil},
		"one that is named, for good": {func() error { return step.Permanent(errBroken) }, []flow.ListenOption{flow.NoRollbackFor(errBroken)},
			flow.StateRunning, 1, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var h heard
				calls := 0
				e := party(t, newBroker(), 0, &h, func(e *flow.Engine) {
					parties[0].OnJoin(e, "failing", func(context.Context, hold) error {
						if calls++; calls == 1 {
							return c.fail()
						}
						return nil
					}, c.opts...)
				})
				open(t, e, "s1")
				time.Sleep(time.Minute)
				settle()
				s, err := opened.Status(t.Context(), e, "s1")
				require.NoError(t, err)
				assert.Equal(t, c.state, s.State)
				assert.Equal(t, c.calls, calls)
				if c.caused != nil {
					assert.ErrorIs(t, s.Cause, c.caused)
					assert.Equal(t, []string{"rollback hold of a true"}, h.all())
				}
				dead := 0
				for range e.DeadEvents(t.Context(), "opened", "failing") {
					dead++
				}
				assert.Equal(t, c.dead, dead)
			})
		})
	}
}

// An undo that fails for good is a dead event, and the others are told all the same.
func TestAPartyWhoseRollbackFailsHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var h heard
		party(t, b, 0, &h)
		broken := true
		e := newEngine(b, flow.Options{})
		parties[0].OnJoin(e, "b", func(ctx context.Context, _ hold) error {
			return parties[1].Join(ctx, e, flow.DeliveryFrom(ctx).Saga, hold{"x"})
		})
		parties[1].OnRollback(e, func(context.Context, hold, error) error {
			h.add("b tries")
			if broken {
				return errBroken
			}
			return nil
		}, flow.Redeliver(step.Retry{Attempts: 2}))
		stop := run(e)
		defer stop()
		settle()
		open(t, e, "s1")
		require.NoError(t, opened.Rollback(t.Context(), e, "s1", errDeclined))
		time.Sleep(time.Minute)
		settle()
		assert.Equal(t, []string{"b tries", "b tries", "rollback hold of a true"}, h.all())
		broken = false
		for d, err := range e.DeadEvents(t.Context(), "opened", "b") {
			require.NoError(t, err)
			assert.ErrorIs(t, d.Err, errBroken)
			require.NoError(t, e.Redeliver(t.Context(), d, flow.By{Who: "eva"}))
		}
		settle()
		assert.Equal(t, "b tries", h.all()[3])
		assert.Len(t, h.all(), 4, "the others were told before")
	})
}

// A rollback that comes while a party still acts waits for it.
func TestARollbackDoesNotOvertakeTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h heard
		slow := newGate()
		e := newEngine(newBroker(), flow.Options{})
		opened.OnStart(e, "a", func(ctx context.Context, _ posted) error {
			if err := parties[0].Join(ctx, e, flow.DeliveryFrom(ctx).Saga, hold{"x"}); err != nil {
				return err
			}
			h.add("begins")
			err := slow.pass(ctx)
			h.add("has acted")
			return err
		})
		parties[0].OnRollback(e, func(context.Context, hold, error) error { h.add("rolled back"); return nil })
		stop := run(e)
		defer stop()
		settle()
		open(t, e, "s1")
		require.NoError(t, opened.Rollback(t.Context(), e, "s1", errDeclined))
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"begins"}, h.all())
		slow.open()
		settle()
		assert.Equal(t, []string{"begins", "has acted", "rolled back"}, h.all())
	})
}

func TestAListenerThatKillsItsWorkersRollsBackInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var h heard
		e := party(t, b, 0, &h)
		killer := newEngine(b, flow.Options{Name: "killer", Lease: time.Second})
		parties[0].OnJoin(killer, "killer", func(ctx context.Context, _ hold) error {
			b.killSubscriber("killer")
			<-ctx.Done()
			return ctx.Err()
		}, flow.Redeliver(step.Retry{Attempts: 3}))
		stop := run(killer)
		defer stop()
		settle()
		open(t, e, "s1")
		time.Sleep(time.Minute)
		settle()
		s, err := opened.Status(t.Context(), e, "s1")
		require.NoError(t, err)
		assert.Equal(t, flow.StateUndone, s.State)
		assert.ErrorIs(t, s.Cause, flow.ErrTakeovers)
	})
}

// Lost replies, repeats and failures: each party is told of one outcome, the same, at least once, and the saga ends.
func TestOpenSagasOverABrokerThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokerfault.Wrap(inmem.New(), brokerfault.Options{Seed: 11, Odds: brokerfault.Odds{brokerfault.Fail: 0.1, brokerfault.Lose: 0.15, brokerfault.Repeat: 0.15}})
		var h heard
		e := allParties(t, b, &h)
		for n := range 50 {
			id := fmt.Sprint("s", n)
			_, err := opened.Start(t.Context(), e, posted{fmt.Sprint("<", id, ">"), n}, flow.ID(id))
			require.NoError(t, err)
			time.Sleep(time.Minute)
			settle()
			before := len(h.all())
			decide := func() error { return opened.Commit(t.Context(), e, id) }
			want := "commit"
			if n%2 == 0 {
				want, decide = "rollback", func() error { return opened.Rollback(t.Context(), e, id, errDeclined) }
			}
			require.NoError(t, decide())
			time.Sleep(time.Minute)
			settle()
			told := h.all()[before:]
			for _, p := range []string{"a", "b", "c"} {
				assert.True(t, slices.ContainsFunc(told, func(s string) bool { return strings.HasPrefix(s, want+" hold of "+p) }), "%s of %s in %v", want, p, told)
			}
			s, err := opened.Status(t.Context(), e, id)
			require.NoError(t, err)
			assert.True(t, s.Ended)
		}
	})
}

func TestPartiesOfSeveralServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := inmem.NewNetwork()
		var h heard
		for k, name := range []string{"shop", "mail", "points"} {
			party(t, n.Broker(name), k, &h)
		}
		e := newEngine(n.Broker("web"), flow.Options{})
		open(t, e, "s1")
		require.NoError(t, opened.Commit(t.Context(), e, "s1"))
		settle()
		assert.Equal(t, []string{"commit hold of a", "commit hold of b", "commit hold of c"}, h.all())
	})
}

func TestMistakesWithOpenSagas(t *testing.T) {
	e := newEngine(inmem.New(), flow.Options{})
	commit := func(context.Context, hold) error { return nil }
	parties[0].OnCommit(e, commit)
	for name, mistake := range map[string]func(){
		"listens to that already": func() { parties[0].OnCommit(e, commit) },
		"the handler is nil":      func() { parties[0].OnJoin(e, "x", nil) },
		"make it with Open.Party": func() { flow.Party[posted, hold]{}.OnCommit(e, commit) },
		"it contains '/'":         func() { opened.Party[hold]("a/b") },
		"has no encoding":         func() { flow.NewOpen[func()]("x") },
	} {
		func() {
			defer func() { assert.Contains(t, fmt.Sprint(recover()), name) }()
			mistake()
		}()
	}
	_, err := opened.Start(t.Context(), newEngine(busless{inmem.New()}, flow.Options{}), posted{})
	assert.ErrorIs(t, err, flow.ErrNoBus)
	_, err = flow.Open[posted]{}.Start(t.Context(), e, posted{})
	assert.ErrorIs(t, err, flow.ErrZero)
	assert.ErrorIs(t, flow.Party[posted, hold]{}.Join(t.Context(), e, "s", hold{}), flow.ErrZero)
}

// What comes next waits for the party to have acted, not for it to have joined.
func TestDoneIsWhatComesNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h heard
		slow := newGate()
		e := newEngine(newBroker(), flow.Options{})
		opened.OnStart(e, "a", func(ctx context.Context, _ posted) error {
			id := flow.DeliveryFrom(ctx).Saga
			if err := parties[0].Join(ctx, e, id, hold{"x"}); err != nil {
				return err
			}
			if err := slow.pass(ctx); err != nil {
				return err
			}
			return parties[0].Done(ctx, e, id)
		})
		parties[0].OnJoin(e, "joins", func(context.Context, hold) error { h.add("joined"); return nil })
		parties[0].OnDone(e, "next", func(ctx context.Context, with hold) error {
			h.add("next %s", with.Of)
			return opened.Commit(ctx, e, flow.DeliveryFrom(ctx).Saga)
		})
		stop := run(e)
		defer stop()
		settle()
		open(t, e, "s1")
		assert.Equal(t, []string{"joined"}, h.all())
		assert.ErrorIs(t, parties[1].Done(t.Context(), e, "s1"), flow.ErrUnknown)
		slow.open()
		settle()
		assert.Equal(t, []string{"joined", "next x"}, h.all())
		s, err := opened.Status(t.Context(), e, "s1")
		require.NoError(t, err)
		assert.Equal(t, flow.StateDone, s.State)
	})
}
