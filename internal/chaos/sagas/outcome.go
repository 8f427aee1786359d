package sagas

import (
	"context"
	"errors"
	"fmt"

	"github.com/skald-go/skald/flow"
)

// Outcome is how a saga ended, or which way it goes, as a caller is told.
type Outcome struct {
	End   string // done, undone, dead letter; compensating if that is not known yet
	Text  string // the output or the error
	Cause string // of one that is not done
	Typed bool   // the cause is one of the errors of this package
}

// Final says that the saga has ended.
func (o Outcome) Final() bool { return o.End != flow.StateCompensating.String() }

// Await blocks until the saga has ended or ctx has. The error, if there is one, tells nothing about the saga.
type Await func(ctx context.Context) (Outcome, error)

// Serve makes an engine run the flows.
func (b *Book) Serve(e *flow.Engine) { e.Serve(b.transfer, b.remittance, b.purchase, b.order) }

// Start starts a job as a saga.
func (b *Book) Start(ctx context.Context, e *flow.Engine, j Job) (Await, error) {
	switch {
	case j.Transfer != nil:
		return start(ctx, e, b.transfer, *j.Transfer, j.ID)
	case j.Remittance != nil:
		return start(ctx, e, b.remittance, *j.Remittance, j.ID)
	case j.Purchase != nil:
		return start(ctx, e, b.purchase, *j.Purchase, j.ID)
	default:
		return start(ctx, e, b.order, *j.Order, j.ID)
	}
}

// Attach asks for the outcome of a job that somebody has started.
func (b *Book) Attach(e *flow.Engine, j Job) Await {
	switch {
	case j.Transfer != nil:
		return await(b.transfer.Attach(e, j.ID))
	case j.Remittance != nil:
		return await(b.remittance.Attach(e, j.ID))
	case j.Purchase != nil:
		return await(b.purchase.Attach(e, j.ID))
	default:
		return await(b.order.Attach(e, j.ID))
	}
}

// Approve sends an order what it waits for. It may be repeated.
func (b *Book) Approve(ctx context.Context, e *flow.Engine, j Job) error {
	return b.approve.Send(ctx, e, j.ID, j.Approval, flow.SignalID("the-approval"))
}

func start[I, O any](ctx context.Context, e *flow.Engine, f flow.Flow[I, O], in I, id string) (Await, error) {
	future, err := f.Start(ctx, e, in, flow.ID(id))
	if err != nil {
		return nil, err
	}
	return await(future), nil
}

func await[O any](future flow.Future[O]) Await {
	return func(ctx context.Context) (Outcome, error) {
		out, err := future.Await(ctx)
		if err == nil {
			return Outcome{End: flow.StateDone.String(), Text: fmt.Sprintf("%+v", out)}, nil
		}
		failed, ok := errors.AsType[*flow.Error](err)
		if !ok || failed.Cause == nil {
			return Outcome{}, err
		}
		o := Outcome{End: failed.State.String(), Text: failed.Error(), Cause: failed.Cause.Error()}
		for _, known := range []error{ErrPoor, ErrTaken, ErrDeclined, ErrBroken, ErrLate} {
			o.Typed = o.Typed || errors.Is(err, known)
		}
		return o, nil
	}
}
