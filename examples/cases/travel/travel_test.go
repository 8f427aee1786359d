package travel

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/examples/internal/brokers"
	"github.com/skald-go/skald/examples/internal/partner"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

func TestMain(m *testing.M) { brokers.Main(m) }

// variant is a way to book.
type variant struct {
	name    string
	of      func(*Agency) flow.Flow[Trip, Itinerary]
	prefix  string // of the steps' paths
	ordered bool   // what is undone is undone one after the other
}

var variants = []variant{
	{"one by one", (*Agency).OneByOne, "", true},
	{"at once", (*Agency).AtOnce, "book/", false},
	{"in order", (*Agency).InOrder, "book/", true},
	{"by children", (*Agency).ByChildren, "", false},
}

type world struct {
	variant
	*Agency
	kind   brokers.Kind
	engine *flow.Engine
	travel flow.Flow[Trip, Itinerary]
	dead   chan flow.DeadLetter
}

func each(t *testing.T, run brokers.Runner, test func(t *testing.T, w *world)) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			run(t, func(t *testing.T, k brokers.Kind, all bool) {
				a := &Agency{partner.New(), step.Retry{Attempts: 12, Delay: k.Time(time.Second, 20*time.Millisecond), MaxDelay: k.Time(10*time.Minute, 200*time.Millisecond)}}
				w := &world{variant: v, kind: k, Agency: a, travel: v.of(a), dead: make(chan flow.DeadLetter, 3)}
				w.engine, _ = brokers.Run(t, k.Open(t), flow.Options{
					Errors: Errors, DecodeAll: all, OnDeadLetter: func(_ context.Context, d flow.DeadLetter) { w.dead <- d },
				}, w.travel)
				test(t, w)
			})
		})
	}
}

var (
	trip = Trip{Who: "ada", Where: "Bergen"}
	all  = Itinerary{Flight: "flight for ada", Car: "car for ada", Hotel: "hotel for ada"}
)

func (w *world) start(t *testing.T) flow.Future[Itinerary] {
	future, err := w.travel.Start(t.Context(), w.engine, trip, flow.ID("trip-1"))
	require.NoError(t, err)
	return future
}

func (w *world) book(t *testing.T) (Itinerary, error) { return w.start(t).Await(t.Context()) }

// repair waits until a service that is down was asked in vain, and some time more, and lets it work again.
func (w *world) repair(t *testing.T, call string) {
	t.Helper()
	brokers.Eventually(t, func() bool { return w.Begun(call) > 1 }, "it is asked again")
	time.Sleep(w.kind.Time(2*time.Minute, 0))
	w.SetDown(call, false)
}

// did is what happened, without the steps' prefixes; in order only if the variant has one.
func (w *world) did() []string {
	did := w.Did()
	for k := range did {
		did[k] = strings.Replace(did[k], w.prefix, "", 1)
	}
	if !w.ordered {
		slices.Sort(did)
	}
	return did
}

func requireUndone(t *testing.T, err, cause error) {
	t.Helper()
	failed, ok := errors.AsType[*flow.Error](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, flow.StateUndone, failed.State)
	assert.ErrorIs(t, err, cause)
	assert.Contains(t, failed.Step, "hotel")
	assert.Empty(t, failed.Kept)
}

func TestEverythingIsBooked(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		itinerary, err := w.book(t)
		require.NoError(t, err)
		assert.Equal(t, all, itinerary)
		assert.Len(t, w.Calls(), 3)
	})
}

func TestFullHotelCancelsTheCarThenTheFlight(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.Plan(w.prefix+"hotel", partner.Fault{Slow: w.kind.Time(time.Second, 500*time.Millisecond), Err: ErrFull})
		_, err := w.book(t)
		requireUndone(t, err, ErrFull)
		assert.ElementsMatch(t, []string{"flight", "car", "undo car", "undo flight"}, w.did())
		if w.ordered {
			assert.Equal(t, []string{"undo car", "undo flight"}, w.did()[2:])
		}
	})
}

func TestFullHotelWhileTheOthersAreBooking(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.Plan(w.prefix+"flight", partner.Fault{Slow: w.kind.Time(30*time.Second, 600*time.Millisecond)})
		w.Plan(w.prefix+"car", partner.Fault{Lose: true}, partner.Fault{Slow: w.kind.Time(30*time.Second, 600*time.Millisecond)})
		w.Plan(w.prefix+"hotel", partner.Fault{Slow: w.kind.Time(10*time.Second, 200*time.Millisecond), Err: ErrFull})
		_, err := w.book(t)
		requireUndone(t, err, ErrFull)
		w.requireNothingLeft(t)
	})
}

// requireNothingLeft says that whatever was booked was cancelled, once.
func (w *world) requireNothingLeft(t *testing.T) {
	t.Helper()
	left := map[string]int{}
	for _, call := range w.did() {
		if what, undo := strings.CutPrefix(call, "undo "); undo {
			left[what]--
		} else {
			left[call]++
		}
	}
	for what, n := range left {
		assert.Zero(t, n, what)
	}
}

// The hotel's reply is lost until nobody asks any more: it is cancelled, too.
func TestUnknownHotelIsCancelledFirst(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.Plan(w.prefix+"hotel", partner.Fault{Lose: true})
		for range 11 {
			w.Plan(w.prefix+"hotel", partner.Fault{Err: partner.ErrDown})
		}
		_, err := w.book(t)
		requireUndone(t, err, partner.ErrDown)
		assert.Len(t, w.Of(w.prefix+"hotel"), 12)
		undos := w.did()
		if w.ordered {
			assert.Equal(t, []string{"undo hotel", "undo car", "undo flight"}, undos[3:])
		}
		assert.ElementsMatch(t, []string{"flight", "car", "hotel", "undo flight", "undo car", "undo hotel"}, undos)
		assert.False(t, w.Of("undo " + w.prefix + "hotel")[0].Known)
	})
}

func TestServiceThatIsDownForAWhileLosesNothing(t *testing.T) {
	for _, down := range []string{"flight", "car", "hotel"} {
		t.Run(down, func(t *testing.T) {
			each(t, brokers.InBubble, func(t *testing.T, w *world) {
				w.SetDown(w.prefix+down, true)
				future := w.start(t)
				w.repair(t, w.prefix+down)
				itinerary, err := future.Await(t.Context())
				require.NoError(t, err)
				assert.Equal(t, all, itinerary)
				assert.ElementsMatch(t, []string{"flight", "car", "hotel"}, w.did())
				assert.Greater(t, len(w.Of(w.prefix+down)), 1)
			})
		})
	}
}

func TestServiceThatIsDownDuringTheCancellationsLosesNothing(t *testing.T) {
	for _, down := range []string{"flight", "car"} {
		t.Run(down, func(t *testing.T) {
			each(t, brokers.InBubble, func(t *testing.T, w *world) {
				w.Plan(w.prefix+"hotel", partner.Fault{Slow: w.kind.Time(time.Second, 500*time.Millisecond), Err: ErrFull})
				w.SetDown("undo "+w.prefix+down, true)
				future := w.start(t)
				w.repair(t, "undo "+w.prefix+down)
				_, err := future.Await(t.Context())
				requireUndone(t, err, ErrFull)
				w.requireNothingLeft(t)
				assert.Greater(t, len(w.Of("undo "+w.prefix+down)), 1)
			})
		})
	}
}

// A cancellation never works: the saga waits for a person, wherever its parts run.
func TestCancellationThatFailsForGoodIsRelayed(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.Plan(w.prefix+"hotel", partner.Fault{Slow: w.kind.Time(time.Second, 500*time.Millisecond), Err: ErrFull})
		w.SetDown("undo "+w.prefix+"car", true)
		future := w.start(t)
		stuck := <-w.dead
		assert.Equal(t, []string{"car", "flight", "undo flight"}, sorted(w.did()))

		w.SetDown("undo "+w.prefix+"car", false)
		require.NoError(t, w.engine.Relay(t.Context(), stuck.SagaID, flow.By{Who: "agent"}))
		_, err := future.Await(t.Context())
		requireUndone(t, err, ErrFull)
		w.requireNothingLeft(t)
	})
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}
