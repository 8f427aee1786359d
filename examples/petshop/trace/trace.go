// Package trace carries who and what a request is about through contexts, sagas, logs and HTTP.
package trace

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/skald-go/skald/flow"
)

// Trace says what a piece of work belongs to.
type Trace struct{ ID, User string }

type traceKey struct{}

// With returns a context that carries t.
func With(ctx context.Context, t Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// From gives the trace that ctx carries, or the zero Trace.
func From(ctx context.Context) Trace {
	t, _ := ctx.Value(traceKey{}).(Trace)
	return t
}

const (
	idHeader   = "Trace-Id"
	userHeader = "Trace-User"
)

// Propagator carries the trace from who starts a saga to its steps, undos, log lines and listeners.
type Propagator struct{}

var _ flow.Propagator = Propagator{}

// Inject writes the trace of ctx into the saga's headers.
func (Propagator) Inject(ctx context.Context, h flow.Headers) {
	t := From(ctx)
	h.Set(idHeader, t.ID)
	h.Set(userHeader, t.User)
}

// Extract returns ctx with the trace that the headers hold.
func (Propagator) Extract(ctx context.Context, h flow.Headers) context.Context {
	return With(ctx, Trace{ID: h.Get(idHeader), User: h.Get(userHeader)})
}

// Transport sends the trace of a request's context along.
type Transport struct{ Next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	trace := From(r.Context())
	r.Header.Set(idHeader, trace.ID)
	r.Header.Set(userHeader, trace.User)
	return t.Next.RoundTrip(r)
}

// Of gives the trace that came with a request.
func Of(r *http.Request) Trace {
	return Trace{ID: r.Header.Get(idHeader), User: r.Header.Get(userHeader)}
}

// Handler adds the trace of the context to every line that Next writes.
type Handler struct{ Next slog.Handler }

var _ slog.Handler = Handler{}

// Enabled implements slog.Handler.
func (h Handler) Enabled(ctx context.Context, l slog.Level) bool { return h.Next.Enabled(ctx, l) }

// Handle implements slog.Handler.
func (h Handler) Handle(ctx context.Context, r slog.Record) error {
	if t := From(ctx); t != (Trace{}) {
		r.AddAttrs(slog.String("trace", t.ID), slog.String("user", t.User))
	}
	return h.Next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return Handler{h.Next.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h Handler) WithGroup(name string) slog.Handler { return Handler{h.Next.WithGroup(name)} }
