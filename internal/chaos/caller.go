package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/chaos/sagas"
)

// callers start sagas and wait for them, as the office tells.
type callers struct {
	name   string
	office office
	book   *sagas.Book
	engine *flow.Engine
}

// run lets n callers work until ctx ends.
func (c *callers) run(ctx context.Context, n int) {
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			for ctx.Err() == nil {
				t, err := c.office.next(ctx, c.name)
				if err == nil && t != nil {
					c.do(ctx, t)
				}
			}
		})
	}
	group.Wait()
}

func (c *callers) do(ctx context.Context, t *task) {
	r := report{Caller: c.name, Task: t.N, ID: t.Job.ID}
	wait := c.book.Attach(c.engine, t.Job)
	if !t.Attach {
		started, err := c.book.Start(ctx, c.engine, t.Job)
		if err != nil {
			c.stop(ctx, r, err)
			return
		}
		wait, r.Acked = started, true
		c.tell(r)
	}
	for {
		o, err := c.await(ctx, wait)
		var running *flow.RunningError
		switch {
		case err == nil:
			r.Outcome, r.Over = &o, o.Final()
			c.tell(r)
		case ctx.Err() != nil:
			c.stop(ctx, r, err)
			return
		case !errors.As(err, &running) && !(t.Attach && errors.Is(err, flow.ErrUnknown)):
			c.stop(ctx, r, err)
			return
		}
		if r.Over {
			return
		}
		if ctx.Err() != nil { // it goes back, and the process does not wait for that
			c.stop(ctx, r, ctx.Err())
			return
		}
		wait = c.book.Attach(c.engine, t.Job) // asks again
	}
}

// await waits for a time as callers have it.
func (c *callers) await(ctx context.Context, wait sagas.Await) (sagas.Outcome, error) {
	patience := time.Duration(100+rand.IntN(5000)) * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return wait(ctx)
}

// stop ends a task that cannot go on: because the process ends, or because of an answer that must not be.
func (c *callers) stop(ctx context.Context, r report, err error) {
	r.Over, r.Back = true, ctx.Err() != nil || errors.Is(err, flow.ErrEnded)
	if !r.Back {
		r.Wrong = fmt.Sprintf("%s was told: %v", c.name, err)
	}
	c.tell(r)
}

// tell reports as long as there is an office: what a caller was told must not get lost.
func (c *callers) tell(r report) {
	for range 100 {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		err := c.office.report(ctx, r)
		cancel()
		if err == nil {
			return
		}
	}
}
