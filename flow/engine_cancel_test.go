package flow_test

import (
	"context"
	"errors"
	"math/rand/v2"
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

// Every state that a saga can be in when somebody cancels it, and the answer.
func TestCancel(t *testing.T) {
	undo := func(context.Context, step.Effect[int, int]) error { return nil }
	for name, tt := range map[string]struct {
		flow  func(*gate) flow.Flow[int, int]
		after time.Duration // the start
		want  error         // of Cancel
		end   error         // of the saga
	}{
		"an attempt runs": {
			flow: func(g *gate) flow.Flow[int, int] {
				return flow.New[int]("f").Then(adds("a", 1).Compensate(undo)).Then(g.at("held"))
			},
			end: flow.ErrCancelled,
		},
		"it waits for a time": {
			flow: func(*gate) flow.Flow[int, int] {
				return flow.New[int]("f").Then(adds("a", 1).Compensate(undo)).Delay("rest", func(int) time.Duration { return time.Hour })
			},
			end: flow.ErrCancelled,
		},
		"it waits for a signal": {
			flow: func(*gate) flow.Flow[int, int] {
				return flow.New[int]("f").Wait(flow.NewSignal[int]("sig"), func(a, b int) int { return a + b })
			},
			end: flow.ErrCancelled,
		},
		"it waits for another attempt": {
			flow: func(*gate) flow.Flow[int, int] {
				return flow.New[int]("f").Then(fails("a", errBroken).Retry(step.Retry{Attempts: 9, Delay: time.Hour, MaxDelay: time.Hour}).Compensate(undo))
			},
			after: time.Millisecond,
			end:   flow.ErrCancelled,
		},
		"it goes back": {flow: undoing, want: flow.ErrCompensating, end: errDeclined},
		"it is done": {
			flow:  func(*gate) flow.Flow[int, int] { return flow.New[int]("f").Then(adds("a", 1)) },
			after: time.Second,
			want:  flow.ErrSettled,
		},
		"it is undone": {
			flow:  func(*gate) flow.Flow[int, int] { return flow.New[int]("f").Then(fails("a", step.Refused(errDeclined))) },
			after: time.Second,
			want:  flow.ErrSettled,
			end:   errDeclined,
		},
		"it is a dead letter": {
			flow: func(*gate) flow.Flow[int, int] {
				return flow.New[int]("f").Then(fails("a", errDeclined).Compensate(func(context.Context, step.Effect[int, int]) error {
					return step.GiveUp(errBroken)
				}))
			},
			after: time.Second,
			want:  flow.ErrSettled,
			end:   errDeclined,
		},
		"its pivot runs": {
			flow: func(g *gate) flow.Flow[int, int] {
				return flow.New[int]("f").Then(g.at("pivot").Pivot())
			},
			want: flow.ErrPastPivot,
		},
		"it is past its pivot": {
			flow: func(g *gate) flow.Flow[int, int] {
				return flow.New[int]("f").Then(adds("pivot", 1).Pivot()).Then(g.at("held"))
			},
			want: flow.ErrPastPivot,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, g := newBroker(), newGate()
				f := tt.flow(g)
				e := running(t, b, flow.Options{}, f)
				start(t, f, e, 1, flow.ID("s"))
				settle()
				time.Sleep(tt.after)
				client := f.Attach(newEngine(b, flow.Options{}), "s") // another process
				err := client.Cancel(within(t, time.Minute), "changed my mind")
				requireAnswer(t, tt.want, err)
				if err != nil {
					require.ErrorContains(t, err, `flow: cancel saga "s" of "`)
				}
				g.open()
				_, end := await(t, f.Attach(e, "s"))
				requireAnswer(t, tt.end, end)
				if errors.Is(tt.end, flow.ErrCancelled) {
					require.ErrorContains(t, end, "changed my mind")
				}
			})
		})
	}
}

func requireAnswer(t *testing.T, want, err error) {
	t.Helper()
	if want == nil {
		require.NoError(t, err)
		return
	}
	require.ErrorIs(t, err, want)
}

func TestCancelTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		f := flow.New[int]("f").
			Then(adds("a", 1).Compensate(func(ctx context.Context, _ step.Effect[int, int]) error { return g.pass(ctx) }).Timeout(time.Hour)).
			Delay("rest", func(int) time.Duration { return time.Hour })
		e := running(t, newBroker(), flow.Options{}, f)
		future := start(t, f, e, 1)
		settle()
		ctx := within(t, time.Minute)
		require.NoError(t, future.Cancel(ctx, "first"))
		require.ErrorIs(t, future.Cancel(ctx, "second"), flow.ErrCompensating)
		g.open()
		require.ErrorContains(t, failed(t, future), "first")
		require.ErrorIs(t, future.Cancel(ctx, "third"), flow.ErrSettled)
	})
}

func TestOneOfManyCancelsWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flow.New[int]("f").Delay("rest", func(int) time.Duration { return time.Hour })
		e := running(t, newBroker(), flow.Options{}, f)
		future := start(t, f, e, 1)
		var won atomic.Int64
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				err := future.Cancel(within(t, time.Minute), "enough")
				if err == nil {
					won.Add(1)
					return
				}
				assert.True(t, errors.Is(err, flow.ErrSettled) || errors.Is(err, flow.ErrCompensating), "%v", err)
			})
		}
		all.Wait()
		require.EqualValues(t, 1, won.Load())
	})
}

// Whoever cancels is told the truth, however close the race with the last step is.
func TestCancelThatRacesWithTheEndTellsTheTruth(t *testing.T) {
	for range 30 {
		synctest.Test(t, func(t *testing.T) {
			f := flow.New[int]("f").Then(adds("a", 1).Compensate(func(context.Context, step.Effect[int, int]) error { return nil })).
				Then(step.New("last", func(_ context.Context, in int) (int, error) {
					time.Sleep(time.Millisecond)
					return in + 1, nil
				}))
			b := newBroker()
			e := running(t, b, flow.Options{}, f)
			client := newEngine(b, flow.Options{})
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					future := start(t, f, e, 1)
					time.Sleep(time.Millisecond + time.Duration(rand.IntN(3)-1))
					said := f.Attach(client, future.ID()).Cancel(within(t, time.Minute), "late")
					_, err := await(t, future)
					switch {
					case said == nil:
						assert.ErrorIs(t, err, flow.ErrCancelled)
					default:
						assert.ErrorIs(t, said, flow.ErrSettled)
						assert.NoError(t, err)
					}
				})
			}
			all.Wait()
		})
	}
}

func TestACancelThatNobodyAnswersStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		f := flow.New[int]("f").Delay("rest", func(int) time.Duration { return time.Hour })
		client := newEngine(b, flow.Options{})
		future := start(t, f, client, 1)
		err := future.Cancel(within(t, time.Second), "never mind")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "it was asked and has not answered")
		running(t, b, flow.Options{}, f)
		require.ErrorIs(t, failed(t, future), flow.ErrCancelled)
	})
}

// A cancel may cross with the saga becoming a dead letter.
func TestACancelThatCrossesWithADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &buryingBroker{fakeBroker: newBroker(), meanwhile: make(chan func(), 1)}
		var repaired atomic.Bool
		f := flow.New[int]("f").Then(adds("pivot", 1).Pivot()).Then(step.New("after", func(_ context.Context, in int) (int, error) {
			if !repaired.Load() {
				return 0, step.Permanent(errBroken)
			}
			return in, nil
		}))
		client := newEngine(b, flow.Options{})
		future := start(t, f, client, 1, flow.ID("s"))
		b.meanwhile <- func() {
			running(t, b.fakeBroker, flow.Options{}, f)
			require.Equal(t, broker.Buried, stateOf(t, b, "s"))
		}
		err := future.Cancel(within(t, time.Hour), "too late")
		require.ErrorContains(t, err, "it became a dead letter before it answered, and answers when somebody relays it")
		require.NotErrorIs(t, err, flow.ErrSettled)
		repaired.Store(true)
		require.NoError(t, client.Relay(t.Context(), "s", flow.By{Who: "ada"}))
		require.Equal(t, 2, done(t, future))
	})
}

// buryingBroker does something before it delivers an event.
type buryingBroker struct {
	*fakeBroker
	meanwhile chan func()
}

func (b *buryingBroker) Deliver(ctx context.Context, id string, ev broker.Event) error {
	(<-b.meanwhile)()
	return b.fakeBroker.Deliver(ctx, id, ev)
}

func TestAReasonIsShort(t *testing.T) {
	f := flow.New[int]("f")
	e := newEngine(inmem.New(), flow.Options{})
	err := start(t, f, e, 1).Cancel(t.Context(), strings.Repeat("because ", 10_000))
	require.ErrorIs(t, err, flow.ErrTooLarge)
}

func TestCancelOnAClosedBroker(t *testing.T) {
	b := newBroker()
	f := flow.New[int]("f")
	future := start(t, f, newEngine(b, flow.Options{}), 1)
	require.NoError(t, b.Close())
	require.ErrorIs(t, future.Cancel(t.Context(), ""), broker.ErrClosed)
}
