package flow

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/skald-go/skald/broker"
)

// events is what an engine listens to.
type events struct {
	mu        sync.Mutex
	listeners map[hearing]*listener
	order     []*listener
	losses    map[hearing]loss
	ended     chan struct{} // closed when the engine listens no more; nil: it never did
	err       error         // why
}

// hearing is a group of a topic.
type hearing struct{ topic, group string }

// loss is what a group has lost.
type loss struct {
	events uint64
	at     time.Time
}

// add adds a listener, unless there is one for its group.
func (v *events) add(l *listener) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	key := hearing{l.topic, l.group}
	if v.listeners[key] != nil {
		return false
	}
	if v.listeners == nil {
		v.listeners = make(map[hearing]*listener)
	}
	v.listeners[key] = l
	v.order = append(v.order, l)
	return true
}

func (v *events) of(topic, group string) *listener {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.listeners[hearing{topic, group}]
}

// openGroup gives what a group hears of an open saga, or nil.
func (v *events) openGroup(topic, group string) *openGroup {
	if l := v.of(topic, group); l != nil {
		return l.open
	}
	return nil
}

// adjust changes a listener.
func (v *events) adjust(topic, group string, opts []ListenOption) {
	l := v.of(topic, group)
	for _, opt := range opts {
		opt(l)
	}
}

func (v *events) some() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.order) > 0
}

// begin listens on a goroutine of Run, if there is anything to listen to.
func (v *events) begin(ctx context.Context, e *Engine) {
	if !v.some() {
		return
	}
	v.ended = make(chan struct{})
	go func() {
		defer close(v.ended)
		v.err = e.hear(ctx)
	}()
}

// wait blocks until the engine listens no more, and says why.
func (v *events) wait() error {
	if v.ended == nil {
		return nil
	}
	<-v.ended
	return v.err
}

// hear handles events until ctx ends or the broker is closed, whatever happens in between.
func (e *Engine) hear(ctx context.Context) error {
	for ctx.Err() == nil {
		r, err := e.subscribe(ctx)
		if err != nil {
			return err
		}
		switch err := r.receive(ctx); {
		case errors.Is(err, broker.ErrClosed):
			r.cut()
			r.quiet(lastMoment)
			return err
		case ctx.Err() == nil:
			e.log.Warn("this subscriber was declared dead, its events go to others; subscribing anew", "error", err)
			r.cut()
		default:
			r.drain()
		}
	}
	return nil
}

// subscription says what the engine listens to.
func (e *Engine) subscription() broker.Subscription {
	s := broker.Subscription{Name: e.opts.Name, Lease: e.opts.Lease}
	e.events.mu.Lock()
	defer e.events.mu.Unlock()
	for _, l := range e.events.order {
		s.Reads = append(s.Reads, l.read())
	}
	return s
}

// subscribe joins the groups, trying until ctx ends, when it gives nil and no error matters, or the broker is closed.
func (e *Engine) subscribe(ctx context.Context) (*reader, error) {
	bus, err := e.bus()
	for pause := pauses(); err == nil; {
		sub, failed := bus.Subscribe(ctx, e.subscription())
		switch {
		case failed == nil:
			e.health.ok(partSubscribe)
			e.health.ok(partHear)
			return newReader(e, sub), nil
		case ctx.Err() != nil:
			return nil, nil
		}
		e.health.failed(partSubscribe, failed)
		if errors.Is(failed, broker.ErrClosed) {
			return nil, failed
		}
		e.log.Warn("cannot subscribe to events, trying again", "error", failed)
		pause.wait(ctx)
	}
	return nil, err
}

// reader is the engine's membership in its groups, until it ends or is fenced.
type reader struct {
	e     *Engine
	sub   broker.Subscriber
	alive context.Context // of handlers
	cut   context.CancelFunc

	mu      sync.Mutex
	running int           // handlers
	idle    chan struct{} // has a token when the last one has returned
	fenced  context.CancelFunc
}

func newReader(e *Engine, sub broker.Subscriber) *reader {
	r := &reader{e: e, sub: sub, idle: make(chan struct{}, 1)}
	r.alive, r.cut = context.WithCancel(e.alive)
	return r
}

// receive handles what comes, until ctx or the membership ends, and gives the error that says why.
func (r *reader) receive(ctx context.Context) error {
	ctx, r.fenced = context.WithCancel(ctx)
	defer r.fenced()
	for pause := pauses(); ctx.Err() == nil; {
		arrivals, err := r.sub.Receive(ctx)
		switch {
		case err == nil:
			pause = pauses()
			r.e.health.ok(partHear)
		case errors.Is(err, broker.ErrFenced), errors.Is(err, broker.ErrClosed):
			return err
		case ctx.Err() == nil:
			r.e.health.failed(partHear, err)
			r.e.log.Warn("cannot receive events, trying again", "error", err)
			pause.wait(ctx)
		}
		for _, a := range arrivals {
			r.arrive(a)
		}
	}
	return broker.ErrFenced // a settlement found out, unless the caller's ctx has ended
}

// arrive has one event handled on a goroutine of the pool.
func (r *reader) arrive(a broker.Arrival) {
	l := r.e.events.of(a.Topic, a.Group)
	switch {
	case a.Lost > 0:
		r.e.lost(a)
		return
	case l == nil:
		r.e.log.Error("the broker handed out an event that this engine does not listen to", "topic", a.Topic, "group", a.Group, "event", a.ID)
		return
	}
	r.mu.Lock()
	r.running++
	r.mu.Unlock()
	h := &handling{r: r, l: l, event: a}
	r.e.submit(task{listen: h.run})
}

// left counts a handler that has returned.
func (r *reader) left() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running--; r.running == 0 {
		notify(r.idle)
	}
}

// quiet waits until no handler runs, for d at most.
func (r *reader) quiet(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	for r.busy() {
		select {
		case <-r.idle:
		case <-t.C:
			return false
		}
	}
	return true
}

func (r *reader) busy() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running > 0
}

// drain lets handlers end within Options.Grace, cuts off the others, and gives the rest back.
func (r *reader) drain() {
	if !r.quiet(r.e.opts.Grace) {
		r.cut()
		r.quiet(lastMoment)
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.e.opts.Lease)
	defer cancel()
	if err := insist(ctx, func() error { return r.sub.Leave(ctx) }); err != nil && !errors.Is(err, broker.ErrClosed) {
		r.e.log.Warn("cannot leave the groups; what was not handled goes to others when the lease ends", "error", err)
	}
	r.cut()
}
