package redisx

import (
	"context"
	"sync"
	"time"
)

// chores are what has to be done now and then, by any broker that has workers: several do no harm.
type chores struct {
	once   sync.Once
	kicked chan struct{} // a saga wakes earlier than was known

	mu   sync.Mutex
	rest map[*partition]pauses // before an outbox is relayed again that could not be
	next time.Time             // when the next saga wakes, if that is known; zero: it is not
	away map[*partition]bool   // had messages for other partitions when it was swept last
}

const (
	sweepEvery = 400 * time.Millisecond
	tidyEvery  = time.Minute
)

func (c *chores) open() {
	c.kicked, c.away, c.rest = make(chan struct{}, 1), make(map[*partition]bool), make(map[*partition]pauses)
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
		}
		timer.Reset(c.wait())
	}
}

// sweepAll does what is due, in all partitions side by side. What fails is done next time.
func (c *chores) sweepAll(b *Broker) {
	c.mu.Lock()
	c.next = time.Time{}
	c.mu.Unlock()
	for _, p := range b.parts {
		p.sweeping.do(b, func() { c.sweep(p) })
	}
}

func (c *chores) sweep(p *partition) {
	b := p.b
	for b.ctx.Err() == nil {
		s, err := p.sweep(b.ctx, "")
		if err != nil {
			return
		}
		if !s.more {
			c.due(s.wake)
			c.clear(p, s.away)
			break
		}
	}
	if time.Since(p.tidied) > tidyEvery {
		p.tidied = time.Now()
		_, _ = p.run(b.ctx, tidyScript)
	}
}

// clear relays what lies in a partition's outbox, if it lay there the last time too: whoever sends a message relays it himself.
func (c *chores) clear(p *partition, away bool) {
	c.mu.Lock()
	before, rest := c.away[p], c.rest[p]
	c.away[p] = away
	c.mu.Unlock()
	if !away || !before || time.Now().Before(rest.until) {
		return
	}
	rest = rest.after(p.relayAll(p.b.ctx))
	c.mu.Lock()
	c.rest[p] = rest
	c.mu.Unlock()
}

// pauses grow while something fails.
type pauses struct {
	until time.Time
	last  time.Duration
}

const longestPause = 10 * time.Second

func (x pauses) after(err error) pauses {
	if err == nil {
		return pauses{}
	}
	x.last = min(max(sweepEvery, 2*x.last), longestPause)
	x.until = time.Now().Add(x.last)
	return x
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
