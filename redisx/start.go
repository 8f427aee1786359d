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
	var owner *seat
	if by != nil {
		if seat := by.seat(s.ID); seat.holds() {
			owner = seat
		}
	}
	switch {
	case len(s.Claims) > 0:
		return b.startClaiming(ctx, s, owner)
	case owner != nil:
		return b.startOwned(ctx, s, owner)
	}
	return b.startQueued(ctx, s)
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
	if b.opts.Backlog == 0 {
		_, cold, err := p.write(ctx, newHotStart("", s, b.node))
		if err != nil || !cold {
			return broker.Started{State: broker.Ready}, err
		}
	}
	o := newOp(kindStart, s.ID, "")
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
		return existed(o, s, nil, "")
	}
	return broker.Started{}, says(o.code)
}

// startOwned starts a saga that by owns. Until the answer is there, by does not take the saga for one whose handing out was lost.
func (b *Broker) startOwned(ctx context.Context, s broker.Start, by *seat) (broker.Started, error) {
	token, _ := by.name()
	p, w := by.p, by.w
	o := newHotStart(token, s, b.node)
	w.begin(p, s.ID, o.head)
	line, cold, err := p.write(ctx, o)
	switch {
	case cold, errors.Is(err, broker.ErrFenced): // a start by the dead is queued
		return b.startCold(ctx, s, by, token)
	case err != nil:
		by.abandon(s.ID)
		return broker.Started{}, err
	}
	return by.started(token, s.ID, hotLine{line: line}, nil)
}

// startCold is startOwned through apply.lua.
func (b *Broker) startCold(ctx context.Context, s broker.Start, by *seat, token string) (broker.Started, error) {
	p := by.p
	o := newOp(kindStart, s.ID, token)
	o.saga(s, b.node)
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
		return by.started(token, s.ID, hotLine{}, mail)
	case saysExisted:
		return existed(o, s, by, token)
	case saysQueued:
		by.abandon(s.ID)
		by.mourn(token, broker.ErrFenced)
		return broker.Started{State: broker.Ready}, nil
	}
	by.abandon(s.ID)
	return broker.Started{}, says(o.code)
}

// holds tells whether sagas may be started as owned by the seat.
func (s *seat) holds() bool {
	_, taken := s.name()
	return taken && s.w.status() == nil
}

// started answers a start after which the seat owns the saga, unless Receive has handed it out already, or the seat was lost meanwhile.
func (s *seat) started(token, id string, line hotLine, mail []numbered) (broker.Started, error) {
	if now, taken := s.name(); !taken || now != token {
		s.abandon(id)
		return broker.Started{State: broker.Ready}, nil
	}
	if !s.w.hand(id, line, mail) {
		s.abandon(id)
		return broker.Started{Existed: true, State: broker.Owned}, nil
	}
	return broker.Started{Owned: true, State: broker.Owned, Mail: events(mail)}, nil
}

// abandon ends a start without knowing what came of it: if the seat owns the saga without knowing, it has to be read back.
func (s *seat) abandon(id string) {
	if !s.w.holdings.end(id) {
		s.w.inbox.suspect(s.p.number)
	}
}

// existed answers a start for a saga that exists.
func existed(o *op, s broker.Start, by *seat, token string) (broker.Started, error) {
	l, _, err := parseCard(text(o.details))
	if by != nil {
		if l.owner == token {
			by.abandon(s.ID)
		} else {
			by.w.holdings.end(s.ID)
		}
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
