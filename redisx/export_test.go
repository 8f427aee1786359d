package redisx

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/skald-go/skald/broker"
)

// Kill ends the signs of life of a worker.
func Kill(w broker.Worker) {
	w.(*worker).silent.Store(true)
}

// Forsake is Kill for a worker that does not notice: only the server can fence it.
func Forsake(w broker.Worker) {
	Kill(w)
	for _, s := range w.(*worker).seats {
		s.mu.Lock()
		s.expiry.Stop()
		s.mu.Unlock()
	}
}

// Deafen lets b hear nothing that other brokers or the server publish.
func Deafen(b *Broker) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.listening = true
}

// Sweep does once what chores do now and then in the first partition, and tells whether there is more to do.
func Sweep(ctx context.Context, b *Broker) (more bool, err error) {
	s, err := b.parts[0].sweep(ctx, "")
	return s.more, err
}

// TakeUnheard has the server hand a saga to w, in an answer that nobody hears.
func TakeUnheard(ctx context.Context, w broker.Worker) error {
	s := w.(*worker).seats[0]
	token, _ := s.name()
	_, err := s.p.run(ctx, receiveScript, token, s.w.member.Build, 1, 1, s.w.flows[0])
	return err
}

// ParkAhead parks a saga of w for a time, as a worker does whose clock is ahead of the server's.
func ParkAhead(ctx context.Context, w broker.Worker, id string, rev uint64, wait, ahead time.Duration) error {
	s := w.(*worker).seat(id)
	token, _ := s.name()
	o := newOp(kindCommit, id, token)
	until := time.Now().Add(wait)
	o.transition(s.p, broker.Transition{ID: id, Rev: rev, Next: broker.Park, Until: until}, "")
	append48(o.buf[:len(o.buf)-12], uint64(until.Add(ahead).UnixMilli()))
	if err := s.p.do(ctx, s.p.cold, o); err != nil {
		return err
	}
	s.w.drop(id, rev)
	return says(o.code)
}

// Relay brings a message to its partition, as one does who was stopped on the way for some time.
func Relay(ctx context.Context, b *Broker, m broker.Message, stopped time.Duration) error {
	o := newOp(0, m.To, "")
	o.buf = appendText(o.buf[:0], m.To)
	o.message(nil, m)
	return b.partition(m.To).bring(away{m.ID, o.buf}, time.Now().Add(-stopped)).await(ctx, b)
}

// RelayTime is for how long a message counts that is under way.
const RelayTime = relayTime

// Client gives the client of b.
func (b *Broker) Client() redis.UniversalClient { return b.client }

// KillSubscriber ends the signs of life of a subscriber.
func KillSubscriber(s broker.Subscriber) { s.(*subscriber).silent.Store(true) }

// ForsakeSubscriber is KillSubscriber for one that does not notice: only the server can fence it.
func ForsakeSubscriber(s broker.Subscriber) {
	KillSubscriber(s)
	for _, d := range s.(*subscriber).desks {
		d.mu.Lock()
		d.expiry.Stop()
		d.mu.Unlock()
	}
}

// WakeSubscriber lets a silent subscriber act again.
func WakeSubscriber(s broker.Subscriber) {
	s.(*subscriber).silent.Store(false)
	for _, d := range s.(*subscriber).desks {
		d.ring()
	}
}

// HoldKeys holds what s claims, as a starter does that dies before it stores the saga. until is when the saga may be stored at the latest.
func HoldKeys(ctx context.Context, b *Broker, s broker.Start) (until []byte, err error) {
	x := &claiming{b: b, s: s, p: b.partition(s.ID), claim: b.claim(s)}
	until, _, err = x.ask(ctx)
	for _, p := range b.keyParts(s) {
		if err == nil {
			err = x.try(ctx, p)
		}
	}
	return until, err
}

// StoreHeld stores a saga whose keys are held.
func StoreHeld(ctx context.Context, b *Broker, s broker.Start, until []byte) (broker.Started, error) {
	x := &claiming{b: b, s: s, p: b.partition(s.ID), claim: b.claim(s)}
	return x.start(ctx, modeHeld, until)
}

// SendClaim brings the claim of s to its first key, as a relayer does that was slow.
func SendClaim(ctx context.Context, b *Broker, s broker.Start) error {
	part := b.keyPartition(s.Claims[0])
	claim := b.claim(s)
	body := appendText(nil, s.ID)
	body = append(body, 'C', 0, byte(part), 0, 1, 0, 0, 0, 0, 0, 0)
	body = appendBlob(body, claim)
	return b.parts[0].relay(ctx, []away{{"slow " + randomName(8), body}}, time.Now())
}
