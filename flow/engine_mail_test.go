package flow_test

import (
	"context"
	"fmt"
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

var (
	payment   = flow.NewSignal[int]("paid")
	appendInt = func(sum string, n int) string { return sum + fmt.Sprint(n) }
)

// three waits for three signals, and shows their order.
func three() flow.Flow[string, string] {
	return flow.New[string]("three").Wait(payment, appendInt).Wait(payment.As("second"), appendInt).Wait(payment.As("third"), appendInt)
}

func TestSignals(t *testing.T) {
	for name, before := range map[string]func(t *testing.T, send func(n int), begin func()){
		"before the start": func(_ *testing.T, send func(int), begin func()) {
			send(1)
			send(2)
			send(3)
			begin()
		},
		"while it is parked": func(_ *testing.T, send func(int), begin func()) {
			begin()
			for n := range 3 {
				time.Sleep(time.Hour)
				send(n + 1)
			}
		},
		"all at once": func(_ *testing.T, send func(int), begin func()) {
			begin()
			settle()
			send(1)
			send(2)
			send(3)
		},
		"some of each": func(_ *testing.T, send func(int), begin func()) {
			send(1)
			begin()
			send(2)
			settle()
			send(3)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker()
				e := running(t, b, flow.Options{}, three())
				client := newEngine(b, flow.Options{})
				before(t, func(n int) {
					require.NoError(t, payment.Send(t.Context(), client, "s", n))
				}, func() { start(t, three(), e, ":", flow.ID("s")) })
				require.Equal(t, ":123", done(t, three().Attach(e, "s")), "first come, first served")
				require.ErrorIs(t, payment.Send(t.Context(), client, "s", 4), flow.ErrSettled)
			})
		})
	}
}

func TestASignalForASagaThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g := newBroker(), newGate()
		f := flow.New[int]("f").Both("both", g.at("held"),
			flow.New[int]("waits").Wait(payment, func(a, n int) int { return a + n }), func(_, x, y int) int { return 100*x + y })
		e := running(t, b, flow.Options{}, f)
		future := start(t, f, e, 1, flow.ID("s"))
		settle()
		require.Equal(t, broker.Owned, stateOf(t, b, "s"))
		require.NoError(t, payment.Send(t.Context(), newEngine(b, flow.Options{}), "s", 5))
		settle()
		snap, err := e.Snapshot(t.Context(), "s")
		require.NoError(t, err)
		require.Equal(t, "done", snap.Steps[1].State, "it does not wait for the next park")
		g.open()
		require.Equal(t, 206, done(t, future))
	})
}

func TestASignalUnderAnIDCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		e := running(t, b, flow.Options{}, three())
		send := func(n int, opts ...flow.SendOption) {
			require.NoError(t, payment.Send(t.Context(), e, "s", n, opts...))
		}
		send(1, flow.SignalID("p1"))
		send(1, flow.SignalID("p1"))
		future := start(t, three(), e, ":", flow.ID("s"))
		settle()
		send(9, flow.SignalID("p1"))
		send(2)
		time.Sleep(time.Hour)
		send(1, flow.SignalID("p1"))
		send(2)
		require.Equal(t, ":122", done(t, future))
	})
}

func TestSendRefuses(t *testing.T) {
	e := newEngine(newBroker(), flow.Options{MaxPayload: 100})
	text := flow.NewSignal[string]("text")
	for name, tt := range map[string]struct {
		send func() error
		is   error
		says string
	}{
		"zero signal": {func() error { return flow.Signal[int]{}.Send(t.Context(), e, "s", 1) }, flow.ErrZero, `flow: send a signal to saga "s": flow: a zero value was used`},
		"nil engine":  {func() error { return payment.Send(t.Context(), nil, "s", 1) }, flow.ErrZero, `"s"`},
		"no ID":       {func() error { return payment.Send(t.Context(), e, "", 1) }, flow.ErrID, `flow: send signal "paid" to saga "": flow: not an id: it has 0 bytes`},
		"huge ID":     {func() error { return payment.Send(t.Context(), e, strings.Repeat("x", 10<<10), 1) }, flow.ErrID, `it has 10240 bytes`},
		"unprintable": {func() error { return payment.Send(t.Context(), e, "a\x00b", 1) }, flow.ErrID, `it cannot be printed`},
		"too large":   {func() error { return text.Send(t.Context(), e, "s", strings.Repeat("x", 200)) }, flow.ErrTooLarge, `it has 202 bytes, Options.MaxPayload is 100`},
		"no SignalID": {func() error { return payment.Send(t.Context(), e, "s", 1, flow.SignalID("")) }, flow.ErrID, `the SignalID: flow: not an id: it has 0 bytes`},
		"huge SignalID": {func() error { return payment.Send(t.Context(), e, "s", 1, flow.SignalID(strings.Repeat("x", 300))) },
			flow.ErrID, `the SignalID: flow: not an id: it has 300 bytes`},
		"not encodable": {func() error { return flow.NewSignal[failing]("bad").Send(t.Context(), e, "s", failing{}) }, flow.ErrPayload,
			`flow: send signal "bad" to saga "s": flow: payload: encode a flow_test.failing: `},
	} {
		t.Run(name, func(t *testing.T) {
			err := tt.send()
			require.ErrorIs(t, err, tt.is)
			require.ErrorContains(t, err, tt.says)
			require.Less(t, len(err.Error()), 500)
		})
	}
	full := newEngine(inmem.New(inmem.EarlyMail(time.Hour, 1)), flow.Options{})
	require.NoError(t, payment.Send(t.Context(), full, "a", 1))
	require.ErrorIs(t, payment.Send(t.Context(), full, "b", 1), flow.ErrOverloaded)
}

// Somebody may send what the saga cannot read: nothing is lost, and a person is told.
func TestASignalThatCannotBeReadMakesADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		text := flow.NewSignal[string]("paid")
		f := flow.New[int]("f").Wait(payment, func(a, n int) int { return a + n })
		e := newEngine(b, flow.Options{}, f)
		stop := run(e)
		settle()
		future := start(t, f, e, 1, flow.ID("s"))
		require.NoError(t, text.Send(t.Context(), e, "s", "seven", flow.SignalID("p1")))
		err := failed(t, future)
		require.Equal(t, flow.StateDeadLetter, err.State)
		require.ErrorContains(t, err, `signal "signal-p1"`)
		require.NotContains(t, err.Error(), "seven")
		require.NoError(t, stop())

		repaired := flow.New[int]("f").Wait(text, func(a int, s string) int { return a + len(s) })
		other := running(t, b, flow.Options{}, repaired)
		require.NoError(t, other.Relay(t.Context(), "s", flow.By{Who: "ada"}))
		require.Equal(t, 6, done(t, repaired.Attach(other, "s")))
	})
}

func TestWaitForInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flow.New[int]("f").WaitFor(payment, 48*time.Hour, func(a, n int) int { return a + n }, adds("late", 1000))
		b := newBroker()
		e := running(t, b, flow.Options{}, f)
		began := time.Now()
		require.Equal(t, 1001, done(t, start(t, f, e, 1)))
		require.Equal(t, 48*time.Hour, time.Since(began))

		future := start(t, f, e, 1, flow.ID("s"))
		time.Sleep(48*time.Hour - time.Nanosecond)
		require.NoError(t, payment.Send(t.Context(), e, "s", 5))
		require.Equal(t, 6, done(t, future))

		future = start(t, f, e, 1, flow.ID("tie"))
		settle()
		time.Sleep(48 * time.Hour)
		require.Equal(t, 1001, done(t, future), "after it nothing helps")
	})
}

func TestDelaysSurviveTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		f := flow.New[int]("f").Delay("rest", func(int) time.Duration { return 24 * time.Hour })
		e := newEngine(b, flow.Options{}, f)
		stop := run(e)
		settle()
		began := time.Now()
		future := start(t, f, e, 1)
		settle()
		require.NoError(t, stop())
		time.Sleep(time.Hour)
		running(t, b, flow.Options{}, f)
		require.Equal(t, 1, done(t, future))
		require.Equal(t, 24*time.Hour, time.Since(began))
	})
}

// bookings is a child that books a trip part, and remembers what is booked.
type bookings struct {
	mu     sync.Mutex
	booked map[string]int
}

func (b *bookings) child(name string, s step.Step[int, int]) flow.ChildSaga[int, int] {
	return flow.Child(flow.New[int](name).Then(b.step("book-" + name)).Then(s))
}

func (b *bookings) step(name string) step.Step[int, int] {
	return step.New(name, func(_ context.Context, in int) (int, error) {
		b.add(name, 1)
		return in + 1, nil
	}).Compensate(func(context.Context, step.Effect[int, int]) error {
		b.add(name, -1)
		return nil
	})
}

func (b *bookings) add(name string, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.booked == nil {
		b.booked = map[string]int{}
	}
	b.booked[name] += n
}

// requireNothingLeft says that no saga is left but those that have ended.
func requireNothingLeft(t *testing.T, b broker.Broker, finished int) {
	t.Helper()
	time.Sleep(time.Minute)
	s := stats(t, b)
	s.Workers, s.Oldest = 0, 0
	require.Equal(t, broker.Stats{Finished: finished}, s)
}

func TestChildren(t *testing.T) {
	sum := func(_, a, b int) int { return a + b }
	ok := adds("ok", 10)
	no := step.New("no", func(context.Context, int) (int, error) { time.Sleep(time.Second); return 0, step.Refused(errDeclined) })
	for name, tt := range map[string]struct {
		flow   func(*bookings) flow.Flow[int, int]
		out    int
		err    error
		step   string
		booked map[string]int
		sagas  int
	}{
		"one": {
			flow:   func(b *bookings) flow.Flow[int, int] { return flow.New[int]("f").Then(b.child("hotel", ok)) },
			out:    12,
			booked: map[string]int{"book-hotel": 1},
			sagas:  2,
		},
		"it fails": {
			flow: func(b *bookings) flow.Flow[int, int] {
				return flow.New[int]("f").Then(b.step("flight")).Then(b.child("hotel", no))
			},
			err:    errDeclined,
			step:   "hotel",
			booked: map[string]int{"flight": 0, "book-hotel": 0},
			sagas:  2,
		},
		"the parent fails after it": {
			flow: func(b *bookings) flow.Flow[int, int] {
				return flow.New[int]("f").Then(b.child("hotel", ok)).Then(b.step("flight")).Then(no)
			},
			err:    errDeclined,
			step:   "no",
			booked: map[string]int{"flight": 0, "book-hotel": 0},
			sagas:  2,
		},
		"both": {
			flow: func(b *bookings) flow.Flow[int, int] {
				return flow.New[int]("f").Both("both", b.child("hotel", ok), b.child("car", ok), sum)
			},
			out:    24,
			booked: map[string]int{"book-hotel": 1, "book-car": 1},
			sagas:  3,
		},
		"one of both fails": {
			flow: func(b *bookings) flow.Flow[int, int] {
				return flow.New[int]("f").Both("both", b.child("hotel", ok), b.child("car", no), sum)
			},
			err:    errDeclined,
			step:   "both/car",
			booked: map[string]int{"book-hotel": 0, "book-car": 0},
			sagas:  3,
		},
		"each": {
			flow: func(b *bookings) flow.Flow[int, int] {
				return flow.New[int]("f").Each("each", func(int) []int { return []int{1, 2, 3} }, b.child("hotel", ok),
					func(_ int, outs []int) int { return len(outs) })
			},
			out:    3,
			booked: map[string]int{"book-hotel": 3},
			sagas:  4,
		},
		"each fails": {
			flow: func(b *bookings) flow.Flow[int, int] {
				third := step.New("third", func(_ context.Context, in int) (int, error) {
					if in == 4 {
						return 0, step.Refused(errDeclined)
					}
					return in, nil
				})
				return flow.New[int]("f").Each("each", func(int) []int { return []int{1, 2, 3} }, b.child("hotel", third),
					func(_ int, outs []int) int { return len(outs) })
			},
			err:    errDeclined,
			step:   "each[2]/hotel",
			booked: map[string]int{"book-hotel": 0},
			sagas:  4,
		},
		"race": {
			flow: func(b *bookings) flow.Flow[int, int] {
				later := step.New("ok", func(_ context.Context, in int) (int, error) { time.Sleep(time.Second / 2); return in + 10, nil })
				return flow.New[int]("f").Race("race", b.child("hotel", later), b.child("car", no))
			},
			out:    12,
			booked: map[string]int{"book-hotel": 1, "book-car": 0},
			sagas:  3,
		},
		"a child of a child": {
			flow: func(b *bookings) flow.Flow[int, int] {
				inner := flow.New[int]("trip").Then(b.child("hotel", ok)).Then(b.step("flight"))
				return flow.New[int]("f").Then(flow.Child(inner)).Then(no)
			},
			err:    errDeclined,
			step:   "no",
			booked: map[string]int{"flight": 0, "book-hotel": 0},
			sagas:  3,
		},
	} {
		for _, all := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " decoding all ", all), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, booked := newBroker(), &bookings{}
					f := tt.flow(booked)
					e := running(t, b, flow.Options{DecodeAll: all, Retention: time.Hour}, f)
					out, err := await(t, start(t, f, e, 1, flow.ID("s"), flow.WithHeaders(flow.Headers{"h": "v"})))
					if tt.err == nil {
						require.NoError(t, err)
						require.Equal(t, tt.out, out)
					} else {
						require.ErrorIs(t, err, tt.err)
						require.Equal(t, flow.StateUndone, err.(*flow.Error).State)
						require.Equal(t, tt.step, err.(*flow.Error).Step)
					}
					require.Equal(t, tt.booked, booked.booked)
					requireNothingLeft(t, b, tt.sagas)
				})
			})
		}
	}
}

func TestACancelReachesAChildThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g, booked := newBroker(), newGate(), &bookings{}
		f := flow.New[int]("f").Then(booked.step("flight")).Then(booked.child("hotel", g.at("held")))
		e := running(t, b, flow.Options{}, f)
		future := start(t, f, e, 1, flow.ID("s"))
		settle()
		require.EqualValues(t, 1, g.came.Load())
		require.NoError(t, future.Cancel(within(t, time.Minute), "enough"))
		require.ErrorIs(t, failed(t, future), flow.ErrCancelled)
		require.Equal(t, map[string]int{"flight": 0, "book-hotel": 0}, booked.booked)
		requireNothingLeft(t, b, 2)
	})
}

func TestAChildThatIsADeadLetterKeepsItsParentOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var repaired atomic.Bool
		hotel := flow.New[int]("hotel").Then(adds("book", 1).Compensate(func(context.Context, step.Effect[int, int]) error {
			if !repaired.Load() {
				return step.GiveUp(errBroken)
			}
			return nil
		})).Then(fails("pay", step.Refused(errDeclined)))
		f := flow.New[int]("f").Then(flow.Child(hotel))
		e := running(t, b, flow.Options{}, f)
		future := start(t, f, e, 1, flow.ID("s"))
		settle()
		require.Equal(t, broker.Buried, stateOf(t, b, "s/hotel"))
		_, err := future.Await(within(t, time.Hour))
		require.IsType(t, &flow.RunningError{}, err, "the parent waits")
		repaired.Store(true)
		require.NoError(t, e.Relay(t.Context(), "s/hotel", flow.By{Who: "ada"}))
		require.ErrorIs(t, failed(t, future), errDeclined)
		requireNothingLeft(t, b, 2)
	})
}

func TestAChildsFutureAndSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, booked := newBroker(), &bookings{}
		hotel := flow.New[int]("hotel").Then(booked.step("book"))
		f := flow.New[int]("f").Then(flow.Child(hotel)).Delay("rest", func(int) time.Duration { return time.Hour })
		e := running(t, b, flow.Options{}, f)
		future := start(t, f, e, 1, flow.ID("s"), flow.WithHeaders(flow.Headers{"h": "v"}))
		require.Equal(t, 2, done(t, hotel.Attach(e, "s/hotel")))
		snap, err := e.Snapshot(t.Context(), "s/hotel")
		require.NoError(t, err)
		require.Equal(t, "s", snap.Parent)
		require.Equal(t, flow.StateDone, snap.State)
		require.Equal(t, flow.Headers{"h": "v"}, snap.Headers)
		require.Equal(t, broker.Held, stateOf(t, b, "s/hotel"))
		require.ErrorIs(t, hotel.Attach(e, "s/hotel").Cancel(within(t, time.Minute), "no"), flow.ErrSettled)
		require.NoError(t, future.Cancel(within(t, time.Minute), "enough"))
		require.ErrorIs(t, failed(t, future), flow.ErrCancelled)
		require.Equal(t, flow.StateUndone, failed(t, hotel.Attach(e, "s/hotel")).State)
		require.Zero(t, booked.booked["book"])
	})
}

func TestChildrenRunWhereTheirFlowIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, booked := newBroker(), &bookings{}
		f := flow.New[int]("f").Both("both", booked.child("hotel", adds("ok", 1)), booked.child("car", adds("ok", 1)), func(_, x, y int) int { return x + y })
		for i := range 3 {
			running(t, b, flow.Options{Name: fmt.Sprint(i), Concurrency: 2}, f)
		}
		client := newEngine(b, flow.Options{})
		var futures []flow.Future[int]
		for i := range 30 {
			futures = append(futures, start(t, f, client, i))
		}
		for i, future := range futures {
			assert.Equal(t, 2*(i+2), done(t, future))
		}
		requireNothingLeft(t, b, 90)
	})
}
