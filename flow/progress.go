package flow

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
)

// Event is something that a saga has recorded.
type Event struct {
	SagaID  string
	Flow    string
	Seq     int    // 1 is the first fact of the saga
	Path    string // of the step or node; empty if it is about the whole saga
	Kind    string // done, refused, failed, tried, undone, stuck, proceeded, chose, items, round, won, due, woke, signal, took, cancelled, expired, …; the last event is settled
	Attempt int    // if it is about attempts
	Undo    bool   // of tried and stuck: the undo was
	At      time.Time
	Err     error // what went wrong, if anything did
	State   State // of settled
}

// Progress gives what the saga has recorded so far and what it records from now on, in order, each once. The
// channel is closed after the last event, or when ctx ends; a reader that does not read holds up nobody but itself.
// What another process records is seen with some delay; what a saga has recorded is forgotten when it is settled, so a
// reader that comes after that gets the last event only.
func (f Future[T]) Progress(ctx context.Context) <-chan Event {
	events := make(chan Event)
	if f.h == nil {
		close(events)
		return events
	}
	s := &subscription{signal: make(chan struct{}, 1), next: 1}
	f.h.subscribe(s)
	go func() {
		defer close(events)
		defer f.h.unsubscribe(s)
		f.h.pump(ctx, s, events)
	}()
	return events
}

// subscription collects the events of a saga that this process commits, or only hears of the end of sagas.
type subscription struct {
	ends   bool // only that
	mu     sync.Mutex
	queue  []Event
	signal chan struct{}
	next   int // Seq that its reader wants
}

func (h *handle) subscribe(s *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subs = append(h.subs, s)
}

func (h *handle) unsubscribe(s *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if k := slices.Index(h.subs, s); k >= 0 {
		h.subs = slices.Concat(h.subs[:k], h.subs[k+1:])
	}
}

func (s *subscription) put(events []Event) {
	s.mu.Lock()
	s.queue = append(s.queue, events...)
	s.mu.Unlock()
	s.wake()
}

func (s *subscription) wake() { notify(s.signal) }

func (s *subscription) take() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queue
	s.queue = nil
	return q
}

// publish tells those who follow the saga what was committed.
func (h *handle) publish(entries []broker.Entry, started time.Time) {
	h.mu.Lock()
	from := h.seq
	h.seq += len(entries)
	subs := h.subs
	if h.waits != nil {
		shut(h.waits.changed)
		h.waits.changed = nil
	}
	h.mu.Unlock()
	if len(subs) == 0 || len(entries) == 0 {
		return
	}
	events := h.events(entries, started, from)
	for _, s := range subs {
		if !s.ends {
			s.put(events)
		}
	}
}

func (h *handle) events(entries []broker.Entry, started time.Time, from int) []Event {
	events := make([]Event, 0, len(entries))
	for k, entry := range entries {
		f, err := saga.DecodeFact(entry, started)
		if err != nil {
			continue
		}
		ev := Event{
			SagaID: h.id, Flow: h.def.Name, Seq: from + k + 1, Path: f.Path, Kind: f.Kind.String(),
			Attempt: f.Attempts, Undo: f.Flag && (f.Kind == saga.Tried || f.Kind == saga.Stuck), At: f.At,
		}
		if f.Err != nil {
			ev.Err = h.e.errors.Decode(f.Err)
		}
		events = append(events, ev)
	}
	return events
}

// pump moves events to their reader until the saga is settled or ctx ends.
func (h *handle) pump(ctx context.Context, s *subscription, events chan<- Event) {
	h.enter()
	defer h.exit()
	h.readStore(ctx, s)
	for pause := followPause; ; {
		if !s.send(ctx, events) || h.last(ctx, s, events) {
			return
		}
		t := time.NewTimer(pause)
		select {
		case <-s.signal:
		case <-t.C:
			pause = min(2*pause, maxFollowPause)
			h.readStore(ctx, s)
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// send gives the reader what it does not have yet. It says false if ctx ended.
func (s *subscription) send(ctx context.Context, events chan<- Event) bool {
	for _, ev := range s.take() {
		if ev.Seq < s.next {
			continue
		}
		select {
		case events <- ev:
			s.next = ev.Seq + 1
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}

// readStore reads what others, or this process before, have recorded.
func (h *handle) readStore(ctx context.Context, s *subscription) {
	h.mu.Lock()
	local := h.local && s.next > 1
	h.mu.Unlock()
	if local {
		return
	}
	snap, err := h.e.broker.Lookup(ctx, h.id, true)
	if err != nil || h.check(snap) != nil || len(snap.Journal) < s.next {
		return
	}
	header, err := saga.DecodeHeader(snap.Record.Record)
	if err != nil {
		return
	}
	from := s.next - 1
	past := h.events(snap.Journal[from:], header.Started, from)
	s.mu.Lock()
	s.queue = append(past, s.queue...)
	s.mu.Unlock()
}

// last sends the closing event once the saga is settled and everything before was sent.
func (h *handle) last(ctx context.Context, s *subscription, events chan<- Event) bool {
	res := h.result()
	s.mu.Lock()
	more := len(s.queue) > 0
	s.mu.Unlock()
	if res == nil || more {
		return false
	}
	select {
	case events <- Event{SagaID: h.id, Flow: h.def.Name, Seq: s.next, Kind: "settled", At: time.Now(), Err: res.err, State: res.state}:
	case <-ctx.Done():
	}
	return true
}
