package flow

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
)

// SendOption changes how a signal is sent.
type SendOption func(*broker.Event)

// SignalID names a signal, so that sending it again has no effect, whatever its value. Without it every Send is another
// signal. It is 1 to 255 bytes of printable text.
func SignalID(id string) SendOption {
	return func(ev *broker.Event) { ev.ID = signalPrefix + id }
}

const signalPrefix = "signal-"

// Send gives the signal to a saga, and returns when that is durable. It may come before the saga waits for it, and before
// the saga is started: then it is kept for some time, as the broker's options say. ErrSettled says that the saga has
// ended.
func (s Signal[S]) Send(ctx context.Context, e *Engine, sagaID string, value S, opts ...SendOption) error {
	if s.letter == nil || e.isZero() {
		return fmt.Errorf("flow: send a signal to saga %q: %w", sagaID, ErrZero)
	}
	what := fmt.Sprintf("flow: send signal %q to saga %.80q", s.name, sagaID)
	if err := checkText(sagaID, 16*plan.MaxName); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	data, err := e.payloads.Append(nil, s.letter, value)
	if err != nil {
		return fmt.Errorf("%s: %w: encode a %v: %w", what, ErrPayload, s.letter, err)
	}
	if len(data) > e.opts.MaxPayload {
		return fmt.Errorf("%s: %w: it has %d bytes, Options.MaxPayload is %d", what, ErrTooLarge, len(data), e.opts.MaxPayload)
	}
	ev := broker.Event{ID: signalPrefix + uuid.NewString(), Kind: saga.EventSignal, Name: s.name, Data: data, At: time.Now()}
	for _, opt := range opts {
		opt(&ev)
	}
	if err := checkText(ev.ID[len(signalPrefix):], plan.MaxName); err != nil {
		return fmt.Errorf("%s: the SignalID: %w", what, err)
	}
	if err := e.deliver(ctx, sagaID, ev); err != nil {
		return fmt.Errorf("%s: %w", what, translate(err))
	}
	return nil
}

// checkText accepts IDs as users and engines make them: those of children are paths.
func checkText(id string, longest int) error {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	switch {
	case id == "", len(id) > longest:
		return fmt.Errorf("%w: it has %d bytes", ErrID, len(id))
	case !utf8.ValidString(id), strings.ContainsFunc(id, unprintable):
		return fmt.Errorf("%w: it cannot be printed", ErrID)
	}
	return nil
}
