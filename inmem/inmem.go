// Package inmem is a broker in memory: the sagas of one process, gone with it.
//
// It is for unit tests, for programs whose sagas may die with the process, and for trying things
// out. It copies what it is given and encodes nothing: an engine on it writes and reads the same
// bytes as on any other broker.
//
// A broker starts no goroutine. It waits on channels and timers only, so that everything built on
// it runs in virtual time inside a testing/synctest bubble; a parked saga holds neither a goroutine
// nor a timer of its own. Make the broker in the bubble that uses it.
//
// A worker lives until it leaves, the broker is closed, or [Broker.Kill] simulates the death of its
// process: calls of a killed worker fail with broker.ErrFenced at once, and its sagas are taken over
// when its lease has passed.
package inmem

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skald-go/skald/broker"
)

var (
	_ broker.Broker   = (*Broker)(nil)
	_ broker.Restorer = (*Broker)(nil)
	_ broker.Linked   = (*Broker)(nil)
)

// Broker is a broker.Broker in memory. Make one with New, or that of a service with Network.Broker.
type Broker struct {
	options options
	network *Network // nil: on its own
	service string
	seed    maphash.Seed
	shards  [shardCount]shard
	queue   queue
	claims  claims
	wakes   agenda // parked and held sagas, by the time they wake
	kept    agenda // finished sagas, by the time they are forgotten
	early   agenda // mail without a saga, by the time it is dropped
	unread  atomic.Int64
	alarm   alarm
	lives   sync.Pool // of *live
	closed  atomic.Bool
	gone    chan struct{} // closed with it
	bus     *Bus
}

// New makes an empty broker.
func New(opts ...Option) *Broker {
	b := &Broker{options: defaults(), seed: maphash.MakeSeed(), gone: make(chan struct{})}
	for _, set := range opts {
		set(&b.options)
	}
	if b.bus = b.options.bus; b.bus == nil {
		b.bus = NewBus()
	}
	for i := range b.shards {
		b.shards[i].sagas = make(map[string]*saga)
	}
	b.queue.open(b.options)
	b.lives.New = func() any { return new(live) }
	return b
}

// Close implements broker.Broker.
func (b *Broker) Close() error {
	if b.closed.CompareAndSwap(false, true) {
		b.alarm.stop()
		b.queue.close()
		close(b.gone)
		b.bus.desert(b)
	}
	return nil
}

// usable says why a call cannot begin.
func (b *Broker) usable(ctx context.Context) error {
	if b.closed.Load() {
		return broker.ErrClosed
	}
	return ctx.Err()
}

func now() int64 { return time.Now().UnixNano() }

// instant gives the time of n nanoseconds since 1970, and the zero time for 0.
func instant(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}
