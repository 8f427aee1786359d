package flow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

// visit is a saga to one room: it says when it begins and when it ends.
type visit struct {
	Room string
	Name string
}

func (v visit) rooms() []string { return strings.Split(v.Room, "+") }

// diary notes who is where.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *diary) read() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

// visits is a flow of a saga that stays for a minute.
func (d *diary) visits() flow.Flow[visit, visit] {
	return flow.New[visit]("visit").
		Then(step.Do("come", func(_ context.Context, v visit) error { d.note("%s comes", v.Name); return nil }).
			Compensate(func(_ context.Context, e step.Effect[visit, visit]) error {
				d.note("%s is undone", e.In.Name)
				return nil
			})).
		Delay("stay", func(visit) time.Duration { return time.Minute }).
		Then(step.Do("go", func(_ context.Context, v visit) error { d.note("%s goes", v.Name); return nil }).ReadOnly())
}

func come(t *testing.T, f flow.Flow[visit, visit], e *flow.Engine, room string, names ...string) (futures []flow.Future[visit]) {
	t.Helper()
	for _, name := range names {
		futures = append(futures, start(t, f, e, visit{Room: room, Name: name}, flow.ID(name)))
	}
	return futures
}

func snapshot(t *testing.T, e *flow.Engine, id string) flow.Snapshot {
	t.Helper()
	snap, err := e.Snapshot(t.Context(), id)
	require.NoError(t, err)
	return snap
}

func TestSagasOfOneKeyRunInOrderOfStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		f := d.visits().KeyedBy(func(v visit) string { return v.Room })
		e := running(t, newBroker(), flow.Options{}, f)
		begun := time.Now()
		futures := come(t, f, e, "red", "a", "b", "c")
		other := come(t, f, e, "blue", "x")
		settle()
		assert.ElementsMatch(t, []string{"a comes", "x comes"}, d.read())
		claim, err := f.Holder(t.Context(), e, "red")
		require.NoError(t, err)
		assert.Equal(t, flow.Claim{Key: "red", Flow: "visit", Holder: "a", Waiting: []string{"b", "c"}}, claim)

		done(t, other[0])
		assert.Equal(t, time.Minute, time.Since(begun))
		for _, future := range futures {
			done(t, future)
		}
		assert.Equal(t, 3*time.Minute, time.Since(begun))
		order := slices.DeleteFunc(d.read(), func(line string) bool { return strings.HasPrefix(line, "x") })
		assert.Equal(t, []string{"a comes", "a goes", "b comes", "b goes", "c comes", "c goes"}, order)
		claim, err = f.Holder(t.Context(), e, "red")
		require.NoError(t, err)
		assert.Equal(t, flow.Claim{Key: "red", Flow: "visit"}, claim)
	})
}

func TestASagaThatWaitsForALockSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		f := d.visits().Lock(visit.rooms)
		e := running(t, newBroker(), flow.Options{}, f)
		a := come(t, f, e, "red+blue", "a")[0]
		b := come(t, f, e, "blue+green", "b")[0]
		settle()
		snap := snapshot(t, e, "b")
		assert.Equal(t, flow.StateWaiting, snap.State)
		assert.Empty(t, snap.Steps)
		claim, waits := snap.WaitsFor()
		assert.True(t, waits)
		assert.Equal(t, flow.Claim{Key: "blue", Holder: "a"}, claim)
		assert.Equal(t, `lock "blue"`, claim.String())

		snap = snapshot(t, e, "a")
		assert.Equal(t, flow.StateRunning, snap.State)
		assert.Equal(t, []flow.Claim{{Key: "blue", Holder: "a"}, {Key: "red", Holder: "a"}}, snap.Claims)
		_, waits = snap.WaitsFor()
		assert.False(t, waits)
		var listed []string
		for snap, err := range e.List(t.Context(), flow.Filter{State: flow.StateWaiting}) {
			require.NoError(t, err)
			listed = append(listed, snap.SagaID)
		}
		assert.Equal(t, []string{"b"}, listed)

		done(t, a)
		settle()
		assert.Equal(t, flow.StateRunning, snapshot(t, e, "b").State)
		assert.Equal(t, visit{"blue+green", "b"}, done(t, b))
		assert.Empty(t, snapshot(t, e, "b").Claims)
		claim, err := e.Holder(t.Context(), "blue")
		require.NoError(t, err)
		assert.Equal(t, flow.Claim{Key: "blue"}, claim)
	})
}

func TestAStartThatDoesNotWaitIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		f := d.visits().LockOrRefuse(visit.rooms)
		e := running(t, newBroker(), flow.Options{}, f)
		a := come(t, f, e, "red", "a")[0]
		_, err := f.Start(t.Context(), e, visit{"blue+red", "b"}, flow.ID("b"))
		require.ErrorIs(t, err, flow.ErrLocked)
		locked, ok := errors.AsType[*flow.LockedError](err)
		require.True(t, ok)
		assert.Equal(t, flow.LockedError{Key: "red", Holder: "a"}, *locked)
		assert.EqualError(t, err, `flow: start saga "b" of "visit": flow: saga "a" holds the lock "red"`)
		_, err = e.Snapshot(t.Context(), "b")
		require.ErrorIs(t, err, flow.ErrUnknown)
		come(t, f, e, "blue", "c")
		come(t, f, e, "red", "a") // it is the same saga
		done(t, a)
		done(t, come(t, f, e, "red", "b")[0])
	})
}

func TestASagaThatWaitsCanEndBeforeItBegins(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, f flow.Future[visit]){
		"cancelled": func(t *testing.T, f flow.Future[visit]) {
			require.NoError(t, f.Cancel(t.Context(), "too late"))
			require.ErrorIs(t, failed(t, f), flow.ErrCancelled)
		},
		"deadline": func(t *testing.T, f flow.Future[visit]) {
			begun := time.Now()
			require.ErrorIs(t, failed(t, f), flow.ErrDeadline)
			require.Equal(t, 30*time.Second, time.Since(begun))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var d diary
				patient := d.visits().Lock(visit.rooms)
				f := d.visits().As("impatient").Lock(visit.rooms).Deadline(30 * time.Second)
				b := newBroker()
				e := running(t, b, flow.Options{}, patient, f)
				a := come(t, patient, e, "red", "a")[0]
				waits := come(t, f, e, "red", "b")[0]
				last := come(t, patient, e, "red", "c")[0]
				settle()
				require.Equal(t, broker.Parked, stateOf(t, b, "b"))
				end(t, waits)
				claim, err := e.Holder(t.Context(), "red")
				require.NoError(t, err)
				require.Equal(t, flow.Claim{Key: "red", Holder: "a", Waiting: []string{"c"}}, claim)
				done(t, a)
				done(t, last)
				require.Equal(t, []string{"a comes", "a goes", "c comes", "c goes"}, d.read())
			})
		})
	}
}

func TestADeadLetterKeepsItsLocksLoudly(t *testing.T) {
	for name, decide := range map[string]func(ctx context.Context, e *flow.Engine) error{
		"relay":  func(ctx context.Context, e *flow.Engine) error { return e.Relay(ctx, "dead", ada) },
		"settle": func(ctx context.Context, e *flow.Engine) error { return e.SettleFailed(ctx, "dead", nil, ada) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var repaired atomic.Bool
				locks := func(int) []string { return []string{"the lock"} }
				f := dead(&repaired).Lock(locks)
				waits := flow.New[int]("waits").Lock(locks).Then(adds("one", 1))
				letters := make(chan flow.DeadLetter, 1)
				e := running(t, newBroker(), flow.Options{OnDeadLetter: func(_ context.Context, d flow.DeadLetter) { letters <- d }}, f, waits)
				start(t, f, e, 1, flow.ID("dead"))
				assert.Equal(t, []flow.Claim{{Key: "the lock"}}, (<-letters).Claims)
				require.NoError(t, e.Health(t.Context()))
				future := start(t, waits, e, 1, flow.ID("waits"))
				time.Sleep(time.Hour)
				assert.EqualError(t, e.Health(t.Context()),
					`flow: saga "dead" of "dead" is a dead letter, and saga "waits" waits for its lock "the lock": relay, skip or settle it`)
				assert.Equal(t, flow.StateWaiting, snapshot(t, e, "waits").State)
				repaired.Store(true)
				require.NoError(t, decide(t.Context(), e))
				assert.Equal(t, 2, done(t, future))
				require.NoError(t, e.Health(t.Context()))
			})
		})
	}
}

func TestLocksAreGivenBackWhenASagaIsUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		f := d.visits().Lock(visit.rooms)
		e := running(t, newBroker(), flow.Options{}, f)
		futures := come(t, f, e, "red", "a", "b")
		settle()
		require.NoError(t, futures[0].Cancel(t.Context(), ""))
		failed(t, futures[0])
		done(t, futures[1])
		assert.Equal(t, []string{"a comes", "a is undone", "b comes", "b goes"}, d.read())
	})
}

func TestAChildUsesTheLocksOfItsRoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		child := d.visits().Lock(visit.rooms)
		parent := flow.New[visit]("tour").
			Lock(func(v visit) []string { return v.rooms()[:1] }).
			Then(step.Do("ticket", func(context.Context, visit) error { return nil }).
				Compensate(func(context.Context, step.Effect[visit, visit]) error { d.note("ticket is undone"); return nil })).
			Then(flow.Child(flow.New[visit]("inner").Then(flow.Child(child))))
		e := running(t, newBroker(), flow.Options{}, parent, child)
		assert.Equal(t, visit{"red", "a"}, done(t, start(t, parent, e, visit{"red", "a"})))

		err := failed(t, start(t, parent, e, visit{"red+blue", "b"}, flow.ID("s")))
		require.ErrorIs(t, err, flow.ErrNotLocked)
		assert.ErrorContains(t, err, `"blue", which child "visit" locks`)
		assert.Equal(t, []string{"a comes", "a goes", "ticket is undone"}, d.read())
		claim, lookErr := e.Holder(t.Context(), "red")
		require.NoError(t, lookErr)
		assert.Empty(t, claim.Holder)
	})
}

func TestASagaThatWaitsOutlivesItsEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		f := d.visits().Lock(visit.rooms)
		b := newBroker()
		first := newEngine(b, flow.Options{Name: "first"}, f)
		stop := run(first)
		settle()
		come(t, f, first, "red", "a", "b")
		settle()
		b.kill("first")
		require.NoError(t, stop())

		unlocked := d.visits() // what was locked when it was started, stays so
		e := running(t, b, flow.Options{Name: "second"}, unlocked)
		done(t, unlocked.Attach(e, "a"))
		done(t, unlocked.Attach(e, "b"))
		order := slices.Compact(d.read()) // a may have come twice
		assert.Equal(t, []string{"a comes", "a goes", "b comes", "b goes"}, order)
	})
}

func TestMailForASagaThatWaitsIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stay := flow.NewSignal[int]("stay")
		f := flow.New[int]("f").KeyedBy(func(int) string { return "k" }).Wait(stay, func(a, b int) int { return a + b })
		e := running(t, newBroker(), flow.Options{}, f)
		first, second := start(t, f, e, 1, flow.ID("first")), start(t, f, e, 2, flow.ID("second"))
		settle()
		require.NoError(t, stay.Send(t.Context(), e, "second", 40))
		settle()
		assert.Equal(t, flow.StateWaiting, snapshot(t, e, "second").State)
		require.NoError(t, stay.Send(t.Context(), e, "first", 10))
		assert.Equal(t, 11, done(t, first))
		assert.Equal(t, 42, done(t, second))
	})
}

func TestWhatIsNoKeyIsNotStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(newBroker(), flow.Options{})
		for want, f := range map[string]flow.Flow[string, string]{
			"KeyedBy gave": flow.New[string]("keyed").KeyedBy(func(s string) string { return s }),
			"Lock gave":    flow.New[string]("locks").Lock(func(s string) []string { return []string{"good", s} }),
			"panicked":     flow.New[string]("panics").Lock(func(string) []string { panic("no") }),
		} {
			_, err := f.Start(t.Context(), e, "", flow.ID("s"))
			require.ErrorIs(t, err, flow.ErrKey)
			require.ErrorContains(t, err, want)
			_, err = e.Snapshot(t.Context(), "s")
			require.ErrorIs(t, err, flow.ErrUnknown)
		}
	})
}

func TestASagaWithoutKeysWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flow.New[int]("f").Lock(func(int) []string { return nil }).Then(adds("one", 1))
		e := running(t, newBroker(), flow.Options{}, f)
		assert.Equal(t, 2, done(t, start(t, f, e, 1, flow.ID("s"))))
	})
}

func TestASagaWithLocksIsNotImported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		f := d.visits().Lock(visit.rooms)
		b := newBroker()
		e := running(t, b, flow.Options{}, f)
		come(t, f, e, "red", "a")
		settle()
		x, err := flow.Export(t.Context(), b, "a")
		require.NoError(t, err)
		err = flow.Import(t.Context(), inmem.New(), x)
		require.ErrorIs(t, err, errors.ErrUnsupported)
		assert.ErrorContains(t, err, `it claims the lock "red"`)
	})
}

func TestLocksThatCannotBeDefined(t *testing.T) {
	locks, key := func(int) []string { return nil }, func(int) string { return "k" }
	base := flow.New[int]("f")
	for want, define := range map[string]func(){
		"Lock: keys is nil":                            func() { base.Lock(nil) },
		"KeyedBy: key is nil":                          func() { base.KeyedBy(nil) },
		"the flow has locks already":                   func() { base.Lock(locks).LockOrRefuse(locks) },
		"the flow has a key already":                   func() { base.KeyedBy(key).KeyedBy(key) },
		"LockOrRefuse: the flow has KeyedBy":           func() { base.KeyedBy(key).LockOrRefuse(locks) },
		"KeyedBy: the flow has LockOrRefuse":           func() { base.LockOrRefuse(locks).KeyedBy(key) },
		`flow "f", has Lock, which a saga has`:         func() { flow.New[int]("g").Then(base.Lock(locks)) },
		`flow "f", has LockOrRefuse, which a saga`:     func() { flow.New[int]("g").Then(base.LockOrRefuse(locks)) },
		"has KeyedBy, which a saga has as a whole":     func() { flow.New[int]("g").Then(base.KeyedBy(key)) },
		`Child of "f", which has KeyedBy`:              func() { flow.Child(base.KeyedBy(key)) },
		"make the flow a saga of its own with flow.Ch": func() { flow.New[int]("g").Then(base.Lock(locks)) },
	} {
		t.Run(want, func(t *testing.T) {
			defer func() { assert.Contains(t, fmt.Sprint(recover()), want) }()
			define()
		})
	}
}
