package travel

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/examples/internal/brokers"
	"github.com/skald-go/skald/examples/internal/partner"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// town is an agency and three services, each with a broker and an engine of its own. What the services do is in one ledger.
type town struct {
	*world
	network brokers.Network
	stop    map[string]func() // of the services that run
}

var desks = []string{"flight", "car", "hotel"}

func inTown(t *testing.T, test func(t *testing.T, w *town)) {
	brokers.InBubble(t, func(t *testing.T, k brokers.Kind, all bool) {
		n := k.Network(t)
		a := &Agency{partner.New(), step.Retry{Attempts: 3, Delay: k.Time(time.Second, 20*time.Millisecond)}}
		w := &town{&world{kind: k, Agency: a}, n, map[string]func(){}}
		w.travel = ByServices(n.Service("flight"), n.Service("car"), n.Service("hotel"))
		w.engine, _ = brokers.Run(t, n.Open(t, "agency"), flow.Options{Errors: Errors, DecodeAll: all}, w.travel)
		for _, desk := range desks {
			w.open(t, desk)
		}
		test(t, w)
	})
}

// open lets a service work.
func (w *town) open(t *testing.T, desk string) {
	_, w.stop[desk] = brokers.Run(t, w.network.Open(t, desk), flow.Options{Errors: Errors}, w.Desk(desk))
}

// begun waits until a desk has begun something.
func (w *town) begun(t *testing.T, call string) {
	t.Helper()
	brokers.Eventually(t, func() bool { return w.Begun(call) > 0 }, call)
}

func TestServicesBook(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		itinerary, err := w.book(t)
		require.NoError(t, err)
		assert.Equal(t, all, itinerary)
		assert.Len(t, w.Calls(), 3)
	})
}

func TestServicesTakeBackWhatCannotBeHadWithTheRest(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		w.Plan("hotel", partner.Fault{Slow: w.kind.Time(time.Second, 500*time.Millisecond), Err: ErrFull})
		_, err := w.book(t)
		requireUndone(t, err, ErrFull)
		assert.Equal(t, []string{"car", "flight", "undo car", "undo flight"}, sorted(w.did()))
	})
}

// The hotel's own service undoes what nobody knows of.
func TestServicesUndoWhatIsUnknown(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		w.Plan("hotel", partner.Fault{Lose: true}, partner.Fault{Err: partner.ErrDown}, partner.Fault{Err: partner.ErrDown})
		_, err := w.book(t)
		requireUndone(t, err, partner.ErrDown)
		w.requireNothingLeft(t)
		assert.Contains(t, w.did(), "undo hotel")
	})
}

func TestServiceThatIsAwayForAWhileLosesNothing(t *testing.T) {
	for _, away := range desks {
		t.Run(away, func(t *testing.T) {
			inTown(t, func(t *testing.T, w *town) {
				w.stop[away]()
				future := w.start(t)
				for _, other := range desks {
					if other != away {
						w.begun(t, other)
					}
				}
				time.Sleep(w.kind.Time(time.Hour, 0))
				w.open(t, away)
				itinerary, err := future.Await(t.Context())
				require.NoError(t, err)
				assert.Equal(t, all, itinerary)
				assert.Len(t, w.Calls(), 3)
			})
		})
	}
}

func TestServiceThatIsAwayDuringTheCancellationsLosesNothing(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		w.stop["hotel"]()
		w.Plan("hotel", partner.Fault{Err: ErrFull})
		future := w.start(t)
		brokers.Eventually(t, func() bool { return slices.Equal(sorted(w.did()), []string{"car", "flight"}) }, "the others book")
		w.stop["flight"]()
		w.open(t, "hotel")
		w.begun(t, "undo car")
		time.Sleep(w.kind.Time(time.Hour, 0))
		w.open(t, "flight")
		_, err := future.Await(t.Context())
		requireUndone(t, err, ErrFull)
		assert.Equal(t, []string{"car", "flight", "undo car", "undo flight"}, sorted(w.did()))
	})
}
