package inmem

import (
	"math"
	"sync"
	"time"

	"github.com/skald-go/skald/broker"
)

// alarm is the one timer for all sagas that wait for a time: it rings when the first is due.
type alarm struct {
	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
}

// arm sets the alarm to the first saga that wakes.
func (b *Broker) arm() {
	b.alarm.mu.Lock()
	defer b.alarm.mu.Unlock()
	due, ok := b.wakes.next()
	if !ok || b.alarm.stopped {
		return
	}
	wait := time.Duration(due - now())
	if b.alarm.timer == nil {
		b.alarm.timer = time.AfterFunc(wait, b.ring)
		return
	}
	b.alarm.timer.Reset(wait)
}

func (a *alarm) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	if a.timer != nil {
		a.timer.Stop()
	}
}

// nap notes that s, whose shard is locked, is ready again at until.
func (b *Broker) nap(s *saga, until time.Time) {
	s.due = 0
	if until.IsZero() {
		return
	}
	s.due = nanos(until)
	if b.wakes.add(s) {
		b.arm()
	}
}

// ring makes ready what is due, and sets the alarm for what comes next.
func (b *Broker) ring() {
	if b.closed.Load() {
		return
	}
	at := now()
	for s := b.wakes.pop(at, math.MaxInt); s != nil; s = b.wakes.pop(at, math.MaxInt) {
		b.wake(s)
	}
	b.arm()
}

// wake makes s ready, unless mail was faster and it waits for something else by now.
func (b *Broker) wake(s *saga) {
	s.home.mu.Lock()
	defer s.home.mu.Unlock()
	if s.waiting() && s.due > 0 && s.due <= now() {
		b.ready(s)
	}
}

// ready queues s, whose shard is locked.
func (b *Broker) ready(s *saga) {
	if s.waiting() {
		b.wakes.remove(s)
	}
	s.enter(broker.Ready)
	b.queue.push(s)
}

// nanos counts from 1970; what is out of range, is as early or late as can be.
func nanos(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, 1)):
		return 1
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}
