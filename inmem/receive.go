package inmem

import (
	"context"
	"fmt"

	"github.com/skald-go/skald/broker"
)

// Receive implements broker.Worker.
func (w *worker) Receive(ctx context.Context, room int) ([]broker.Delivery, error) {
	for {
		deliveries, err := w.receive(ctx, room)
		if err != nil {
			w.b.queue.abandon(w)
			return nil, fmt.Errorf("inmem: receive for %q: %w", w.member.Name, err)
		}
		if len(deliveries) > 0 {
			return deliveries, nil
		}
	}
}

// receive waits at most once; it can come back with nothing.
func (w *worker) receive(ctx context.Context, room int) ([]broker.Delivery, error) {
	if err := w.b.usable(ctx); err != nil {
		return nil, err
	}
	news, sagas, wait, err := w.b.queue.poll(w, room)
	if err != nil {
		return nil, err
	}
	if wait == nil {
		return w.deliveries(news, sagas)
	}
	select {
	case <-wait.bell:
		return nil, nil
	case <-ctx.Done():
		w.b.queue.quit(wait)
		return nil, ctx.Err()
	}
}

func (w *worker) deliveries(news, sagas []*saga) ([]broker.Delivery, error) {
	deliveries := make([]broker.Delivery, 0, len(news)+len(sagas))
	for _, s := range news {
		if mail := w.mail(s); len(mail) > 0 {
			deliveries = append(deliveries, broker.Delivery{ID: s.id, Mail: mail})
		}
	}
	for _, s := range sagas {
		if record := w.own(s); record != nil {
			deliveries = append(deliveries, broker.Delivery{ID: s.id, Saga: record})
		}
	}
	return deliveries, w.status()
}

// mail reads what is new for s, if w owns it still.
func (w *worker) mail(s *saga) []broker.Event {
	s.home.mu.Lock()
	defer s.home.mu.Unlock()
	if s.owner != w {
		return nil
	}
	s.box.hinted = false
	return s.box.news()
}

// own makes w the owner of s, which was ready. If w has died meanwhile, it puts s back.
func (w *worker) own(s *saga) *broker.Record {
	s.home.mu.Lock()
	defer s.home.mu.Unlock()
	if w.status() != nil {
		w.b.ready(s)
		return nil
	}
	s.hand(w)
	record := s.record(true)
	s.box.known()
	return &record
}
