// Package otelprop carries OpenTelemetry's context (trace, baggage) through sagas: into every step and undo, also of other services, into
// children and listeners. It is a module of its own, so that programs without OpenTelemetry do not build it.
//
//	engine := flow.NewEngine(broker, flow.Options{Propagators: []flow.Propagator{otelprop.New(propagation.TraceContext{})}})
//
// It makes no spans: a flow.Interceptor can, around each attempt, and finds the parent in its context.
package otelprop

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"

	"github.com/skald-go/skald/flow"
)

var (
	_ flow.Propagator            = (*Propagator)(nil)
	_ propagation.TextMapCarrier = flow.Headers(nil)
)

// Propagator is a flow.Propagator that does what an OpenTelemetry one does. Make one with New.
type Propagator struct{ text propagation.TextMapPropagator }

// New makes a propagator of OpenTelemetry's; nil stands for the global one, otel.GetTextMapPropagator, as it is at each call.
func New(text propagation.TextMapPropagator) *Propagator { return &Propagator{text} }

func (p *Propagator) propagator() propagation.TextMapPropagator {
	if p.text == nil {
		return otel.GetTextMapPropagator()
	}
	return p.text
}

// Inject implements flow.Propagator.
func (p *Propagator) Inject(ctx context.Context, h flow.Headers) { p.propagator().Inject(ctx, h) }

// Extract implements flow.Propagator.
func (p *Propagator) Extract(ctx context.Context, h flow.Headers) context.Context {
	return p.propagator().Extract(ctx, anyCase{h})
}

// anyCase finds headers as HTTP does, whatever their case: some were taken from requests.
type anyCase struct{ flow.Headers }

// Get gives the value of a header, or "".
func (h anyCase) Get(key string) string {
	if v, ok := h.Headers[key]; ok {
		return v
	}
	for k, v := range h.Headers {
		if strings.EqualFold(k, key) {
			return v
		}
	}
	return ""
}
