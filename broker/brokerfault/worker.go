package brokerfault

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/skald-go/skald/broker"
)

// worker is a worker of the wrapped broker whose calls fail.
type worker struct {
	broker.Worker
	b    *Broker
	name string

	mu      sync.Mutex
	held    []broker.Delivery // for the next Receive
	blocked []*blocked
}

// blocked is a Receive that waits for the wrapped worker.
type blocked struct{ interrupt context.CancelFunc }

// Commit implements broker.Worker.
func (w *worker) Commit(ctx context.Context, t broker.Transition) (broker.Ack, error) {
	return call(ctx, w.b, operation[broker.Ack]{
		method: Commit, id: t.ID, worker: w,
		do: func() (broker.Ack, error) {
			w.b.seizing.RLock()
			defer w.b.seizing.RUnlock()
			return w.Worker.Commit(ctx, t)
		},
	})
}

// Leave implements broker.Worker.
func (w *worker) Leave(ctx context.Context) error {
	_, err := call(ctx, w.b, operation[none]{
		method: Leave, id: w.name, worker: w,
		do: func() (none, error) { return none{}, w.Worker.Leave(ctx) },
	})
	return err
}

// Receive implements broker.Worker.
func (w *worker) Receive(ctx context.Context, room int) ([]broker.Delivery, error) {
	held := false
	return call(ctx, w.b, operation[[]broker.Delivery]{
		method: Receive, id: w.name, worker: w,
		do: func() (reply []broker.Delivery, err error) {
			reply, held, err = w.receive(ctx, room)
			return reply, err
		},
		lost: func(reply []broker.Delivery) { w.hold(reply...) },
		again: func(reply []broker.Delivery) {
			if !held {
				w.hold(mail(reply)...)
			}
		},
		reorder: w.shuffle,
	})
}

// receive gives what is held, or else waits for the wrapped worker.
func (w *worker) receive(ctx context.Context, room int) (reply []broker.Delivery, held bool, err error) {
	for {
		inner, cancel := context.WithCancel(ctx)
		wait := &blocked{cancel}
		if late := w.enter(wait, room); len(late) > 0 {
			cancel()
			if reply, err = w.fresh(ctx, late); err != nil || len(reply) > 0 {
				return reply, true, err
			}
			continue
		}
		reply, err = w.Worker.Receive(inner, room)
		w.exit(wait)
		interrupted := inner.Err() != nil && ctx.Err() == nil
		cancel()
		if err == nil || !interrupted {
			return reply, false, err
		}
	}
}

// enter takes what is held. If that is nothing, a hold interrupts the wait from now on.
func (w *worker) enter(wait *blocked, room int) []broker.Delivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	var taken, left []broker.Delivery
	for _, d := range w.held {
		switch {
		case d.Saga == nil:
			taken = append(taken, d)
		case room > 0:
			taken = append(taken, d)
			room--
		default:
			left = append(left, d)
		}
	}
	w.held = left
	if len(taken) == 0 {
		w.blocked = append(w.blocked, wait)
	}
	return taken
}

// fresh reads again the sagas that are handed out late: more mail may have come for them, and those that w owns
// no longer are not handed out.
func (w *worker) fresh(ctx context.Context, held []broker.Delivery) ([]broker.Delivery, error) {
	if len(held) > 0 && w.fenced(ctx) {
		return nil, nil
	}
	var fresh []broker.Delivery
	for i, d := range held {
		if d.Saga == nil {
			fresh = append(fresh, d)
			continue
		}
		shot, err := w.b.Broker.Lookup(ctx, d.ID, true)
		switch {
		case errors.Is(err, broker.ErrUnknown):
		case err != nil:
			w.hold(append(fresh, held[i:]...)...)
			return nil, err
		case shot.State == broker.Owned && shot.Owner == w.name && shot.Rev == d.Saga.Rev:
			fresh = append(fresh, broker.Delivery{ID: d.ID, Saga: &shot.Record})
		}
	}
	return fresh, nil
}

// fenced asks by a commit that cannot be applied, since revisions begin with 1.
func (w *worker) fenced(ctx context.Context) bool {
	_, err := w.Worker.Commit(ctx, broker.Transition{})
	return errors.Is(err, broker.ErrFenced)
}

func (w *worker) exit(wait *blocked) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.blocked = slices.DeleteFunc(w.blocked, func(other *blocked) bool { return other == wait })
}

// hold keeps deliveries for the next Receive, and for those that are blocked.
func (w *worker) hold(deliveries ...broker.Delivery) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = append(w.held, deliveries...)
	for _, wait := range w.blocked {
		wait.interrupt()
	}
}

// shuffle changes the order, unless a saga is lost: what else comes of it stays behind that.
func (w *worker) shuffle(c Call, reply []broker.Delivery) []broker.Delivery {
	if slices.ContainsFunc(reply, func(d broker.Delivery) bool { return d.Lost }) {
		return reply
	}
	w.b.dice.random(c).Shuffle(len(reply), func(i, j int) { reply[i], reply[j] = reply[j], reply[i] })
	return reply
}

// mail copies the deliveries that only bring mail.
func mail(deliveries []broker.Delivery) []broker.Delivery {
	var copies []broker.Delivery
	for _, d := range deliveries {
		if d.Saga == nil && !d.Lost {
			copies = append(copies, broker.Delivery{ID: d.ID, Mail: copied(d.Mail)})
		}
	}
	return copies
}

func copied(events []broker.Event) []broker.Event {
	events = slices.Clone(events)
	for i := range events {
		events[i].Data = bytes.Clone(events[i].Data)
	}
	return events
}
