package flow

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
)

// SendOption changes how a signal is sent.
type SendOption func(*broker.Event)

// SignalID names a signal, so that sending it again has no effect. Without it every Send is another signal.
func SignalID(id string) SendOption {
	return func(ev *broker.Event) { ev.ID = "signal-" + id }
}

// Send gives the signal to a saga, and returns when that is durable. It may come before the saga waits for it, and before
// the saga is started: then it is kept for some time, as the broker's options say. ErrSettled says that the saga has
// ended.
func (s Signal[S]) Send(ctx context.Context, e *Engine, sagaID string, value S, opts ...SendOption) error {
	if s.letter == nil || e == nil || e.broker == nil {
		return fmt.Errorf("flow: send a signal to saga %q: %w", sagaID, ErrZero)
	}
	what := fmt.Sprintf("flow: send signal %q to saga %q", s.name, sagaID)
	if err := checkSagaID(sagaID); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	data, err := e.payloads.Append(nil, s.letter, value)
	if err != nil {
		return fmt.Errorf("%s: %w: encode a %v: %w", what, ErrPayload, s.letter, err)
	}
	if len(data) > e.opts.MaxPayload {
		return fmt.Errorf("%s: %w: it has %d bytes, Options.MaxPayload is %d", what, ErrTooLarge, len(data), e.opts.MaxPayload)
	}
	ev := broker.Event{ID: "signal-" + uuid.NewString(), Kind: saga.EventSignal, Name: s.name, Data: data, At: time.Now()}
	for _, opt := range opts {
		opt(&ev)
	}
	if err := e.deliver(ctx, sagaID, ev); err != nil {
		return fmt.Errorf("%s: %w", what, translate(err))
	}
	return nil
}

// checkSagaID accepts what users name sagas, and what the engine names children.
func checkSagaID(id string) error {
	if id == "" || len(id) > 16*plan.MaxName {
		return fmt.Errorf("%w: it has %d bytes", ErrID, len(id))
	}
	return nil
}
