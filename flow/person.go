package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
)

// By says who decides about a dead letter, and why: up to 4 KB each, and Who is not empty. It is recorded with the
// saga, readable for everybody, and shown as Snapshot.Decisions.
type By struct{ Who, Why string }

// Decision is what a person decided about a saga that was a dead letter.
type Decision struct {
	Kind string // relay, skip, settle
	Path string // of skip
	By   By
	At   time.Time
}

// Relay lets a dead letter go on with exactly what is open, in the direction that it had, with fresh retries. It returns
// when that is durable. ErrNotDead says that the saga is no dead letter, or that somebody else decided first; ErrUnknown
// that there is none.
func (e *Engine) Relay(ctx context.Context, id string, by By) error {
	return e.decide(ctx, decision{what: "relay", id: id, kind: saga.EventRelay, by: by})
}

// Skip takes the undo of a dead letter that failed for good as done: a person did it, or it does not matter. The saga
// then goes on as with Relay; the step is listed in Error.Kept and marked in Error.Undone. The errors are those of
// Relay, and ErrNotDead also says that path names no undo that failed for good. An engine that does not serve the flow
// cannot look; there the saga is a dead letter again, with an error that says so.
func (e *Engine) Skip(ctx context.Context, id, path string, by By) error {
	return e.decide(ctx, decision{what: "skip " + path + " of", id: id, kind: saga.EventSkip, path: path, by: by})
}

// SettleFailed ends a dead letter by hand: it is over, and counts as undone. cause is added to what its callers get.
// Nothing more is run. The errors are those of Relay.
func (e *Engine) SettleFailed(ctx context.Context, id string, cause error, by By) error {
	if cause == nil {
		cause = errors.New("settled by hand")
	}
	return e.decide(ctx, decision{what: "settle", id: id, kind: saga.EventSettle, by: by, err: cause})
}

// SettleDone ends a dead letter of this flow by hand: it is over, and done, with that output. Nothing more is run. The
// errors are those of Relay, and ErrPayload, ErrTooLarge and ErrConflict.
func (f Flow[I, O]) SettleDone(ctx context.Context, e *Engine, id string, out O, by By) error {
	def, err := f.definition()
	if err != nil {
		return fmt.Errorf("flow: settle saga %q: %w: %w", id, ErrZero, err)
	}
	if e.isZero() {
		return fmt.Errorf("flow: settle saga %q: %w", id, ErrZero)
	}
	data, err := e.payloads.Append([]byte{}, def.Root.Out, out)
	switch {
	case err != nil:
		return fmt.Errorf("flow: settle saga %q: %w: encode a %v: %w", id, ErrPayload, def.Root.Out, err)
	case len(data) > e.opts.MaxPayload:
		return fmt.Errorf("flow: settle saga %q: %w: the output has %d bytes, Options.MaxPayload is %d", id, ErrTooLarge, len(data), e.opts.MaxPayload)
	}
	return e.decide(ctx, decision{what: "settle", id: id, kind: saga.EventSettle, by: by, flow: def.Name, out: data})
}

// decision is something that a person wants of a dead letter.
type decision struct {
	what, id, kind, path string
	by                   By
	flow                 string // that the saga must be of, or ""
	out                  []byte // of a settle that is done
	err                  error  // of one that is not
}

func (e *Engine) decide(ctx context.Context, d decision) error {
	if err := e.judge(ctx, d); err != nil {
		return fmt.Errorf("flow: %s saga %q: %w", d.what, d.id, translate(err))
	}
	e.log.InfoContext(ctx, "a person decided about a dead letter", "saga", d.id, "decision", d.kind, "step", d.path, "who", d.by.Who, "why", d.by.Why)
	return nil
}

func (e *Engine) judge(ctx context.Context, d decision) error {
	if e.isZero() {
		return ErrZero
	}
	if err := d.by.check(); err != nil {
		return err
	}
	s, err := e.lookup(ctx, d.id)
	if err != nil {
		return err
	}
	if err := e.fits(ctx, d, s); err != nil {
		return err
	}
	note := saga.Note{Who: d.by.Who, Why: d.by.Why, Out: d.out}
	if d.err != nil {
		note.Err = e.errors.Append([]byte{}, d.err)
	}
	ev := broker.Event{ID: d.kind + "-" + uuid.NewString(), Kind: d.kind, Name: d.path, Data: note.Append(nil), At: time.Now()}
	err = insist(ctx, func() error { return e.broker.Resolve(ctx, d.id, s.Rev, ev) })
	if errors.Is(err, broker.ErrSettled) || errors.Is(err, broker.ErrStale) {
		return fmt.Errorf("somebody else decided first: %w", ErrNotDead)
	}
	return err
}

func (by By) check() error {
	switch {
	case by.Who == "":
		return errors.New("By.Who is empty: say who decides")
	case len(by.Who) > maxReason, len(by.Why) > maxReason:
		return fmt.Errorf("%w: By has more than %d bytes of Who or Why", ErrTooLarge, maxReason)
	default:
		return nil
	}
}

// fits says why d cannot be decided about a saga.
func (e *Engine) fits(ctx context.Context, d decision, s broker.Snapshot) error {
	switch {
	case s.State != broker.Buried:
		return fmt.Errorf("it is %v: %w", s.State, ErrNotDead)
	case d.flow != "" && d.flow != s.Flow:
		return fmt.Errorf("it is a saga of %q, not of %q: %w", s.Flow, d.flow, ErrConflict)
	case d.kind != saga.EventSkip:
		return nil
	}
	snap, err := e.Snapshot(ctx, d.id)
	if err != nil || len(snap.Steps) == 0 {
		return nil
	}
	var stuck []string
	for _, step := range snap.Steps {
		if step.State != "stuck" {
			continue
		}
		if stuck = append(stuck, step.Path); step.Path == d.path {
			return nil
		}
	}
	return fmt.Errorf("no undo failed for good at that path, but at [%s]: %w", strings.Join(stuck, ", "), ErrNotDead)
}
