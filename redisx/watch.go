package redisx

import (
	"slices"
	"sync"
	"time"

	"github.com/skald-go/skald/broker"
)

// watches are the calls of Watch whose fn has not been called. News comes from commits of this broker, from what it hears and,
// at the latest, from a look into the store; that is the truth, all else is faster.
type watches struct {
	b      *Broker
	mu     sync.Mutex
	byID   map[string][]*watch
	fresh  []string      // IDs to look at, at once
	wake   chan struct{} // has a token when there is something fresh
	once   sync.Once
	hopes  [2]map[string]*broker.Snapshot // of IDs that this broker has queued and nobody watches yet, the younger ones first
	turned time.Time
}

// watch is a call of Watch.
type watch struct {
	fn   func(broker.Snapshot)
	next time.Time // when to look
	wait time.Duration
}

const (
	maxHopes   = 1 << 16
	hopesKept  = 5 * time.Second
	readBackMx = 16 // times Options.ReadBack
)

func (x *watches) open(b *Broker) {
	x.b, x.byID, x.wake = b, make(map[string][]*watch), make(chan struct{}, 1)
	x.hopes = [2]map[string]*broker.Snapshot{{}, {}}
}

// expect notes that this broker is about to queue a saga: what is heard of it before somebody watches it, is kept for a while.
func (x *watches) expect(id string) {
	x.b.listen()
	x.mu.Lock()
	defer x.mu.Unlock()
	if now := time.Now(); len(x.hopes[0]) >= maxHopes || now.Sub(x.turned) > hopesKept {
		x.hopes[0], x.hopes[1], x.turned = make(map[string]*broker.Snapshot), x.hopes[0], now
	}
	x.hopes[0][id] = nil
}

// forget ends an expectation.
func (x *watches) forget(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.hope(id)
}

// hope takes an expectation out.
func (x *watches) hope(id string) (shot *broker.Snapshot, ok bool) {
	for _, hopes := range x.hopes {
		if shot, ok = hopes[id]; ok {
			delete(hopes, id)
			return shot, true
		}
	}
	return nil, false
}

// Watch implements broker.Broker.
func (b *Broker) Watch(id string, fn func(broker.Snapshot)) (stop func()) {
	if b.ctx.Err() != nil {
		return func() {}
	}
	x := &b.watches
	b.listen()
	x.once.Do(func() { b.spawn(x.readBack) })
	w := &watch{fn: fn, wait: b.opts.ReadBack}
	x.mu.Lock()
	shot, hoped := x.hope(id)
	if shot != nil {
		x.mu.Unlock()
		fn(*shot)
		return func() {}
	}
	w.next = time.Now().Add(w.wait)
	x.byID[id] = append(x.byID[id], w)
	if !hoped {
		x.later(id)
	}
	x.mu.Unlock()
	return func() { x.end(id, w) }
}

func (x *watches) end(id string, w *watch) {
	x.mu.Lock()
	defer x.mu.Unlock()
	left := slices.DeleteFunc(x.byID[id], func(other *watch) bool { return other == w })
	if len(left) == 0 {
		delete(x.byID, id)
		return
	}
	x.byID[id] = left
}

// later has id looked at by the goroutine that reads back. x is locked.
func (x *watches) later(id string) {
	x.fresh = append(x.fresh, id)
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// look has id looked at soon, if anybody watches it or may do so.
func (x *watches) look(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.hope(id)
	if len(x.byID[id]) > 0 {
		x.later(id)
	}
}

// lookAll has all that is watched looked at soon.
func (x *watches) lookAll() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for id := range x.byID {
		x.later(id)
	}
}

// settle tells the watchers of id how it has finished, or keeps that for one who is expected.
func (x *watches) settle(id string, shot func() (broker.Snapshot, bool)) {
	x.mu.Lock()
	told := x.byID[id]
	delete(x.byID, id)
	hoped := false
	for _, hopes := range x.hopes {
		_, here := hopes[id]
		hoped = hoped || here
	}
	x.mu.Unlock()
	if len(told) == 0 && !hoped {
		return
	}
	s, ok := shot()
	if !ok {
		x.retry(id, told)
		return
	}
	x.mu.Lock()
	late := x.byID[id] // who came while the snapshot was made
	delete(x.byID, id)
	for _, hopes := range x.hopes {
		if _, here := hopes[id]; here {
			kept := s
			hopes[id] = &kept
		}
	}
	x.mu.Unlock()
	for _, w := range append(told, late...) {
		w.fn(s)
	}
}

// retry puts watches back, to look for what could not be read.
func (x *watches) retry(id string, told []*watch) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.byID[id] = append(x.byID[id], told...)
	x.later(id)
}

// readBack looks at what is watched until the broker is closed.
func (x *watches) readBack() {
	tick := time.NewTicker(max(x.b.opts.ReadBack/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-x.wake:
		case <-tick.C:
		case <-x.b.ctx.Done():
			return
		}
		x.read(x.due())
	}
}

// due gives the IDs that it is time to look at.
func (x *watches) due() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	due := x.fresh
	x.fresh = nil
	now := time.Now()
	for id, list := range x.byID {
		for _, w := range list {
			if !now.Before(w.next) {
				w.wait = min(2*w.wait, readBackMx*x.b.opts.ReadBack)
				w.next = now.Add(w.wait)
				due = append(due, id)
				break
			}
		}
	}
	return due
}

// read looks at some sagas, and tells who watches them. What cannot be read now is read later.
func (x *watches) read(ids []string) {
	if len(ids) == 0 || x.b.ready.check(x.b.ctx, x.b) != nil {
		return
	}
	for p, own := range x.b.byPartition(ids) {
		if !p.reading.do(x.b, func() { x.readFrom(p, own) }) {
			x.postpone(own)
		}
	}
}

// postpone has IDs looked at with the next tick.
func (x *watches) postpone(ids []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.fresh = append(x.fresh, ids...)
}

func (x *watches) readFrom(p *partition, ids []string) {
	for chunk := range slices.Chunk(ids, looked) {
		shots, err := p.look(x.b.ctx, chunk, false)
		if err != nil {
			return
		}
		for i, s := range shots {
			if ended(s) {
				x.tell(chunk[i], *s)
			}
		}
	}
}

// tell tells the watchers of id how it has ended.
func (x *watches) tell(id string, s broker.Snapshot) {
	x.mu.Lock()
	told := x.byID[id]
	delete(x.byID, id)
	x.mu.Unlock()
	for _, w := range told {
		w.fn(s)
	}
}
