package flow

import (
	"context"
	"sync"
	"time"
)

// clock watches over the attempt that runs on one goroutine. Its timer is not stopped when an attempt
// returns: it rings once in a while, and looks whether the attempt that runs then is due.
type clock struct {
	mu    sync.Mutex
	timer *time.Timer
	rings time.Time // zero: not set
	now   *attempt
	last  time.Time // when now is abandoned; zero until its context has ended
}

func (c *clock) begin(a *attempt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.last = a, time.Time{}
	c.set(a.due)
}

func (c *clock) finish() {
	c.mu.Lock()
	c.now = nil
	c.mu.Unlock()
}

// set makes the clock ring at t at the latest.
func (c *clock) set(t time.Time) {
	if !c.rings.IsZero() && !t.Before(c.rings) {
		return
	}
	c.rings = t
	if c.timer == nil {
		c.timer = time.AfterFunc(time.Until(t), c.ring)
		return
	}
	c.timer.Reset(time.Until(t))
}

// hurry sets when an attempt whose context has ended is abandoned.
func (c *clock) hurry(a *attempt, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now == a && c.last.IsZero() {
		c.last = at
		c.set(at)
	}
}

func (c *clock) ring() {
	now := time.Now()
	c.mu.Lock()
	a := c.now
	c.rings = time.Time{}
	if a == nil {
		c.mu.Unlock()
		return
	}
	var late, abandoned bool
	switch {
	case !c.last.IsZero() && !now.Before(c.last):
		abandoned = true
	case !c.last.IsZero():
		c.set(c.last)
	case !now.Before(a.due):
		late = true
	default:
		c.set(a.due)
	}
	c.mu.Unlock()
	if late {
		a.cutOff(context.DeadlineExceeded)
	}
	if abandoned {
		a.run.abandon(a)
	}
}

func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
}
