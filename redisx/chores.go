package redisx

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// chores are what has to be done now and then, by any broker that has workers: several do no harm.
type chores struct {
	once   sync.Once
	kicked chan struct{} // a saga wakes earlier than was known

	mu   sync.Mutex
	next time.Time           // when the next saga wakes, if that is known; zero: it is not
	away map[*partition]bool // had messages for other partitions when it was swept last
}

const (
	sweepEvery = 400 * time.Millisecond
	tidyEvery  = time.Minute
)

func (c *chores) open() {
	c.kicked, c.away = make(chan struct{}, 1), make(map[*partition]bool)
}

// begin starts the chores, once.
func (c *chores) begin(b *Broker) {
	c.once.Do(func() {
		b.spawn(func() { c.run(b) })
		b.spawn(b.patrol)
	})
}

// due says that a saga wakes at t, if t is not zero.
func (c *chores) due(t time.Time) {
	if t.IsZero() {
		return
	}
	c.mu.Lock()
	sooner := c.next.IsZero() || t.Before(c.next)
	if sooner {
		c.next = t
	}
	c.mu.Unlock()
	if sooner {
		select {
		case c.kicked <- struct{}{}:
		default:
		}
	}
}

// wait is for how long there is nothing to do.
func (c *chores) wait() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next.IsZero() {
		return sweepEvery
	}
	return max(0, min(sweepEvery, time.Until(c.next.Add(time.Millisecond))))
}

func (c *chores) run(b *Broker) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var tidied time.Time
	for {
		select {
		case <-c.kicked:
			timer.Reset(c.wait())
			continue
		case <-timer.C:
		case <-b.ctx.Done():
			return
		}
		if len(b.workers()) > 0 {
			c.sweepAll(b)
			if time.Since(tidied) > tidyEvery {
				tidied = time.Now()
				b.each(func(p *partition) { _, _ = p.run(b.ctx, tidyScript) }) // what fails now is done next time
			}
		}
		timer.Reset(c.wait())
	}
}

// each calls f for all partitions, several at the same time.
func (b *Broker) each(f func(*partition)) {
	if len(b.parts) == 1 {
		f(b.parts[0])
		return
	}
	var group errgroup.Group
	group.SetLimit(abreast)
	for _, p := range b.parts {
		group.Go(func() error {
			f(p)
			return nil
		})
	}
	_ = group.Wait()
}

// sweepAll does what is due. What fails is done next time.
func (c *chores) sweepAll(b *Broker) {
	c.mu.Lock()
	c.next = time.Time{}
	c.mu.Unlock()
	b.each(func(p *partition) {
		for b.ctx.Err() == nil {
			s, err := p.sweep(b.ctx, "")
			if err != nil {
				return
			}
			if !s.more {
				c.due(s.wake)
				c.clear(p, s.away)
				return
			}
		}
	})
}

// clear relays what lies in a partition's outbox, if it lay there the last time too: whoever sends a message relays it himself.
func (c *chores) clear(p *partition, away bool) {
	c.mu.Lock()
	before := c.away[p]
	c.away[p] = away
	c.mu.Unlock()
	if away && before {
		_ = p.relayAll(p.b.ctx)
	}
}

// swept is what sweep.lua answers.
type swept struct {
	more bool      // there is more to do
	wake time.Time // when the next saga wakes, or the zero time
	away bool      // there are messages for other partitions
	left bool      // the worker that leaves was alive
}

// sweep runs sweep.lua.
func (p *partition) sweep(ctx context.Context, leaving string) (s swept, err error) {
	v, err := p.list(ctx, 4, sweepScript, leaving)
	if err != nil {
		return s, err
	}
	if wait := number(v[1]); wait >= 0 {
		s.wake = time.Now().Add(time.Duration(wait) * time.Millisecond)
	}
	s.more, s.away, s.left = number(v[0]) == 1, number(v[2]) > 0, number(v[3]) == 1
	return s, nil
}
