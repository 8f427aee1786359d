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

// startQueued starts a saga that waits for a worker.
func (b *Broker) startQueued(ctx context.Context, s broker.Start) (broker.Started, error) {
	b.watches.expect(s.ID)
	p := b.partition(s.ID)
	if line, lane := p.startLine(s, nil); line != "" && b.opts.Backlog == 0 {
		cold, err := p.write(ctx, nil, hotOp{kind: kindStart, id: s.ID, value: line, lane: lane})
		if err != nil || !cold {
			return broker.Started{State: broker.Ready}, err
		}
	}
	o := newOp(kindStart, s.ID, nil)
	o.saga(s, b.node)
	if err := p.do(ctx, p.cold, o); err != nil {
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
	p := b.partition(s.ID)
	o := newOp(kindStart, s.ID, by)
	o.saga(s, b.node)
	by.begin(s.ID, string(o.buf[opHeader+2:len(o.buf)-4-len(s.Record)]))
	if line, _ := p.startLine(s, by); line != "" {
		cold, err := p.write(ctx, by, hotOp{kind: kindStart, id: s.ID, value: line})
		switch {
		case err == nil && !cold:
			o.release()
			return by.started(s.ID, newHotLine(line), nil)
		case err != nil && !errors.Is(err, broker.ErrFenced): // a start by the dead is queued
			by.abandon(s.ID)
			return broker.Started{}, err
		}
	}
	if err := p.do(ctx, p.cold, o); err != nil {
		by.abandon(s.ID)
		return broker.Started{}, err
	}
	defer o.release()
	switch o.code {
	case 0, saysMail:
		mail, err := parseMail(values(o.details))
		if err != nil {
			by.abandon(s.ID)
			return broker.Started{Existed: true, State: broker.Owned}, err
		}
		return by.started(s.ID, hotLine{}, mail)
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

// started answers a start after which w owns the saga, unless Receive has handed it out already.
func (w *worker) started(id string, line hotLine, mail []numbered) (broker.Started, error) {
	if !w.hand(id, line, mail) {
		w.abandon(id)
		return broker.Started{Existed: true, State: broker.Owned}, nil
	}
	return broker.Started{Owned: true, State: broker.Owned, Mail: events(mail)}, nil
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
