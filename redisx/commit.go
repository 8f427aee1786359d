package redisx

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skald-go/skald/broker"
)

// Commit implements broker.Worker.
func (w *worker) Commit(ctx context.Context, t broker.Transition) (broker.Ack, error) {
	ack, err := w.commit(ctx, t)
	if err != nil {
		return broker.Ack{}, failedCommit(t, err)
	}
	return ack, nil
}

func failedCommit(t broker.Transition, err error) error {
	return fmt.Errorf("redisx: commit %q at revision %d: %w", t.ID, t.Rev, err)
}

func (w *worker) commit(ctx context.Context, t broker.Transition) (broker.Ack, error) {
	if err := w.usable(ctx); err != nil {
		return broker.Ack{}, err
	}
	if err := w.b.checkTransition(t); err != nil {
		return broker.Ack{}, err
	}
	seat := w.seat(t.ID)
	token, taken := seat.name()
	if !taken {
		return broker.Ack{}, seat.dead(token, t)
	}
	if o := w.hot(&t, token, seat.p); o != nil {
		err := seat.p.do(ctx, seat.p.hot, o)
		if err != nil || o.code != saysCold {
			return seat.wrote(token, &t, o, err)
		}
		o.release()
	}
	w.cool(t.ID, t.Rev)
	return seat.commitCold(ctx, token, t)
}

// wrote does what follows from a transition that went as o with a hot batch. If there is no error, nobody may know o any more.
func (s *seat) wrote(token string, t *broker.Transition, o *op, err error) (broker.Ack, error) {
	switch {
	case errors.Is(err, broker.ErrFenced):
		return broker.Ack{}, s.dead(token, *t)
	case err != nil:
		return broker.Ack{}, err
	}
	head := s.w.holdings.wrote(t, o)
	if t.Next == broker.Keep {
		return broker.Ack{Rev: t.Rev + 1, Owned: true}, nil
	}
	s.w.followUp(t, head)
	return broker.Ack{Rev: t.Rev + 1}, nil
}

// dead ends the seat that was taken under token, and gives what a commit answers. Whoever gets that drops the saga; it may come again.
func (s *seat) dead(token string, t broker.Transition) error {
	s.mourn(token, broker.ErrFenced)
	s.w.drop(t.ID, t.Rev)
	return s.fenced()
}

// commitCold sends a transition through apply.lua.
func (s *seat) commitCold(ctx context.Context, token string, t broker.Transition) (broker.Ack, error) {
	w, begun := s.w, time.Now()
	o := newOp(kindCommit, t.ID, token)
	o.transition(s.p, t, w.member.Build)
	if err := s.p.do(ctx, s.p.cold, o); err != nil {
		return broker.Ack{}, err
	}
	defer o.release()
	ack := broker.Ack{Rev: t.Rev + 1, Owned: t.Next == broker.Keep}
	switch o.code {
	case 0:
	case saysAck:
		if err := w.readAck(t, values(o.details), &ack); err != nil {
			return broker.Ack{}, err
		}
	case saysFenced:
		return broker.Ack{}, s.dead(token, t)
	default:
		w.drop(t.ID, t.Rev)
		return broker.Ack{}, says(o.code)
	}
	s.p.forward(t.Send, begun)
	if !ack.Owned {
		w.followUp(&t, w.drop(t.ID, t.Rev))
	}
	return ack, nil
}

// readAck reads whether the worker still owns a saga, and its mail.
func (w *worker) readAck(t broker.Transition, details []any, ack *broker.Ack) error {
	if len(details) < 2 {
		return errReply
	}
	mail, err := parseMail(values(details[1]))
	if err != nil {
		return err
	}
	ack.Owned, ack.Mail = number(details[0]) == 1, events(mail)
	w.told(t.ID, t.Rev, mail)
	return nil
}

// followUp does what is to be done after a transition after which the worker has the saga no longer, of which it knew the head.
func (w *worker) followUp(t *broker.Transition, head string) {
	switch t.Next {
	case broker.Finish:
		w.b.watches.settle(t.ID, func() (broker.Snapshot, bool) {
			l, _, err := parseCard(string(make([]byte, fixedLength)) + head)
			if err != nil {
				return broker.Snapshot{}, false
			}
			shot := broker.Snapshot{State: broker.Finished, Since: time.Now(), Outcome: append([]byte(nil), t.Outcome...)}
			shot.Start, shot.Rev = l.start(t.ID), t.Rev+1
			return shot, true
		})
	case broker.Hold, broker.Bury:
		w.b.watches.look(t.ID)
		w.b.chores.due(t.Until)
	case broker.Park:
		w.b.chores.due(t.Until)
	}
}
