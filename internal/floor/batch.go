package floor

import (
	"context"
	"runtime"
	"sync"
)

const (
	flights = 2   // batches under way at once
	maxOps  = 128 // of a batch
)

// op is one change of a saga.
type op struct {
	kind    kind
	id      string
	value   string // what is stored
	event   string // the entry that is done with
	number  string // of the next step
	applied chan error
}

type kind byte

const (
	starts kind = iota
	records
	finishes
)

// batcher gathers the ops that are submitted at the same time.
type batcher struct {
	f     *Floor
	write func([]*op) error
	wake  chan struct{}

	mu    sync.Mutex
	queue []*op
}

var channels = sync.Pool{New: func() any { return make(chan error, 1) }}

// batch starts a batcher that hands its batches to write.
func (f *Floor) batch(write func([]*op) error) *batcher {
	b := &batcher{f: f, write: write, wake: make(chan struct{}, flights)}
	for range flights {
		f.group.Go(b.loop)
	}
	return b
}

// submit returns when o has been written.
func (b *batcher) submit(o *op) error {
	o.applied = channels.Get().(chan error)
	b.mu.Lock()
	b.queue = append(b.queue, o)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
	select {
	case err := <-o.applied:
		channels.Put(o.applied)
		return err
	case <-b.f.ctx.Done():
		return context.Cause(b.f.ctx)
	}
}

func (b *batcher) loop() {
	for {
		select {
		case <-b.wake:
		case <-b.f.ctx.Done():
			return
		}
		for {
			runtime.Gosched() // whoever is about to submit goes with this batch
			ops := b.take()
			if len(ops) == 0 {
				break
			}
			err := b.write(ops)
			for _, o := range ops {
				o.applied <- err
			}
		}
	}
}

func (b *batcher) take() []*op {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.queue), maxOps)
	ops := append([]*op(nil), b.queue[:n]...)
	b.queue = append(b.queue[:0], b.queue[n:]...)
	return ops
}
