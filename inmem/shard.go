package inmem

import (
	"hash/maphash"
	"math"
	"math/bits"
	"sync"

	"github.com/skald-go/skald/broker"
)

const shardCount = 64 // a set of shards is a uint64

// shard holds the sagas of some IDs.
//
// Locks are taken in this order: shards by their number, then the queue, an agenda or the alarm.
type shard struct {
	mu      sync.Mutex
	sagas   map[string]*saga // and early mail
	states  [broker.Finished + 1]int
	watches map[string][]*watch
}

func (b *Broker) number(id string) uint64 {
	return maphash.String(b.seed, id) % shardCount
}

func (b *Broker) shard(id string) *shard {
	return &b.shards[b.number(id)]
}

// span is the set of shards that a transition touches.
func (b *Broker) span(t broker.Transition) uint64 {
	set := uint64(1) << b.number(t.ID)
	for i := range t.Send {
		if t.Send[i].Service != "" {
			continue
		}
		set |= 1 << b.number(t.Send[i].To)
	}
	return set
}

func (b *Broker) lock(set uint64) {
	for ; set != 0; set &= set - 1 {
		b.shards[bits.TrailingZeros64(set)].mu.Lock()
	}
}

func (b *Broker) unlock(set uint64) {
	for ; set != 0; set &= set - 1 {
		b.shards[bits.TrailingZeros64(set)].mu.Unlock()
	}
}

// find gives the saga or the early mail of an ID whose shard is locked, or nil.
func (b *Broker) find(id string) *saga {
	s := b.shard(id).sagas[id]
	if s != nil && s.expired() {
		b.drop(s)
		return nil
	}
	return s
}

// make adds an ID, whose shard is locked.
func (b *Broker) make(id string) *saga {
	sh := b.shard(id)
	s := &saga{id: id, home: sh}
	sh.sagas[id] = s
	sh.states[s.state]++
	return s
}

// drop forgets a finished saga or early mail whose shard is locked.
func (b *Broker) drop(s *saga) {
	if s.home.sagas[s.id] != s {
		return
	}
	delete(s.home.sagas, s.id)
	s.home.states[s.state]--
	if s.state == broker.Finished {
		b.kept.remove(s)
		return
	}
	b.early.remove(s)
	b.unread.Add(-int64(len(s.box.events)))
}

// tidyKept forgets finished sagas: those that have expired, and those beyond the limit.
func (b *Broker) tidyKept() {
	at := now()
	for s := b.kept.pop(at, b.options.retain); s != nil; s = b.kept.pop(at, b.options.retain) {
		b.forget(s, broker.Finished)
	}
}

// tidyEarly forgets early mail that has expired.
func (b *Broker) tidyEarly() {
	at := now()
	for s := b.early.pop(at, math.MaxInt); s != nil; s = b.early.pop(at, math.MaxInt) {
		b.forget(s, unborn)
	}
}

// forget drops s if it is still what its agenda knew it as. Early mail can have got a start or a longer
// time since.
func (b *Broker) forget(s *saga, state broker.State) {
	s.home.mu.Lock()
	defer s.home.mu.Unlock()
	if s.state == state && (state == broker.Finished || s.expired()) {
		b.drop(s)
	}
}
