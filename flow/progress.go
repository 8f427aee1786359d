package flow

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
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
//
// Of a step or undo that waits for its next attempt again and again, the first 16 times are told. Engine.Snapshot tells the last.
// What another process records is seen with some delay. What a saga has recorded is forgotten when it is done or undone:
// a reader that comes after that gets the last event only, and one in another process may miss what was recorded last.
func (f Future[T]) Progress(ctx context.Context) <-chan Event {
	events := make(chan Event)
	if f.h == nil {
		close(events)
		return events
	}
	s := newSubscription()
	s.flow = f.h.def.Name
	f.h.subscribe(s)
	f.h.e.followers.add(f.h.id, s)
	go func() {
		defer close(events)
		defer f.h.unsubscribe(s)
		defer f.h.e.followers.remove(f.h.id, s)
		f.h.pump(ctx, s, events)
	}()
	return events
}

// subscription is woken when something happens to a saga, and collects the events that this process commits.
type subscription struct {
	signal chan struct{}
	flow   string // that it expects
	next   int    // Seq that its reader wants
	mu     sync.Mutex
	queue  []Event
}

func newSubscription() *subscription { return &subscription{signal: make(chan struct{}, 1), next: 1} }

func (s *subscription) wake() { notify(s.signal) }

func (s *subscription) put(events []Event) {
	s.mu.Lock()
	s.queue = append(s.queue, events...)
	s.mu.Unlock()
	s.wake()
}

// hasGap says that something is missing before what is in the queue: a commit whose reply was lost.
func (s *subscription) hasGap() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue) > 0 && s.queue[0].Seq > s.next
}

func (s *subscription) take() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queue
	s.queue = nil
	return q
}

// followers are the readers of Progress in this process. They follow their sagas from one run to the next.
type followers struct {
	count atomic.Int64
	mu    sync.Mutex
	byID  map[string][]*subscription
}

func (f *followers) add(id string, s *subscription) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byID == nil {
		f.byID = map[string][]*subscription{}
	}
	f.byID[id] = append(f.byID[id], s)
	f.count.Add(1)
}

func (f *followers) remove(id string, s *subscription) {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(f.byID[id]), func(other *subscription) bool { return other == s })
	f.count.Add(-1)
	if f.byID[id] = left; len(left) == 0 {
		delete(f.byID, id)
	}
}

func (f *followers) of(id string) []*subscription {
	if f.count.Load() == 0 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byID[id]
}

// publish tells those who follow the saga what was committed.
func (h *handle) publish(entries []broker.Entry, started time.Time) {
	h.mu.Lock()
	from := h.seq
	h.seq += len(entries)
	if h.waits != nil {
		shut(h.waits.changed)
		h.waits.changed = nil
	}
	h.mu.Unlock()
	if subs := h.e.followers.of(h.id); len(subs) > 0 && len(entries) > 0 {
		events := h.events(entries, started, from)
		for _, s := range subs {
			if s.flow == h.def.Name {
				s.put(events)
			}
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
		var end *result
		if h.e.table.get(h.id) == nil { // otherwise the run has still something to tell
			if end = h.standing(ctx); end != nil {
				h.readStore(ctx, s)
			}
		}
		if s.hasGap() {
			h.readStore(ctx, s)
		}
		if !s.send(ctx, events) {
			return
		}
		if end != nil {
			h.last(ctx, s, events, end)
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

// last sends the closing event.
func (h *handle) last(ctx context.Context, s *subscription, events chan<- Event, res *result) {
	select {
	case events <- Event{SagaID: h.id, Flow: h.def.Name, Seq: s.next, Kind: "settled", At: time.Now(), Err: res.err, State: res.state}:
	case <-ctx.Done():
	}
}

// readStore reads what others have recorded.
func (h *handle) readStore(ctx context.Context, s *subscription) {
	if s.next > 1 && h.e.table.get(h.id) != nil && !s.hasGap() {
		return // this process tells it
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
