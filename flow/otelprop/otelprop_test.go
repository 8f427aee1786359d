package otelprop_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/flow/otelprop"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

var span = trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2, 3}, SpanID: trace.SpanID{4, 5}, TraceFlags: trace.FlagsSampled})

// traced is a context with a span and baggage.
func traced(t testing.TB) context.Context {
	member, err := baggage.NewMember("tenant", "acme")
	require.NoError(t, err)
	bag, err := baggage.New(member)
	require.NoError(t, err)
	return baggage.ContextWithBaggage(trace.ContextWithSpanContext(context.Background(), span), bag)
}

// seen notes who found the span and the baggage in his context.
type seen struct {
	mu    sync.Mutex
	names []string
}

func (s *seen) look(ctx context.Context, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sc := trace.SpanContextFromContext(ctx)
	if sc.TraceID() == span.TraceID() && sc.SpanID() == span.SpanID() && sc.IsRemote() && baggage.FromContext(ctx).Member("tenant").Value() == "acme" {
		s.names = append(s.names, name)
		return
	}
	s.names = append(s.names, name+" without a trace")
}

// again tells of a name that it is not the first of its kind: sagas that others started are slow too.
func (s *seen) again() func(string) bool {
	met := map[string]bool{}
	return func(name string) bool {
		again := met[name]
		met[name] = true
		return again
	}
}

func (s *seen) step(name string) step.Step[int, int] {
	return step.New(name, func(ctx context.Context, n int) (int, error) {
		s.look(ctx, name)
		return n, nil
	}).Compensate(func(ctx context.Context, _ step.Effect[int, int]) error {
		s.look(ctx, "undo "+name)
		return nil
	})
}

// A trace reaches steps, children, calls of other services, their undos, and those who hear of dead letters and alerts.
func TestATraceGoesEverywhere(t *testing.T) {
	for name, text := range map[string]propagation.TextMapPropagator{
		"given":  propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
		"global": nil,
	} {
		t.Run(name, func(t *testing.T) {
			if text == nil {
				before := otel.GetTextMapPropagator()
				otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
				defer otel.SetTextMapPropagator(before)
			}
			synctest.Test(t, func(t *testing.T) { everywhere(t, text) })
		})
	}
}

func everywhere(t *testing.T, text propagation.TextMapPropagator) {
	var s seen
	network, opts := inmem.NewNetwork(), flow.Options{
		Propagators: []flow.Propagator{otelprop.New(text)}, Logger: slog.New(slog.DiscardHandler), SlowAfter: time.Minute,
		OnDeadLetter: func(ctx context.Context, _ flow.DeadLetter) { s.look(ctx, "dead letter") },
		OnAlert:      func(ctx context.Context, _ flow.Alert) { s.look(ctx, "alert") },
	}
	stuck := step.New("stuck", func(ctx context.Context, n int) (int, error) { return n, nil }).
		Compensate(func(ctx context.Context, _ step.Effect[int, int]) error {
			s.look(ctx, "stuck")
			return step.GiveUp(errors.New("never"))
		})
	refused := step.New("refused", func(context.Context, int) (int, error) { return 0, step.Refused(errors.New("no")) }).ReadOnly()
	f := flow.New[int]("order").
		Then(stuck).
		Then(s.step("local")).
		Then(flow.Child(flow.New[int]("child").Then(s.step("in child")))).
		Then(flow.Ref[int, int]{Service: "payments", Name: "charge"}).
		Delay("nap", func(int) time.Duration { return time.Hour }).
		Then(refused)
	run(t, network, "orders", opts, f)
	run(t, network, "payments", opts, flow.New[int]("charge").Then(s.step("remote")))
	client := flow.NewEngine(network.Broker("orders"), opts)
	future, err := f.Start(traced(t), client, 1)
	require.NoError(t, err)
	_, err = future.Await(context.Background())
	require.Error(t, err)
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Equal(t, []string{"local", "in child", "remote", "alert", "undo remote", "undo in child", "undo local", "stuck", "dead letter"}, slices.DeleteFunc(slices.Clone(s.names), s.again()))
}

func run(t *testing.T, network *inmem.Network, service string, opts flow.Options, f flow.Definition) {
	e := flow.NewEngine(network.Broker(service), opts)
	e.Serve(f)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	synctest.Wait()
}

func TestHeadersOfRequestsAreFound(t *testing.T) {
	h := flow.Headers{"Traceparent": "00-01020300000000000000000000000000-0405000000000000-01"}
	sc := trace.SpanContextFromContext(otelprop.New(propagation.TraceContext{}).Extract(context.Background(), h))
	require.Equal(t, span.TraceID(), sc.TraceID())
	require.Equal(t, span.SpanID(), sc.SpanID())
}

func Example() {
	show := step.New("show", func(ctx context.Context, n int) (int, error) {
		fmt.Println(trace.SpanContextFromContext(ctx).TraceID())
		return n, nil
	}).ReadOnly()
	f := flow.New[int]("order").Then(show)
	engine := flow.NewEngine(inmem.New(), flow.Options{Propagators: []flow.Propagator{otelprop.New(propagation.TraceContext{})}})
	engine.Serve(f)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go engine.Run(ctx)

	ctx = trace.ContextWithSpanContext(ctx, span) // as the handler of a request has it
	future, _ := f.Start(ctx, engine, 1)
	future.Await(ctx)
	// Output: 01020300000000000000000000000000
}
