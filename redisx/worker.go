package redisx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"golang.org/x/sync/errgroup"

	"github.com/skald-go/skald/broker"
)

var errLease = errors.New("the lease must be at least 10 ms")

// worker is a membership: a seat in each partition.
type worker struct {
	b      *Broker
	member broker.Member
	said   []byte   // its profile
	flows  []string // that it serves, as the scripts name them
	seats  []*seat
	holdings
	inbox inbox
	looks chan look       // for goroutines that have made one
	ended context.Context // when it is dead or has left, or the broker is closed
	end   context.CancelCauseFunc

	leaving atomic.Bool
	silent  atomic.Bool // gives no more signs of life: for tests
}

// profile is what a worker says of itself to others.
type profile struct {
	Name  string
	Build string
	Flows []string
}

const (
	minLease = 10 * time.Millisecond
	abreast  = 16 // partitions that are asked at the same time
)

// Join implements broker.Broker.
func (b *Broker) Join(ctx context.Context, m broker.Member) (broker.Worker, error) {
	w, err := b.join(ctx, m)
	if err != nil {
		return nil, failed("join", m.Name, err)
	}
	return w, nil
}

func (b *Broker) join(ctx context.Context, m broker.Member) (*worker, error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	if m.Lease < minLease {
		return nil, errLease
	}
	w, err := b.newWorker(m)
	if err != nil {
		return nil, err
	}
	_, err = ask(ctx, b, func(ctx context.Context) (struct{}, error) { return struct{}{}, w.sit(ctx) })
	if err != nil {
		w.die(err)
		return nil, err
	}
	b.listen()
	b.chores.begin(b)
	b.letters.begin(b)
	if !b.spawn(w.beat) {
		w.die(broker.ErrClosed)
		return nil, broker.ErrClosed
	}
	return w, nil
}

func (b *Broker) newWorker(m broker.Member) (*worker, error) {
	m.Flows = slices.Clone(m.Flows)
	w := &worker{b: b, member: m, looks: make(chan look)}
	for _, s := range m.Flows {
		w.flows = append(w.flows, string(appendServed(nil, s)))
	}
	said, err := msgpack.Marshal(profile{m.Name, m.Build, w.flows})
	if err != nil {
		return nil, err
	}
	w.said = said
	for _, p := range b.parts {
		w.seats = append(w.seats, &seat{w: w, p: p, heard: time.Now()})
	}
	w.holdings.open(len(b.parts))
	w.inbox.open(len(b.parts))
	w.ended, w.end = context.WithCancelCause(context.Background())
	return w, nil
}

// sit takes the seats. It fails if it gets none: those that it does not get now are tried again with each sign of life.
func (w *worker) sit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(w.trust()/2, time.Second))
	defer cancel()
	err := w.each(func(s *seat) error {
		err := s.take(ctx, w.said)
		s.beaten(err)
		return err
	})
	if w.seated() {
		return nil
	}
	return err
}

// each calls f for all seats, several at the same time, and gives the first error.
func (w *worker) each(f func(*seat) error) error {
	if len(w.seats) == 1 {
		return f(w.seats[0])
	}
	var group errgroup.Group
	group.SetLimit(abreast)
	for _, s := range w.seats {
		group.Go(func() error { return f(s) })
	}
	return group.Wait()
}

// seat gives the seat in the partition of a saga.
func (w *worker) seat(id string) *seat {
	return w.seats[partitionOf(id, len(w.seats))]
}

// seated tells whether any seat is taken.
func (w *worker) seated() bool {
	return slices.ContainsFunc(w.seats, func(s *seat) bool {
		_, taken := s.name()
		return taken
	})
}

// forfeit tells the engine that the sagas of a partition belong to others.
func (w *worker) forfeit(p *partition) {
	w.inbox.lost(w.holdings.lose(p, time.Now(), nil))
}

// trust is for how long after a sign of life the worker believes that it lives: its lease less a margin.
func (w *worker) trust() time.Duration {
	return w.member.Lease - min(w.member.Lease/5, time.Second)
}

// pace is how often the worker gives a sign of life, or looks for news that nobody told it of.
func (w *worker) pace() time.Duration {
	return min(w.member.Lease/4, time.Second)
}

// die ends the worker's calls with err.
func (w *worker) die(err error) {
	w.end(err)
	for _, s := range w.seats {
		s.mu.Lock()
		s.taken = false
		if s.expiry != nil {
			s.expiry.Stop()
		}
		token := s.token
		s.mu.Unlock()
		w.b.strike(token)
	}
}

// status says why w can do nothing any longer.
func (w *worker) status() error {
	if w.ended.Err() != nil {
		return context.Cause(w.ended)
	}
	if w.leaving.Load() {
		return broker.ErrFenced
	}
	return nil
}

func (w *worker) usable(ctx context.Context) error {
	if err := w.b.usable(ctx); err != nil {
		return err
	}
	return w.status()
}

// errLeft is why a worker that has left can do nothing any longer.
var errLeft = fmt.Errorf("%w: it has left", broker.ErrFenced)

// Leave implements broker.Worker.
func (w *worker) Leave(ctx context.Context) error {
	if err := w.leave(ctx); err != nil {
		return failed("leave", w.member.Name, err)
	}
	return nil
}

func (w *worker) leave(ctx context.Context) error {
	if err := w.b.usable(ctx); err != nil {
		return err
	}
	if cause := context.Cause(w.ended); cause != nil {
		if errors.Is(cause, errLeft) {
			return nil
		}
		return cause
	}
	again := w.leaving.Swap(true)
	w.inbox.ring()
	dead, err := ask(ctx, w.b, func(ctx context.Context) (bool, error) {
		var dead atomic.Bool
		err := w.each(func(s *seat) error { return s.leave(ctx, &dead) })
		return dead.Load(), err
	})
	switch {
	case err != nil:
		return err
	case dead && !again: // whoever repeats this may have left
		w.die(broker.ErrFenced)
		return broker.ErrFenced
	}
	w.die(errLeft)
	return nil
}

// leave gives the seat's sagas back, and notes whether others had taken them because they took the worker for dead.
func (s *seat) leave(ctx context.Context, dead *atomic.Bool) error {
	token, _ := s.name()
	for first := true; ; first = false {
		swept, err := s.p.sweep(ctx, token)
		if err == nil && first && !swept.left {
			dead.Store(true)
		}
		if err != nil || !swept.more {
			return err
		}
	}
}

// beat gives signs of life until the worker ends, and now and then lets it look for news.
func (w *worker) beat() {
	tick := time.NewTicker(w.pace())
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-w.ended.Done():
			return
		case <-w.b.ctx.Done():
			return
		}
		if w.leaving.Load() || w.silent.Load() {
			continue
		}
		for _, s := range w.seats {
			s.beating.do(w.b, func() { s.beat(w.said) })
		}
		w.inbox.stirAll()
	}
}

// trouble says what is wrong with the worker's seats.
func (w *worker) trouble() (errs []error) {
	for _, s := range w.seats {
		if err := s.trouble(); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}
