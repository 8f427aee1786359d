package flow_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	"github.com/skald-go/skald/step"
)

func TestListenersHearOfDeadLettersAfterTheyWereStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var repaired atomic.Bool
		b := newBroker()
		heard := make(chan flow.DeadLetter, 10)
		f := dead(&repaired)
		e := running(t, b, flow.Options{OnDeadLetter: func(ctx context.Context, d flow.DeadLetter) {
			assert.Equal(t, broker.Buried, stateOf(t, b, d.SagaID))
			heard <- d
			<-ctx.Done() // it may block, and holds up nobody
		}}, f, flow.New[int]("ok"))
		start(t, f, e, 1, flow.ID("s"), flow.WithHeaders(flow.Headers{"h": "v"}))
		d := <-heard
		require.Equal(t, "s", d.SagaID)
		require.Equal(t, "dead", d.Flow)
		require.Equal(t, flow.Headers{"h": "v"}, d.Headers)
		require.Equal(t, flow.StateDeadLetter, d.Err.State)
		require.ErrorIs(t, d.Err, errDeclined)
		require.Len(t, d.Err.Undone, 2)
		require.Equal(t, 1, done(t, start(t, flow.New[int]("ok"), e, 1)))
		require.Empty(t, heard)
	})
}

func TestListenersMayPanicOrEndTheirGoroutine(t *testing.T) {
	for name, listen := range map[string]func(){
		"panic":  func() { panic("listener") },
		"Goexit": func() { (&testing.T{}).FailNow() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logs
				var repaired atomic.Bool
				f := dead(&repaired)
				slow := flow.New[int]("slow").Delay("rest", func(int) time.Duration { return time.Hour })
				e := running(t, newBroker(), flow.Options{
					Logger: log.logger(), SlowAfter: time.Minute, Concurrency: 1,
					OnDeadLetter: func(context.Context, flow.DeadLetter) { listen() },
					OnAlert:      func(context.Context, flow.Alert) { listen() },
				}, f, slow)
				require.Equal(t, flow.StateDeadLetter, failed(t, start(t, f, e, 1)).State)
				require.Equal(t, 1, done(t, start(t, slow, e, 1)))
				settle()
				require.Equal(t, name == "panic", strings.Contains(log.String(), "a listener panicked"))
			})
		})
	}
}

func TestAlerts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logs
		alerts := make(chan flow.Alert, 10)
		g := newGate()
		slow := flow.New[int]("slow").Delay("rest", func(int) time.Duration { return time.Hour })
		late := flow.New[int]("late").Then(adds("pivot", 1).Pivot()).Then(g.at("held")).Deadline(10 * time.Minute)
		e := running(t, newBroker(), flow.Options{
			Logger: log.logger(), SlowAfter: 20 * time.Minute, OnAlert: func(_ context.Context, a flow.Alert) { alerts <- a },
		}, slow, late)
		began := time.Now()
		one := start(t, slow, e, 1, flow.ID("slow-1"), flow.WithHeaders(flow.Headers{"h": "v"}))
		two := start(t, late, e, 1, flow.ID("late-1"))
		want := func(kind flow.AlertKind, id, f string, h flow.Headers, after time.Duration) {
			t.Helper()
			a := <-alerts
			require.Equal(t, after, time.Since(began))
			require.WithinDuration(t, began, a.Started, 0)
			a.Started = time.Time{}
			require.Equal(t, flow.Alert{Kind: kind, SagaID: id, Flow: f, Headers: h}, a)
		}
		want(flow.AlertDeadline, "late-1", "late", nil, 10*time.Minute)
		for range 2 {
			a := <-alerts
			require.Equal(t, flow.AlertSlow, a.Kind)
			require.Equal(t, 20*time.Minute, time.Since(began))
		}
		g.open()
		require.Equal(t, 3, done(t, two), "a deadline past the pivot only alerts")
		require.Equal(t, 1, done(t, one))
		require.Empty(t, alerts, "each is told once")
		require.Contains(t, log.String(), "saga takes longer than it should")
		require.Contains(t, log.String(), "deadline passed, but the saga can only go forward")
	})
}

// user is carried by userCarrier from the caller into everything that a saga does.
type user struct{}

type userCarrier struct{}

func (userCarrier) Inject(ctx context.Context, h flow.Headers) {
	if u, ok := ctx.Value(user{}).(string); ok {
		h.Set("user", u)
	}
}

func (userCarrier) Extract(ctx context.Context, h flow.Headers) context.Context {
	return context.WithValue(ctx, user{}, h.Get("user"))
}

// userLog notes which users log lines belong to.
type userLog struct {
	slog.Handler
	mu    *sync.Mutex
	users map[string]string // message → user
}

func (l userLog) Handle(ctx context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.users[r.Message] = fmt.Sprint(ctx.Value(user{}))
	return nil
}

func (userLog) Enabled(context.Context, slog.Level) bool { return true }

func (l userLog) WithAttrs([]slog.Attr) slog.Handler { return l }

func (l userLog) WithGroup(string) slog.Handler { return l }

func TestPropagatorsReachEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		seen := map[string]string{}
		note := func(ctx context.Context, where string) {
			mu.Lock()
			defer mu.Unlock()
			seen[where] = fmt.Sprint(ctx.Value(user{}))
		}
		noted := func(name string) step.Step[int, int] {
			return step.New(name, func(ctx context.Context, in int) (int, error) {
				note(ctx, name)
				if name == "panics" {
					panic(name)
				}
				return in, nil
			})
		}
		child := flow.New[int]("child").Then(noted("in-child"))
		f := flow.New[int]("f").
			Then(noted("first").Compensate(func(ctx context.Context, _ step.Effect[int, int]) error {
				note(ctx, "undo")
				return step.GiveUp(errBroken)
			})).
			Then(flow.Child(child)).
			Delay("rest", func(int) time.Duration { return time.Hour }). // another worker goes on
			Then(noted("panics"))
		log := userLog{mu: &sync.Mutex{}, users: map[string]string{}}
		e := running(t, newBroker(), flow.Options{
			Propagators: []flow.Propagator{userCarrier{}}, Logger: slog.New(log), SlowAfter: time.Minute,
			OnDeadLetter: func(ctx context.Context, d flow.DeadLetter) { note(ctx, "dead letter") },
			OnAlert:      func(ctx context.Context, a flow.Alert) { note(ctx, "alert") },
		}, f)
		future, err := f.Start(context.WithValue(t.Context(), user{}, "u7"), e, 1)
		require.NoError(t, err)
		failed(t, future)
		settle()
		for _, where := range []string{"first", "in-child", "panics", "undo", "dead letter", "alert"} {
			require.Equal(t, "u7", seen[where], where)
		}
		for _, message := range []string{"step panicked", "saga is a dead letter: relay, skip or settle it", "saga takes longer than it should"} {
			require.Equal(t, "u7", log.users[message], message)
		}
	})
}

// brokenCarrier does what a propagator should not.
type brokenCarrier struct{ nothing bool }

func (brokenCarrier) Inject(context.Context, flow.Headers) {}

func (b brokenCarrier) Extract(ctx context.Context, _ flow.Headers) context.Context {
	if b.nothing {
		return nil
	}
	panic("extract")
}

// shortCarrier gives steps a context that has ended.
type shortCarrier struct{ brokenCarrier }

func (shortCarrier) Extract(ctx context.Context, _ flow.Headers) context.Context {
	ctx, cancel := context.WithCancel(context.WithValue(ctx, user{}, "u1"))
	cancel()
	return ctx
}

func TestBrokenPropagatorsBreakNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logs
		f := flow.New[int]("f").Then(step.New("a", func(ctx context.Context, in int) (int, error) {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			default:
				return in + len(ctx.Value(user{}).(string)), ctx.Err()
			}
		}))
		e := running(t, newBroker(), flow.Options{
			Propagators: []flow.Propagator{brokenCarrier{}, brokenCarrier{nothing: true}, shortCarrier{}}, Logger: log.logger(),
		}, f)
		require.Equal(t, 3, done(t, start(t, f, e, 1)))
		require.Contains(t, log.String(), "a propagator could not extract, going on without it")
	})
}

func TestCodecs(t *testing.T) {
	type order struct {
		ID    string
		Items []string
	}
	cipher := must(flow.Cipher(nil, flow.Key{ID: "k1", Secret: []byte("0123456789abcdef")}))
	for name, codec := range map[string]flow.Codec{"default": nil, "JSON": flow.JSON(), "cipher": cipher, "MsgPack": flow.MsgPack()} {
		for _, all := range []bool{false, true} {
			t.Run(fmt.Sprint(name, all), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var log logs
					sig := flow.NewSignal[order]("more")
					grow := step.New("grow", func(_ context.Context, o order) (order, error) {
						o.Items = append(o.Items, "secret-item")
						return o, nil
					}).Compensate(func(_ context.Context, e step.Effect[order, order]) error {
						if len(e.In.Items) != 1 || len(e.Out.Items) != 2 {
							return step.GiveUp(fmt.Errorf("%v", e))
						}
						return nil
					})
					refuse := step.New("refuse", func(context.Context, order) (order, error) {
						return order{}, step.Refused(fmt.Errorf("%w: card 7", errDeclined))
					})
					join := func(a, b order) order { a.Items = append(a.Items, b.Items...); return a }
					good := flow.New[order]("good").Then(grow).Wait(sig, join)
					bad := flow.New[order]("bad").Then(grow).Then(flow.Child(flow.New[order]("child").Then(refuse)))
					b := newBroker()
					o := flow.Options{Codec: codec, DecodeAll: all, Logger: log.logger()}
					e := running(t, b, o, good, bad)
					client := newEngine(b, o)
					in := order{ID: "secret-id", Items: []string{"x"}}
					require.NoError(t, sig.Send(t.Context(), client, "s", order{Items: []string{"z"}}))
					start(t, good, client, in, flow.ID("s"))
					require.Equal(t, []string{"x", "secret-item", "z"}, done(t, good.Attach(client, "s")).Items)
					start(t, bad, client, in, flow.ID("t"))
					err := failed(t, bad.Attach(client, "t"))
					require.ErrorIs(t, err, errDeclined)
					require.Equal(t, flow.StateUndone, err.State)
					require.NotContains(t, log.String(), "secret")
					require.Equal(t, "s", start(t, good, e, in, flow.ID("s")).ID(), "the same input is the same saga under every codec")
				})
			})
		}
	}
}

func TestNoPayloadIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const secret = "hunter2"
		var log logs
		var calls atomic.Int64
		b := newBroker()
		f := flow.New[string]("f").
			Then(step.New("a", func(ctx context.Context, in string) (string, error) {
				switch calls.Add(1) {
				case 1:
					panic("boom")
				case 2:
					b.kill("e")
					<-ctx.Done()
					return "", ctx.Err()
				case 3:
					<-ctx.Done()
					time.Sleep(time.Hour)
				}
				return in + "!", nil
			}).Retry(step.Retry{Attempts: 9, Delay: time.Nanosecond}).Timeout(time.Second)).
			Wait(flow.NewSignal[string]("password"), func(a, b string) string { return a + b }).
			Then(step.New("dead", func(context.Context, string) (string, error) { return "", step.Permanent(errBroken) }).
				Compensate(func(context.Context, step.Effect[string, string]) error { return step.GiveUp(errBroken) }))
		e := running(t, b, flow.Options{Name: "e", Logger: log.logger(), SlowAfter: time.Second}, f)
		future := start(t, f, e, secret, flow.ID("s"))
		require.NoError(t, flow.NewSignal[string]("password").Send(t.Context(), e, "s", secret))
		failed(t, future)
		require.NoError(t, f.SettleDone(t.Context(), e, "s", secret, ada))
		require.Equal(t, secret, done(t, future))
		synctest.Wait()
		for _, line := range []string{
			"step panicked", "saga taken over from a dead worker", "an attempt did not return", "saga is a dead letter",
			"a person decided about a dead letter", "saga takes longer than it should", "this worker was declared dead",
		} {
			require.Contains(t, log.String(), line)
		}
		require.NotContains(t, log.String(), secret)
		time.Sleep(time.Hour) // for the attempt that does not return
	})
}

func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flow.New[int]("f").Then(adds("a", 1))
		b := newBroker()
		e := running(t, b, flow.Options{Retention: 10 * time.Minute}, f)
		future := start(t, f, e, 1, flow.ID("s"))
		require.Equal(t, 2, done(t, future))
		time.Sleep(10*time.Minute - time.Second)
		require.Equal(t, 2, done(t, f.Attach(newEngine(b, flow.Options{}), "s")))
		time.Sleep(2 * time.Second)
		_, err := e.Snapshot(t.Context(), "s")
		require.ErrorIs(t, err, flow.ErrUnknown)
		require.Zero(t, stats(t, b).Finished)
		require.Equal(t, 2, done(t, future), "who holds a result keeps it")
	})
}

func TestErrorsTravelWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		child := flow.New[int]("child").Then(adds("kept", 1)).Then(fails("no", step.Refused(fmt.Errorf("card 7: %w", errDeclined))))
		f := flow.New[int]("f").
			Then(adds("a", 1).Compensate(func(context.Context, step.Effect[int, int]) error { return nil })).
			Then(flow.Child(child))
		e := running(t, b, flow.Options{}, f)
		mine := failed(t, start(t, f, e, 1, flow.ID("s")))
		theirs := failed(t, f.Attach(newEngine(b, flow.Options{}), "s"))
		require.Equal(t, mine.Error(), theirs.Error())
		require.Equal(t, `flow: saga "s" of "f" is undone: step "child" failed: flow: saga "s/child" of "child" is undone: step "no" failed: `+
			`card 7: bank: declined; effects that stay: kept; effects that stay: child/kept`, mine.Error())
		for _, err := range []*flow.Error{mine, theirs} {
			require.ErrorIs(t, err, errDeclined)
			inner, ok := errors.AsType[*flow.Error](err.Cause)
			require.True(t, ok)
			require.Equal(t, "s/child", inner.SagaID)
			require.Equal(t, flow.StateUndone, inner.State)
			require.Equal(t, []string{"kept"}, inner.Kept)
			require.Equal(t, []string{"child/kept"}, err.Kept)
			require.Equal(t, []flow.Undo{{Step: "a"}}, err.Undone)
		}
	})
}

// A step may wait for another saga, and fail with what that says.
func TestEngineErrorsTravelThroughSteps(t *testing.T) {
	for _, want := range []error{
		flow.ErrConflict, flow.ErrOverloaded, flow.ErrUnknown, flow.ErrSettled, flow.ErrPastPivot, flow.ErrCompensating, flow.ErrEnded,
		flow.ErrID, flow.ErrPayload, flow.ErrZero, flow.ErrNotDead, flow.ErrDeadline, flow.ErrCancelled, flow.ErrTakeovers, flow.ErrTooLarge,
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker()
			f := flow.New[int]("f").Then(fails("a", step.Refused(fmt.Errorf("other saga: %w", want))))
			e := running(t, b, flow.Options{}, f)
			start(t, f, e, 1, flow.ID("s"))
			require.ErrorIs(t, failed(t, f.Attach(newEngine(b, flow.Options{}), "s")), want)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		f := flow.New[int]("f").Then(fails("a", step.Refused(&flow.RunningError{SagaID: "other", Flow: "g", Err: context.DeadlineExceeded})))
		e := running(t, b, flow.Options{}, f)
		start(t, f, e, 1, flow.ID("s"))
		err := failed(t, f.Attach(newEngine(b, flow.Options{}), "s"))
		open, ok := errors.AsType[*flow.RunningError](err)
		require.True(t, ok)
		require.Equal(t, "other", open.SagaID)
		require.Equal(t, "g", open.Flow)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}
