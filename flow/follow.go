package flow

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
)

// How often the store is read for somebody who follows a saga that another process runs.
const (
	followPause    = 10 * time.Millisecond
	maxFollowPause = 500 * time.Millisecond
)

// follow calls look until it says true: whenever this process commits something of the saga, and now and then.
func (h *handle) follow(ctx context.Context, look func() bool) error {
	for pause := followPause; ; pause = min(2*pause, maxFollowPause) {
		changed := h.changed()
		if look() {
			return nil
		}
		t := time.NewTimer(pause)
		select {
		case <-changed:
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
		t.Stop()
	}
}

// changed is closed when something of the saga is committed here.
func (h *handle) changed() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.res != nil {
		return nil
	}
	if h.waits == nil {
		h.waits = &waits{}
	}
	if h.waits.changed == nil {
		h.waits.changed = make(chan struct{})
	}
	return h.waits.changed
}

// decided waits until it is known how the saga will end.
func (h *handle) decided(ctx context.Context) (res *result, err error) {
	h.channel(func(w *waits) *chan struct{} { return &w.settled }) // so that this process hears of the end
	err = h.follow(ctx, func() bool {
		res = h.verdict(ctx)
		return res != nil
	})
	if err != nil {
		return nil, h.gaveUp(err)
	}
	return res, nil
}

// verdict gives how the saga will end, or nil if that is open.
func (h *handle) verdict(ctx context.Context) *result {
	h.mu.Lock()
	res := h.res
	h.mu.Unlock()
	if res != nil {
		return res
	}
	m, s, err := h.e.inspect(ctx, h.id, h.def)
	switch {
	case err != nil:
		return nil
	case m == nil:
		res := h.e.resultOf(h.def, s.Outcome)
		return &res
	}
	defer m.Release()
	if !m.Compensating() {
		return nil
	}
	return &result{state: StateCompensating, err: failure(m.Failure(saga.Compensating))}
}

// cancel delivers the wish, and looks in the store for the answer.
func (h *handle) cancel(ctx context.Context, reason string) error {
	what := fmt.Sprintf("flow: cancel saga %q of %q", h.id, h.def.Name)
	if _, err := h.e.broker.Lookup(ctx, h.id, false); err != nil {
		return fmt.Errorf("%s: %w", what, translate(err))
	}
	ev := broker.Event{ID: "cancel-" + uuid.NewString(), Kind: saga.EventCancel, Name: reason, At: time.Now()}
	if err := h.e.deliver(ctx, h.id, ev); err != nil {
		return fmt.Errorf("%s: %w", what, translate(err))
	}
	var answer error
	err := h.follow(ctx, func() (known bool) {
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

// answer looks what became of the cancel with that ID.
func (h *handle) answer(ctx context.Context, id string) (answer error, known bool) {
	s, err := h.e.broker.Lookup(ctx, h.id, true)
	if err != nil {
		return translate(err), final(err)
	}
	if s.Outcome != nil && s.State != broker.Ready && s.State != broker.Owned && s.State != broker.Parked {
		return endedBy(s, id), true
	}
	for _, ev := range s.Mail {
		if ev.ID == id {
			return nil, false
		}
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
	return ErrCompensating
}
