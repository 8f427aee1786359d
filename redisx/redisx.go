// Package redisx is a broker on Redis: sagas that outlive every process.
//
//	engine := flow.NewEngine(redisx.New(client, redisx.Options{}), flow.Options{})
//
// It needs Redis 6.2 or later with maxmemory-policy noeviction, and works through any redis.UniversalClient.
// What it promises is what the server promises: a write that Redis acknowledged is there as long as Redis keeps
// acknowledged writes. See Keys for what it stores.
//
// Every write is a script that is fenced by the worker's token and the saga's revision, so that a command that was
// sent twice does no harm. Writes of many sagas travel together: whatever is called while a batch is under way goes
// with the next one.
//
// New starts nothing. The first use that needs them starts the broker's goroutines, and Close waits for them.
package redisx

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/skald-go/skald/broker"
)

var (
	_ broker.Broker   = (*Broker)(nil)
	_ broker.Restorer = (*Broker)(nil)
	_ broker.Linked   = (*Broker)(nil)
)

// Broker is a broker.Broker on Redis. Make one with New.
type Broker struct {
	client  redis.UniversalClient
	opts    Options
	node    string // names this broker among all that use the namespace
	parts   []*partition
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	group   sync.WaitGroup
	ready   readiness
	watches watches
	chores  chores
	ear     ear
	alarm   chan struct{} // has a token when sagas may be lost
	letters postbox       // of other services

	mu        sync.Mutex
	closed    bool
	listening bool
	seats     map[string]*seat // that are taken, by token
	links     map[string]*link // to other services, by name

	home        *Broker       // has the bus: this one, or one of another namespace
	subscribers []*subscriber // that live; mu guards them
}

// The lengths of names; a worker's begins with that of its node.
const (
	nodeLength   = 10
	workerLength = 16
)

// New makes a broker that stores sagas through client, which it does not close. It panics if client is nil or opts make no sense.
func New(client redis.UniversalClient, opts Options) *Broker {
	if client == nil {
		panic("redisx: New(nil, …): a broker needs a client, such as redis.NewClient(…)")
	}
	if err := opts.check(); err != nil {
		panic(err.Error())
	}
	b := &Broker{client: client, opts: opts.withDefaults(), node: randomName(nodeLength), seats: make(map[string]*seat), links: make(map[string]*link)}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	for n := range b.opts.Partitions {
		b.parts = append(b.parts, newPartition(b, n))
	}
	b.watches.open(b)
	b.chores.open()
	b.alarm = signal(1)
	b.makeHome()
	return b
}

// Close implements broker.Broker.
func (b *Broker) Close() error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.cancel()
	for _, w := range b.workers() {
		w.die(broker.ErrClosed)
	}
	for _, s := range b.living() {
		s.die(broker.ErrClosed)
	}
	b.group.Wait()
	if b.home != b {
		return b.home.Close()
	}
	return nil
}

// Service implements broker.Linked: it is Options.Service.
func (b *Broker) Service() string { return b.opts.Service }

// spawn runs f on a goroutine that Close waits for. After Close it does nothing, and says false.
func (b *Broker) spawn(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.group.Go(f)
	}
	return !b.closed
}

// enlist notes who took a seat under token.
func (b *Broker) enlist(token string, s *seat) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seats[token] = s
}

// strike forgets a seat.
func (b *Broker) strike(token string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.seats, token)
}

// seat gives who took a seat under token, or nil.
func (b *Broker) seat(token string) *seat {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seats[token]
}

// workers gives the workers that have a seat, in random order, so that nobody is always first.
func (b *Broker) workers() []*worker {
	b.mu.Lock()
	defer b.mu.Unlock()
	var workers []*worker
	for _, s := range b.seats {
		if !slices.Contains(workers, s.w) {
			workers = append(workers, s.w)
		}
	}
	return workers
}

// usable says why a call cannot begin. The first call looks whether the server will do.
func (b *Broker) usable(ctx context.Context) error {
	if b.ctx.Err() != nil {
		return broker.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return b.ready.check(ctx, b)
}

// ask calls f on a goroutine of the broker, and waits for it as long as ctx and the broker last.
func ask[R any](ctx context.Context, b *Broker, f func(context.Context) (R, error)) (R, error) {
	type answer struct {
		reply R
		err   error
	}
	var none R
	answers := make(chan answer, 1)
	b.spawn(func() {
		inner, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(b.ctx, cancel)()
		reply, err := f(inner)
		answers <- answer{reply, err}
	})
	select {
	case a := <-answers:
		if a.err != nil {
			return none, b.passing(ctx, a.err)
		}
		return a.reply, nil
	case <-ctx.Done():
		return none, ctx.Err()
	case <-b.ctx.Done():
		return none, broker.ErrClosed
	}
}

// passing replaces an error that follows from the end of ctx or of the broker.
func (b *Broker) passing(ctx context.Context, err error) error {
	switch {
	case b.ctx.Err() != nil:
		return broker.ErrClosed
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return err
}

func failed(what, id string, err error) error {
	return fmt.Errorf("redisx: %s %q: %w", what, id, err)
}

func randomName(length int) string {
	return strings.ToLower(rand.Text()[:length])
}
