package inmem

import (
	"slices"

	"github.com/skald-go/skald/broker"
)

// watch is a call of Watch whose fn has not been called.
type watch struct {
	fn func(broker.Snapshot)
}

// telling is what watchers are to be told, and other services, once no lock is held. The nil telling is nothing.
type telling struct {
	watches  []*watch
	snapshot broker.Snapshot
	network  *Network
	away     []broker.Message
}

// Watch implements broker.Broker. It calls fn before it returns if the saga is already held, buried or
// finished; otherwise the call that makes it so calls fn before it returns.
func (b *Broker) Watch(id string, fn func(broker.Snapshot)) (stop func()) {
	if b.closed.Load() {
		return func() {}
	}
	w := &watch{fn}
	b.watch(id, w).call()
	return func() { b.unwatch(id, w) }
}

func (b *Broker) watch(id string, w *watch) *telling {
	sh := b.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.watches == nil {
		sh.watches = make(map[string][]*watch)
	}
	sh.watches[id] = append(sh.watches[id], w)
	return b.tell(b.find(id))
}

func (b *Broker) unwatch(id string, w *watch) {
	sh := b.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	left := slices.DeleteFunc(sh.watches[id], func(x *watch) bool { return x == w })
	if len(left) == 0 {
		delete(sh.watches, id)
		return
	}
	sh.watches[id] = left
}

// tell takes the watches of s, whose shard is locked, if they want to know how it is now.
func (b *Broker) tell(s *saga) *telling {
	if s == nil || !s.told() {
		return nil
	}
	watches := s.home.watches[s.id]
	if len(watches) == 0 {
		return nil
	}
	delete(s.home.watches, s.id)
	return &telling{watches: watches, snapshot: b.snapshot(s, false)}
}

// carrying is t with messages for other services.
func (t *telling) carrying(n *Network, away []broker.Message) *telling {
	if t == nil {
		t = new(telling)
	}
	t.network, t.away = n, away
	return t
}

func (t *telling) call() {
	if t == nil {
		return
	}
	for _, w := range t.watches {
		w.fn(t.snapshot)
	}
	if len(t.away) > 0 {
		t.network.carry(t.away)
	}
}
