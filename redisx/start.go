package redisx

import (
	"context"
	"errors"

	"github.com/skald-go/skald/broker"
)

var errForeign = errors.New("the worker of By is of another broker")

// Start implements broker.Broker.
func (b *Broker) Start(ctx context.Context, s broker.Start) (broker.Started, error) {
	started, err := b.start(ctx, s)
	if err != nil {
		return broker.Started{}, failed("start", s.ID, err)
	}
	return started, nil
}

func (b *Broker) start(ctx context.Context, s broker.Start) (broker.Started, error) {
	if err := b.usable(ctx); err != nil {
		return broker.Started{}, err
	}
	if err := checkStart(s); err != nil {
		return broker.Started{}, err
	}
	by, err := b.member(s.By)
	if err != nil {
		return broker.Started{}, err
	}
	if by != nil && by.status() != nil {
		by = nil
	}
	if by == nil {
		return b.startQueued(ctx, s)
	}
	return b.startOwned(ctx, s, by)
}

// member gives the worker behind w, or nil for nil.
func (b *Broker) member(w broker.Worker) (*worker, error) {
	if w == nil {
		return nil, nil
	}
	own, ok := w.(*worker)
	if !ok || own.b != b {
		return nil, errForeign
	}
	return own, nil
}

func (b *Broker) startQueued(ctx context.Context, s broker.Start) (broker.Started, error) {
	b.watches.expect(s.ID)
	o := newOp(kindStart, s.ID, nil)
	o.saga(s, b.node)
	if err := b.part.do(ctx, o); err != nil {
		return broker.Started{}, err
	}
	defer o.release()
	if o.code == 0 {
		return broker.Started{State: broker.Ready}, nil
	}
	b.watches.forget(s.ID)
	if o.code == saysExisted {
		return existed(o, s, nil)
	}
	return broker.Started{}, says(o.code)
}

// startOwned starts a saga that by owns. Until the answer is there, by does not take the saga for one whose handing out was lost.
func (b *Broker) startOwned(ctx context.Context, s broker.Start, by *worker) (broker.Started, error) {
	o := newOp(kindStart, s.ID, by)
	o.saga(s, b.node)
	head := string(o.buf[opHeader+2 : len(o.buf)-4-len(s.Record)])
	by.begin(s.ID, head)
	if err := b.part.do(ctx, o); err != nil {
		by.abandon(s.ID)
		return broker.Started{}, err
	}
	defer o.release()
	switch o.code {
	case 0, saysMail:
		mail, err := parseMail(values(o.details))
		if err != nil || !by.hand(s.ID, mail) {
			by.abandon(s.ID)
			return broker.Started{Existed: true, State: broker.Owned}, err
		}
		return broker.Started{Owned: true, State: broker.Owned, Mail: events(mail)}, nil
	case saysExisted:
		return existed(o, s, by)
	case saysQueued:
		by.abandon(s.ID)
		by.mourn(broker.ErrFenced)
		return broker.Started{State: broker.Ready}, nil
	}
	by.abandon(s.ID)
	return broker.Started{}, says(o.code)
}

// existed answers a start for a saga that exists.
func existed(o *op, s broker.Start, by *worker) (broker.Started, error) {
	l, _, err := parseLine(text(o.details))
	if by != nil {
		by.met(s.ID, l.owner == by.token)
	}
	switch {
	case err != nil:
		return broker.Started{}, err
	case l.served != s.Served || l.digest != s.Digest:
		return broker.Started{}, broker.ErrConflict
	}
	return broker.Started{Existed: true, State: l.state}, nil
}

// says gives the error of what a script says.
func says(code byte) error {
	switch code {
	case 0:
		return nil
	case saysOverload:
		return broker.ErrOverload
	case saysFenced:
		return broker.ErrFenced
	case saysStale:
		return broker.ErrStale
	case saysSettled:
		return broker.ErrSettled
	case saysUnknown:
		return broker.ErrUnknown
	}
	return errReply
}
