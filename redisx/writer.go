package redisx

import (
	"context"
	"runtime"
	"sync"

	"github.com/skald-go/skald/broker"
)

// writer gathers what is called at the same time into batches, and sends them: at once when nothing is under way.
type writer struct {
	b       *Broker
	make    func() sender
	flights int // batches under way at once; 1 keeps their order

	mu      sync.Mutex
	queue   []*op
	wake    chan struct{}
	started bool
	writing int  // goroutines
	closed  bool // nobody sends any more
}

// sender sends one batch after the other, and keeps its memory for the next. It sets what became of each op.
type sender interface {
	// take gives how many ops of queue go with the next batch, and moves these to its front.
	take(queue []*op) int
	send(batch []*op)
}

const (
	flights  = 2
	maxOps   = 128
	maxBytes = 128 << 10
)

func newWriter(b *Broker, make func() sender) *writer {
	return &writer{b: b, make: make, flights: flights, wake: signal(flights)}
}

func signal(n int) chan struct{} { return make(chan struct{}, n) }

func (w *writer) do(ctx context.Context, o *op) error {
	w.submit(o)
	return o.await(ctx, w.b)
}

// await waits for what became of a submitted op.
func (o *op) await(ctx context.Context, b *Broker) error {
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
		return ctx.Err()
	case <-b.ctx.Done():
		return broker.ErrClosed
	}
}

// submit has o sent with the next batch. Whoever waits for it, or submitted it, is told what became of it, whatever happens.
func (w *writer) submit(o *op) {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		o.err = broker.ErrClosed
		o.tell()
		return
	}
	w.queue = append(w.queue, o)
	first := !w.started
	w.started = true
	w.mu.Unlock()
	if first {
		w.start()
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// start makes the goroutines that send.
func (w *writer) start() {
	w.writing = w.flights
	for range w.flights {
		if !w.b.spawn(w.write) {
			w.end()
		}
	}
}

// end notes that a goroutine that sends has ended. With the last, what is left fails.
func (w *writer) end() {
	w.mu.Lock()
	w.writing--
	if w.writing > 0 {
		w.mu.Unlock()
		return
	}
	w.closed = true
	left := w.queue
	w.queue = nil
	w.mu.Unlock()
	for _, o := range left {
		o.err = broker.ErrClosed
		o.tell()
	}
}

// write sends batches until the broker is closed.
func (w *writer) write() {
	defer w.end()
	sender := w.make()
	var batch []*op
	for {
		select {
		case <-w.wake:
		case <-w.b.ctx.Done():
			return
		}
		for w.b.ctx.Err() == nil {
			runtime.Gosched() // whoever is about to call goes with this batch
			if batch = w.take(sender, batch[:0]); len(batch) == 0 {
				break
			}
			sender.send(batch)
			for i, o := range batch {
				batch[i] = nil
				o.tell()
			}
		}
	}
}

// take appends the ops of the next batch.
func (w *writer) take(s sender, batch []*op) []*op {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return batch
	}
	n := s.take(w.queue)
	batch = append(batch, w.queue[:n]...)
	left := copy(w.queue, w.queue[n:])
	clear(w.queue[left:])
	w.queue = w.queue[:left]
	return batch
}
