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

// maxReason is how long the reason of a cancel may be, in bytes, and who and why of a decision by hand.
const maxReason = 4 << 10

// cancel delivers the wish, and looks in the store for the answer.
func (h *handle) cancel(ctx context.Context, reason string) error {
	what := fmt.Sprintf("flow: cancel saga %q of %q", h.id, h.def.Name)
	if len(reason) > maxReason {
		return fmt.Errorf("%s: %w: the reason has %d bytes, more than %d", what, ErrTooLarge, len(reason), maxReason)
	}
	s, err := h.e.lookup(ctx, h.id)
	if err == nil {
		err = h.check(s)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, translate(err))
	case s.State == broker.Finished, s.State == broker.Buried:
		return fmt.Errorf("%s: it is %v: %w", what, s.State, ErrSettled)
	}
	ev := broker.Event{ID: "cancel-" + uuid.NewString(), Kind: saga.EventCancel, Name: reason, At: time.Now()}
	if err := h.e.deliver(ctx, h.id, ev); err != nil {
		return fmt.Errorf("%s: %w", what, translate(err))
	}
	var answer error
	err = h.follow(ctx, func() (known bool) {
		answer, known = h.answer(ctx, ev.ID)
		return known
	})
	if err != nil {
		return fmt.Errorf("%s: it was asked and has not answered: %w", what, err)
	}
	if answer != nil {
		return fmt.Errorf("%s: %w", what, answer)
	}
	return nil
}

// errDeadMeanwhile answers a cancel that crossed with the saga becoming a dead letter.
var errDeadMeanwhile = errors.New("it became a dead letter before it answered, and answers when somebody relays it")

// answer looks what became of the cancel with that ID.
func (h *handle) answer(ctx context.Context, id string) (answer error, known bool) {
	s, err := h.e.broker.Lookup(ctx, h.id, true)
	if err != nil {
		return translate(err), final(err)
	}
	for _, ev := range s.Mail {
		if ev.ID == id && s.State == broker.Buried {
			return errDeadMeanwhile, true
		}
		if ev.ID == id {
			return nil, false
		}
	}
	if s.State == broker.Finished {
		return endedBy(s, id), true
	}
	return inJournal(s, id), true
}

// endedBy says whether the saga ended because of that cancel.
func endedBy(s broker.Snapshot, id string) error {
	o, err := saga.DecodeOutcome(s.Outcome)
	switch {
	case err != nil:
		return err
	case o.By == id:
		return nil
	default:
		return ErrSettled
	}
}

// inJournal says what the saga has recorded of the cancel that it took out of its mailbox.
func inJournal(s broker.Snapshot, id string) error {
	header, err := saga.DecodeHeader(s.Record.Record)
	if err != nil {
		return err
	}
	for _, e := range s.Journal {
		f, err := saga.DecodeFact(e, header.Started)
		switch {
		case err != nil:
			return err
		case f.ID == id && f.Kind == saga.Cancelled:
			return nil
		case f.ID == id && f.Kind == saga.Denied:
			return ErrPastPivot
		}
	}
	if s.State == broker.Held {
		return ErrSettled
	}
	return ErrCompensating
}
