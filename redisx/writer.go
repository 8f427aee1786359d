package redisx

import (
	"context"
	"encoding/binary"
	"runtime"
	"strconv"
	"sync"

	"github.com/skald-go/skald/broker"
)

// partition is a share of the sagas, in keys of its own. Its writer gathers what is called at the same time into one script.
type partition struct {
	b      *Broker
	prefix string
	keys   []string // the hash of workers, from which the scripts know the others

	mu      sync.Mutex
	queue   []*op
	wake    chan struct{}
	started bool
}

const (
	flights  = 2 // batches under way at once
	maxOps   = 128
	maxBytes = 128 << 10
	maxRefs  = 2000
)

func newPartition(b *Broker, n int) *partition {
	prefix := partitionPrefix(b.opts.Namespace, n)
	return &partition{b: b, prefix: prefix, keys: []string{prefix + "w"}, wake: make(chan struct{}, flights)}
}

// do sends o with the next batch and waits for the answer. If it gives an error, o may still be sent or have been applied;
// otherwise the caller releases o.
func (p *partition) do(ctx context.Context, o *op) error {
	binary.BigEndian.PutUint32(o.buf, uint32(len(o.buf)))
	p.submit(o)
	select {
	case <-o.done:
		if o.err != nil {
			return p.b.passing(ctx, o.err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.b.ctx.Done():
		return broker.ErrClosed
	}
}

func (p *partition) submit(o *op) {
	p.mu.Lock()
	p.queue = append(p.queue, o)
	first := !p.started
	p.started = true
	p.mu.Unlock()
	if first {
		for range flights {
			p.b.spawn(p.write)
		}
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// write sends batches until the broker is closed.
func (p *partition) write() {
	batch := batch{numbers: make(map[string]int)}
	for {
		select {
		case <-p.wake:
		case <-p.b.ctx.Done():
			return
		}
		for p.b.ctx.Err() == nil {
			runtime.Gosched() // whoever is about to call goes with this batch
			if batch.ops = p.take(batch.ops[:0]); len(batch.ops) == 0 {
				break
			}
			batch.send(p)
		}
	}
}

// take appends the ops of the next batch.
func (p *partition) take(batch []*op) []*op {
	p.mu.Lock()
	defer p.mu.Unlock()
	size, refs, n := 0, 0, 0
	for ; n < min(len(p.queue), maxOps); n++ {
		size += len(p.queue[n].buf)
		refs += len(p.queue[n].refs)
		if n > 0 && (size > maxBytes || refs > maxRefs) {
			break
		}
	}
	batch = append(batch, p.queue[:n]...)
	left := copy(p.queue, p.queue[n:])
	clear(p.queue[left:])
	p.queue = p.queue[:left]
	return batch
}

// batch is what one script does. It keeps its memory for the next.
type batch struct {
	ops     []*op
	buf     []byte
	args    []any
	ids     []string
	workers []string
	numbers map[string]int // of ids, from 1
}

func (t *batch) send(p *partition) {
	t.gather(p)
	reply, err := p.list(p.b.ctx, 0, applyScript, t.args...)
	if err != nil {
		for _, o := range t.ops {
			o.err = err
		}
	}
	for i := 0; i+2 < len(reply); i += 3 {
		if n := int(number(reply[i])); n > 0 && n <= len(t.ops) && text(reply[i+1]) != "" {
			t.ops[n-1].code, t.ops[n-1].details = text(reply[i+1])[0], reply[i+2]
		}
	}
	for i, o := range t.ops {
		t.ops[i] = nil
		o.done <- struct{}{}
	}
}

// gather numbers IDs and workers, and writes the arguments of apply.lua.
func (t *batch) gather(p *partition) {
	t.buf, t.ids, t.workers = t.buf[:0], t.ids[:0], t.workers[:0]
	clear(t.numbers)
	for _, o := range t.ops {
		for _, r := range o.refs {
			binary.BigEndian.PutUint16(o.buf[r.at:], uint16(t.id(r.id)))
		}
		if o.worker != nil {
			o.buf[workerAt] = t.worker(o.worker.token)
		}
		t.buf = append(t.buf, o.buf...)
	}
	clear(t.args)
	t.args = append(t.args[:0], p.b.node, p.b.opts.Backlog, p.b.opts.EarlyFor.Milliseconds(), p.b.opts.EarlyMail, t.buf, strconv.Itoa(len(t.workers)))
	for i := range t.workers {
		t.args = append(t.args, &t.workers[i])
	}
	for i := range t.ids {
		t.args = append(t.args, &t.ids[i])
	}
}

func (t *batch) id(id string) int {
	n := t.numbers[id]
	if n == 0 {
		t.ids = append(t.ids, id)
		n = len(t.ids)
		t.numbers[id] = n
	}
	return n
}

func (t *batch) worker(token string) byte {
	for i, w := range t.workers {
		if w == token {
			return byte(i + 1)
		}
	}
	t.workers = append(t.workers, token)
	return byte(len(t.workers))
}
