package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
)

// By says who decides about a dead letter, and why. It is recorded with the saga.
type By struct{ Who, Why string }

// Relay lets a dead letter go on with exactly what is open, in the direction that it had, with fresh retries. It returns when that is
// durable. ErrNotDead says that the saga is no dead letter, ErrUnknown that there is none.
func (e *Engine) Relay(ctx context.Context, id string, by By) error {
	return e.decideByHand(ctx, "relay", id, saga.EventRelay, "", saga.Note{Who: by.Who, Why: by.Why})
}

// Skip takes the undo of a dead letter that failed for good as done: a person did it, or it does not matter. The saga then goes
// on as with Relay; the step is listed in Error.Kept and marked in Error.Undone. The errors are those of Relay; a path that names
// no undo that failed leaves the saga a dead letter, with an error that says so.
func (e *Engine) Skip(ctx context.Context, id, path string, by By) error {
	return e.decideByHand(ctx, "skip "+path+" of", id, saga.EventSkip, path, saga.Note{Who: by.Who, Why: by.Why})
}

// SettleFailed ends a dead letter by hand: it is over, and counts as undone. cause is added to what its callers get.
func (e *Engine) SettleFailed(ctx context.Context, id string, cause error, by By) error {
	if cause == nil {
		cause = errors.New("settled by hand")
	}
	note := saga.Note{Who: by.Who, Why: by.Why, Err: e.errors.Append(nil, cause)}
	return e.decideByHand(ctx, "settle", id, saga.EventSettle, "", note)
}

// SettleDone ends a dead letter of this flow by hand: it is over, and done, with that output. Nothing more is run.
func (f Flow[I, O]) SettleDone(ctx context.Context, e *Engine, id string, out O, by By) error {
	def, err := f.definition()
	if err != nil {
		return fmt.Errorf("flow: settle saga %q: %w", id, err)
	}
	if e == nil || e.broker == nil {
		return fmt.Errorf("flow: settle saga %q: %w", id, ErrZero)
	}
	data, err := e.payloads.Append(nil, def.Root.Out, out)
	if err != nil {
		return fmt.Errorf("flow: settle saga %q: %w: encode a %v: %w", id, ErrPayload, def.Root.Out, err)
	}
	if data == nil {
		data = []byte{}
	}
	return e.decideByHand(ctx, "settle", id, saga.EventSettle, "", saga.Note{Who: by.Who, Why: by.Why, Out: data})
}

func (e *Engine) decideByHand(ctx context.Context, what, id, kind, name string, note saga.Note) error {
	what = fmt.Sprintf("flow: %s saga %q", what, id)
	if note.Who == "" {
		return fmt.Errorf("%s: By.Who is empty: say who decides", what)
	}
	s, err := e.broker.Lookup(ctx, id, false)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, translate(err))
	case s.State != broker.Buried:
		return fmt.Errorf("%s: it is %v: %w", what, s.State, ErrNotDead)
	}
	ev := broker.Event{ID: kind + "-" + uuid.NewString(), Kind: kind, Name: name, Data: note.Append(nil), At: time.Now()}
	err = e.broker.Resolve(ctx, id, s.Rev, ev)
	for pause := pauses(); err != nil && !final(err) && pause.wait(ctx); {
		err = e.broker.Resolve(ctx, id, s.Rev, ev)
	}
	switch {
	case errors.Is(err, broker.ErrSettled), errors.Is(err, broker.ErrStale):
		return fmt.Errorf("%s: somebody else decided first: %w", what, ErrNotDead)
	case err != nil:
		return fmt.Errorf("%s: %w", what, translate(err))
	}
	e.log.InfoContext(ctx, "dead letter decided by hand", "saga", id, "decision", kind, "step", name, "who", note.Who, "why", note.Why)
	return nil
}
