package inmem

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skald-go/skald/broker"
)

var errUnsorted = errors.New("claims must be sorted, each once")

// claims are the keys that sagas hold, and who waits for them. Its lock is taken after those of shards.
type claims struct {
	mu      sync.Mutex
	queues  map[string][]*claim // by key, the holder first
	granted []*claim            // whose sagas are still to be told
	untold  atomic.Bool         // there are some
}

// claim is what one saga claims. It holds the first so many of its keys, and stands in the queue of the next.
type claim struct {
	id   string
	keys []string
	held int
}

// take lets a saga claim keys, and tells whether it holds them all. With refuse it gets all or none.
func (x *claims) take(c *claim, refuse bool) (all bool, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if refuse {
		for _, key := range c.keys {
			if q := x.queues[key]; len(q) > 0 {
				return false, &broker.LockedError{Key: key, Holder: q[0].id}
			}
		}
	}
	if x.queues == nil {
		x.queues = make(map[string][]*claim)
	}
	return x.ask(c), nil
}

// ask lets a claim go on from the keys that it holds to the next that another one holds.
func (x *claims) ask(c *claim) (all bool) {
	for ; c.held < len(c.keys); c.held++ {
		key := c.keys[c.held]
		if q := x.queues[key]; len(q) == 0 || q[0] != c {
			x.queues[key] = append(q, c)
		}
		if x.queues[key][0] != c {
			return false
		}
	}
	return true
}

// release gives up what a claim holds, and its place in the queue where it waits.
func (x *claims) release(c *claim) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, key := range c.keys[:min(c.held+1, len(c.keys))] {
		if next := x.leave(c, key); next != nil && x.ask(next) {
			x.granted = append(x.granted, next)
			x.untold.Store(true)
		}
	}
}

// leave takes a claim out of the queue of a key, and gives the one that holds it now, if it did not before.
func (x *claims) leave(c *claim, key string) (next *claim) {
	q := x.queues[key]
	switch {
	case len(q) == 1:
		delete(x.queues, key)
	case q[0] == c:
		q[0] = nil
		x.queues[key], next = q[1:], q[1]
	default:
		at := slices.Index(q, c)
		x.queues[key] = slices.Delete(q, at, at+1)
	}
	return next
}

// take lets a saga that is about to be born claim its keys.
func (b *Broker) take(s broker.Start) (c *claim, waits bool, err error) {
	if len(s.Claims) == 0 {
		return nil, false, nil
	}
	if !sorted(s.Claims) {
		return nil, false, errUnsorted
	}
	c = &claim{id: s.ID, keys: slices.Clone(s.Claims)}
	all, err := b.claims.take(c, s.Refuse)
	return c, !all, err
}

// sorted says that keys are in order, each once.
func sorted(keys []string) bool {
	for i := 1; i < len(keys); i++ {
		if keys[i-1] >= keys[i] {
			return false
		}
	}
	return true
}

// tellGranted tells sagas that they hold all that they claim. The caller holds no lock.
func (b *Broker) tellGranted() {
	if !b.claims.untold.Load() {
		return
	}
	b.claims.mu.Lock()
	granted := b.claims.granted
	b.claims.granted = nil
	b.claims.untold.Store(false)
	b.claims.mu.Unlock()
	for _, c := range granted {
		b.grant(c)
	}
}

func (b *Broker) grant(c *claim) {
	sh := b.shard(c.id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s := sh.sagas[c.id]; s != nil && s.live != nil && s.live.claim == c {
		b.post(c.id, broker.Event{ID: broker.Granted, Kind: broker.Granted, At: time.Now()})
	}
}

// Claimants implements broker.Broker.
func (b *Broker) Claimants(ctx context.Context, key string, most int) ([]string, error) {
	if err := b.usable(ctx); err != nil {
		return nil, fmt.Errorf("inmem: look up who claims %q: %w", key, err)
	}
	b.claims.mu.Lock()
	defer b.claims.mu.Unlock()
	q := b.claims.queues[key]
	q = q[:max(0, min(most, len(q)))]
	ids := make([]string, len(q))
	for i, c := range q {
		ids[i] = c.id
	}
	return ids, nil
}
