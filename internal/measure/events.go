package measure

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/workload"
)

// Events prepares an engine with a number of groups that listen to one topic. A call publishes an event, and returns when all of them have handled it.
func (p Place) Events(ctx context.Context, groups int) (Site, error) {
	b, server, closeBroker := p.open()
	e := &Engine{Engine: flow.NewEngine(b, p.options()), ended: make(chan error, 1)}
	var h hearing
	for n := range groups {
		workload.Placed.On(e.Engine, fmt.Sprint("group-", n), h.hear(n), flow.AtOnce(max(1, p.Callers)))
	}
	var run context.Context
	run, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go func() { e.ended <- e.Run(run) }()
	call := func(ctx context.Context) error { return h.tell(ctx, e.Engine, groups) }
	return Site{Run: Run{Call: call, Server: server}, Engine: e.Engine, Broker: b, Close: func() error { return errors.Join(e.Stop(), closeBroker()) }}, nil
}

// hearing knows which groups have heard which events.
type hearing struct{ events sync.Map }

// told is an event on its way to groups.
type told struct {
	mu    sync.Mutex
	heard map[int]bool
	left  atomic.Int64
	all   chan struct{}
}

func (h *hearing) tell(ctx context.Context, e *flow.Engine, groups int) error {
	id := uuid.NewString()
	t := &told{heard: make(map[int]bool, groups), all: make(chan struct{})}
	t.left.Store(int64(groups))
	h.events.Store(id, t)
	defer h.events.Delete(id)
	if err := workload.Placed.Publish(ctx, e, workload.Input(), flow.EventID(id)); err != nil {
		return err
	}
	select {
	case <-t.all:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hear is the handler of a group.
func (h *hearing) hear(group int) func(context.Context, workload.Order) error {
	return func(ctx context.Context, _ workload.Order) error {
		if t, ok := h.events.Load(flow.DeliveryFrom(ctx).EventID); ok {
			t.(*told).by(group)
		}
		return nil
	}
}

// by notes that a group has heard the event; a group may hear it twice.
func (t *told) by(group int) {
	t.mu.Lock()
	again := t.heard[group]
	t.heard[group] = true
	t.mu.Unlock()
	if !again && t.left.Add(-1) == 0 {
		close(t.all)
	}
}
