// Package workload is the saga that Skald is measured with: three steps, about 200 bytes in, three recorded outputs of
// 64 bytes, an undo on each step, a registered error, and headers on.
package workload

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// Order is what the saga is about.
type Order struct {
	Customer string
	SKU      string
	Quantity int
	Cents    int64
	Note     string
	Express  bool
}

// Hold, Payment and Label are what the steps give.
type (
	Hold struct {
		Order string
		Shelf string
	}
	Payment struct {
		Hold    string
		Receipt string
	}
	Label struct {
		Payment string
		Track   string
	}
)

// ErrNoCourier is why Failing fails.
var ErrNoCourier = errors.New("workload: no courier")

// Success ends with a Label. Rollback fails in its third step, and undoes two. Timeouts is Success with steps that
// derive a context with a timeout of their own, as a client of a service does.
var (
	Success  = order("order", reserve, charge, ship)
	Rollback = order("rollback", reserve, charge, noCourier)
	Timeouts = order("timeouts", hurried(reserve), hurried(charge), hurried(ship))
)

// Go lets a saga of Waiting go on, which waits for it after its first step.
var Go = flow.NewSignal[bool]("go")

// Waiting is parked after its first step until it gets Go.
var Waiting = flow.New[Order]("waiting").
	Then(step.New("reserve", reserve).Compensate(undo[Order, Hold])).
	Wait(Go, func(h Hold, _ bool) Hold { return h })

// do is what a step does.
type do[I, O any] = func(context.Context, I) (O, error)

func order(name string, first do[Order, Hold], second do[Hold, Payment], third do[Payment, Label]) flow.Flow[Order, Label] {
	return flow.New[Order](name).
		Then(step.New("reserve", first).Compensate(undo[Order, Hold]).Timeout(10 * time.Second)).
		Then(step.New("charge", second).Compensate(undo[Hold, Payment]).Timeout(10 * time.Second)).
		Then(step.New("ship", third).Compensate(undo[Payment, Label]).Timeout(10 * time.Second))
}

func hurried[I, O any](f do[I, O]) do[I, O] {
	return func(ctx context.Context, in I) (O, error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return f(ctx, in)
	}
}

// Input is about 200 bytes when it is encoded.
func Input() Order {
	return Order{Customer: "customer-0123456789", SKU: "sku-42", Quantity: 2, Cents: 1999, Note: strings.Repeat("n", 110)}
}

var filler = strings.Repeat("x", 40)

func reserve(_ context.Context, o Order) (Hold, error) {
	return Hold{Order: o.SKU, Shelf: filler}, nil
}

func charge(_ context.Context, h Hold) (Payment, error) {
	return Payment{Hold: h.Order, Receipt: filler}, nil
}

func ship(_ context.Context, p Payment) (Label, error) {
	return Label{Payment: p.Hold, Track: filler}, nil
}

func noCourier(context.Context, Payment) (Label, error) {
	return Label{}, step.Refused(ErrNoCourier)
}

func undo[I, O any](context.Context, step.Effect[I, O]) error { return nil }

type traceKey struct{}

// Trace is a trace that headers carry.
const Trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// WithTrace gives ctx the trace that the propagator carries.
func WithTrace(ctx context.Context, trace string) context.Context {
	return context.WithValue(ctx, traceKey{}, trace)
}

type tracing struct{}

func (tracing) Inject(ctx context.Context, h flow.Headers) {
	if trace, ok := ctx.Value(traceKey{}).(string); ok {
		h.Set("traceparent", trace)
	}
}

func (tracing) Extract(ctx context.Context, h flow.Headers) context.Context {
	return WithTrace(ctx, h.Get("traceparent"))
}

// Options are what the engines are measured with.
func Options() flow.Options {
	return flow.Options{
		Errors:      errcodec.New(errcodec.Sentinel("workload.no-courier", ErrNoCourier)),
		Propagators: []flow.Propagator{tracing{}},
	}
}
