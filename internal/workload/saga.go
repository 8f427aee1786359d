package workload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// Saga is a flow whose sagas can be called without knowing its types.
type Saga struct {
	Name string
	Flow flow.Definition
	// Call runs a saga, and gives an error unless it ended as it is meant to.
	Call func(context.Context, *flow.Engine) error
	// Start only starts one.
	Start func(context.Context, *flow.Engine) error
}

// Of makes a Saga of a flow, an input, and the error that its sagas are meant to end with.
func Of[I, O any](f flow.Flow[I, O], in I, want error) Saga {
	start := func(ctx context.Context, e *flow.Engine) error {
		_, err := f.Start(ctx, e, in)
		return err
	}
	call := func(ctx context.Context, e *flow.Engine) error {
		future, err := f.Start(ctx, e, in)
		if err != nil {
			return err
		}
		if _, err = future.Await(ctx); want == nil || err != nil && !errors.Is(err, want) {
			return err
		}
		if err == nil {
			return fmt.Errorf("saga %s of %q is done, but was to fail: %w", future.ID(), f.Name(), want)
		}
		return nil
	}
	return Saga{Name: f.Name(), Flow: f, Call: call, Start: start}
}

// The sagas of the flows of this package, with Input.
var (
	SuccessSaga  = Of(Success, Input(), nil)
	RollbackSaga = Of(Rollback, Input(), ErrNoCourier)
	TimeoutsSaga = Of(Timeouts, Input(), nil)
	WaitingSaga  = Of(Waiting, Input(), nil)
)

// Blocked are sagas whose only step returns when released is closed.
func Blocked(released <-chan struct{}) Saga {
	held := func(ctx context.Context, o Order) (Hold, error) {
		select {
		case <-released:
			return reserve(ctx, o)
		case <-ctx.Done():
			return Hold{}, ctx.Err()
		}
	}
	return Of(flow.New[Order]("blocked").Then(step.New("reserve", held).Compensate(undo[Order, Hold]).Timeout(time.Hour)), Input(), nil)
}
