package redisx

import (
	"context"
	"errors"
	"fmt"

	"github.com/skald-go/skald/broker"
)

var errRestored = errors.New("only a saga that is ready, owned, parked, held or buried can be restored")

// Restore implements broker.Restorer. Unlike most operations it is not batched.
func (b *Broker) Restore(ctx context.Context, s broker.Snapshot, call string) error {
	if err := b.restore(ctx, s, call); err != nil {
		return fmt.Errorf("redisx: restore %q: %w", s.ID, err)
	}
	return nil
}

func (b *Broker) restore(ctx context.Context, s broker.Snapshot, call string) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	if err := checkRestored(s, call); err != nil {
		return err
	}
	p := b.partition(s.ID)
	reply, err := ask(ctx, b, func(ctx context.Context) (any, error) { return p.run(ctx, restoreScript, restoreArgs(s, call)...) })
	switch {
	case err != nil:
		return err
	case text(reply) != "":
		return broker.ErrConflict
	}
	return nil
}

// checkRestored finds mistakes before anything is sent.
func checkRestored(s broker.Snapshot, call string) error {
	switch {
	case s.State < broker.Ready || s.State > broker.Buried:
		return errRestored
	case s.Waits || len(s.Claims) > 0:
		return errTaken
	case len(call) > maxText:
		return errText
	case len(s.Mail) > maxCount:
		return errCount
	}
	if err := checkStart(s.Start); err != nil {
		return err
	}
	if err := checkTransition(broker.Transition{Append: s.Journal}); err != nil {
		return err
	}
	for _, ev := range s.Mail {
		if err := checkEvent(ev); err != nil {
			return err
		}
	}
	return nil
}

// restoreArgs are what restore.lua wants.
func restoreArgs(s broker.Snapshot, call string) []any {
	state := s.State
	if state == broker.Owned {
		state = broker.Ready
	}
	var wait op
	if !s.Wake.IsZero() {
		wait.until(s.Wake)
	} else {
		wait.buf = append48(append48(nil, 0), 0)
	}
	args := []any{
		s.ID, call, int(state), append48(nil, s.Rev), min(s.Takeovers, maxText), wait.buf,
		appendHead(nil, s.Start, nobody), append(appendOrigin(nil, s.Start), s.Record.Record...), s.Outcome,
		appendEntries(make([]byte, 0, entriesSize(s.Journal)), s.Journal), s.Memo,
	}
	for _, ev := range s.Mail {
		args = append(args, ev.ID, appendEvent(nil, ev))
	}
	return args
}
