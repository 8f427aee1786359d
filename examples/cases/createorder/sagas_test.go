package createorder

import (
	"context"
	"errors"
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

// world is a restaurant with an engine that runs its sagas.
type world struct {
	*Restaurant
	kind   brokers.Kind
	engine *flow.Engine
	create flow.Flow[Order, Accepted]
	cancel flow.Flow[Accepted, Accepted]
	revise flow.Flow[Revision, Revised]
	alerts chan flow.Alert
	dead   chan flow.DeadLetter
}

func each(t *testing.T, run brokers.Runner, test func(t *testing.T, w *world)) {
	run(t, func(t *testing.T, k brokers.Kind, all bool) {
		r := Open()
		r.UntilDone.Delay = k.Time(time.Second, 10*time.Millisecond)
		r.UntilDone.MaxDelay = k.Time(10*time.Minute, 100*time.Millisecond)
		w := &world{
			Restaurant: r, kind: k, create: r.Create().Deadline(k.Time(12*time.Hour, 5*time.Second)), cancel: r.Cancel(), revise: r.Revise(),
			alerts: make(chan flow.Alert, 10), dead: make(chan flow.DeadLetter, 10),
		}
		w.engine, _ = brokers.Run(t, k.Open(t), flow.Options{
			Errors: Errors, DecodeAll: all, SlowAfter: k.Time(time.Hour, time.Second),
			OnAlert:      func(_ context.Context, a flow.Alert) { w.alerts <- a },
			OnDeadLetter: func(_ context.Context, d flow.DeadLetter) { w.dead <- d },
		}, w.create, w.cancel, w.revise)
		test(t, w)
	})
}

var (
	lunch  = Order{ID: "o-1", Consumer: "ada", Card: "visa", Total: 40}
	ticket = Ticket{ID: "ticket-of-o-1"}
	eaten  = Accepted{lunch, ticket}
)

const (
	create, verify, newTicket, authorize = "create-order", "verify-consumer", "create-ticket", "authorize-card"
	confirm, approve                     = "confirm-ticket", "approve-order"
)

func (w *world) start(t *testing.T, o Order) flow.Future[Accepted] {
	future, err := w.create.Start(t.Context(), w.engine, o, flow.ID(o.ID))
	require.NoError(t, err)
	return future
}

// placed is a world in which lunch was ordered, and nothing is in the log.
func (w *world) placed() {
	w.Orders["o-1"], w.Tickets[ticket.ID], w.Cards["visa"] = "approved", "confirmed", 40
}

func requireUndone(t *testing.T, err, cause error, step string) {
	t.Helper()
	failed, ok := errors.AsType[*flow.Error](err)
	require.True(t, ok, "%v", err)
	assert.ErrorIs(t, err, cause)
	assert.Equal(t, flow.StateUndone, failed.State)
	assert.Equal(t, step, failed.Step)
	assert.Empty(t, failed.Kept)
}

func TestStepPathsStay(t *testing.T) {
	r := Open()
	assert.Equal(t, []string{create, verify, newTicket, authorize, confirm, approve}, r.Create().Steps())
	assert.Equal(t, []string{"begin-cancel-order", "begin-cancel-ticket", "reverse-card", "confirm-cancel-ticket", "confirm-cancel-order"}, r.Cancel().Steps())
	assert.Equal(t, []string{"begin-revise-order", "begin-revise-ticket", "revise-card", "confirm-revise-ticket", "confirm-revise-order"}, r.Revise().Steps())
}

func TestOrderIsCreatedInOrder(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		accepted, err := w.start(t, lunch).Await(t.Context())
		require.NoError(t, err)
		assert.Equal(t, eaten, accepted)
		assert.Equal(t, []string{create, verify, newTicket, authorize, confirm, approve}, w.Did())
		assert.Len(t, w.Calls(), 6)
		assert.Equal(t, "approved", w.Orders["o-1"])
		assert.Equal(t, "confirmed", w.Tickets[ticket.ID])
		assert.Equal(t, 40, w.Cards["visa"])
	})
}

func TestInvalidConsumerOnlyRejectsTheOrder(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		order := lunch
		order.Consumer = "nobody"
		_, err := w.start(t, order).Await(t.Context())
		requireUndone(t, err, ErrConsumer, verify)
		assert.Equal(t, []string{create, "undo " + create}, w.Did())
		assert.Equal(t, "rejected", w.Orders["o-1"])
	})
}

func TestRefusedCardCancelsTheTicketThenRejectsTheOrder(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		order := lunch
		order.Card = "expired"
		_, err := w.start(t, order).Await(t.Context())
		requireUndone(t, err, ErrCard, authorize)
		assert.Equal(t, []string{create, verify, newTicket, "undo " + newTicket, "undo " + create}, w.Did())
		assert.Equal(t, "cancelled", w.Tickets[ticket.ID])
		assert.Equal(t, "rejected", w.Orders["o-1"])
		assert.Len(t, w.Of(authorize), 1)
	})
}

func TestLostReplyOfTheTicketCancelsItWithoutItsID(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.Plan(newTicket, partner.Fault{Lose: true})
		_, err := w.start(t, lunch).Await(t.Context())
		requireUndone(t, err, partner.ErrDown, newTicket)
		assert.Equal(t, []string{create, verify, newTicket, "undo " + newTicket, "undo " + create}, w.Did())
		assert.False(t, w.Of("undo " + newTicket)[0].Known)
		assert.Equal(t, "cancelled", w.Tickets[ticket.ID])
	})
}

// The pivot's reply is lost: it is asked until it is known, and happens once.
func TestPivotIsAskedUntilItsOutcomeIsKnown(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.Plan(authorize, partner.Fault{Err: partner.ErrDown}, partner.Fault{Lose: true}, partner.Fault{Err: partner.ErrDown})
		_, err := w.start(t, lunch).Await(t.Context())
		require.NoError(t, err)
		assert.Len(t, w.Of(authorize), 4)
		assert.Equal(t, []string{create, verify, newTicket, authorize, confirm, approve}, w.Did())
	})
}

func TestNeitherCancelNorDeadlineActsWhileThePivotIsOpen(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.SetDown(authorize, true)
		future := w.start(t, lunch)
		brokers.Eventually(t, func() bool { return w.Begun(authorize) > 0 }, "the card is asked")
		assert.ErrorIs(t, future.Cancel(t.Context(), "changed my mind"), flow.ErrPastPivot)
		time.Sleep(w.kind.Time(13*time.Hour, 6*time.Second))
		_, _, settled := future.Result()
		require.False(t, settled)
		w.SetDown(authorize, false)
		_, err := future.Await(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{create, verify, newTicket, authorize, confirm, approve}, w.Did())
	})
}

func TestAfterThePivotStepsAreTriedUntilTheyAreDoneAndAlert(t *testing.T) {
	for _, name := range []string{confirm, approve} {
		t.Run(name, func(t *testing.T) {
			each(t, brokers.InBubble, func(t *testing.T, w *world) {
				w.SetDown(name, true)
				future := w.start(t, lunch)
				if w.kind.Virtual {
					time.Sleep(59 * time.Minute)
					assert.Empty(t, w.alerts)
				}
				slow := <-w.alerts
				assert.Equal(t, flow.AlertSlow, slow.Kind)
				assert.Equal(t, "o-1", slow.SagaID)
				assert.ErrorIs(t, future.Cancel(t.Context(), "changed my mind"), flow.ErrPastPivot)
				late := <-w.alerts
				assert.Equal(t, flow.AlertDeadline, late.Kind)
				assert.Equal(t, "o-1", late.SagaID)

				tries := len(w.Of(name))
				if w.kind.Virtual {
					assert.Greater(t, tries, 60, "about one in five minutes")
				}
				w.SetDown(name, false)
				accepted, err := future.Await(t.Context())
				require.NoError(t, err)
				assert.Equal(t, eaten, accepted)
				assert.Equal(t, []string{create, verify, newTicket, authorize, confirm, approve}, w.Did())
				assert.Empty(t, w.alerts)
			})
		})
	}
}

func TestRefusalAfterThePivotNeedsAPerson(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.Plan(confirm, partner.Fault{Err: step.Refused(ErrCooking)})
		future := w.start(t, lunch)
		_, err := future.Await(t.Context())
		failed, ok := errors.AsType[*flow.Error](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, flow.StateDeadLetter, failed.State)
		assert.ErrorIs(t, err, ErrCooking)
		assert.Equal(t, "o-1", (<-w.dead).SagaID)
		assert.Equal(t, []string{create, verify, newTicket, authorize}, w.Did(), "nothing is undone")

		require.NoError(t, w.engine.Relay(t.Context(), "o-1", flow.By{Who: "cook", Why: "it was another order"}))
		accepted, err := w.create.Attach(w.engine, "o-1").Await(t.Context())
		require.NoError(t, err)
		assert.Equal(t, eaten, accepted)
		assert.Equal(t, []string{create, verify, newTicket, authorize, confirm, approve}, w.Did())
	})
}

func TestCancelOrder(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.placed()
		future, err := w.cancel.Start(t.Context(), w.engine, eaten)
		require.NoError(t, err)
		_, err = future.Await(t.Context())
		require.NoError(t, err)
		assert.Equal(t, w.cancel.Steps(), w.Did())
		assert.Equal(t, []any{"cancelled", "cancelled", 0}, []any{w.Orders["o-1"], w.Tickets[ticket.ID], w.Cards["visa"]})
	})
}

func TestCancelOrderIsRefusedByTheKitchen(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.placed()
		w.Plan("begin-cancel-ticket", partner.Fault{Err: ErrCooking})
		future, err := w.cancel.Start(t.Context(), w.engine, eaten)
		require.NoError(t, err)
		_, err = future.Await(t.Context())
		requireUndone(t, err, ErrCooking, "begin-cancel-ticket")
		assert.Equal(t, []string{"begin-cancel-order", "undo begin-cancel-order"}, w.Did())
		assert.Equal(t, []any{"approved", "confirmed", 40}, []any{w.Orders["o-1"], w.Tickets[ticket.ID], w.Cards["visa"]})
	})
}

func TestReviseOrderGoesOnWithTheTotalOfItsFirstReply(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.placed()
		future, err := w.revise.Start(t.Context(), w.engine, Revision{Of: eaten, Percent: 150})
		require.NoError(t, err)
		revised, err := future.Await(t.Context())
		require.NoError(t, err)
		assert.Equal(t, Revised{eaten, 60}, revised)
		assert.Equal(t, w.revise.Steps(), w.Did())
		assert.Equal(t, []any{"approved", "confirmed", 60, 60}, []any{w.Orders["o-1"], w.Tickets[ticket.ID], w.Cards["visa"], w.Totals["o-1"]})
	})
}

func TestReviseOrderWithACardThatDoesNotPayMore(t *testing.T) {
	each(t, brokers.InBubble, func(t *testing.T, w *world) {
		w.placed()
		w.Plan("revise-card", partner.Fault{Err: ErrCard})
		future, err := w.revise.Start(t.Context(), w.engine, Revision{Of: eaten, Percent: 150})
		require.NoError(t, err)
		_, err = future.Await(t.Context())
		requireUndone(t, err, ErrCard, "revise-card")
		assert.Equal(t, []string{"begin-revise-order", "begin-revise-ticket", "undo begin-revise-ticket", "undo begin-revise-order"}, w.Did())
		assert.Equal(t, []any{"approved", "confirmed", 40}, []any{w.Orders["o-1"], w.Tickets[ticket.ID], w.Cards["visa"]})
	})
}
