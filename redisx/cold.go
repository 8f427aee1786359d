package redisx

import (
	"encoding/binary"
	"strconv"
	"time"
)

// coldBatch is what one run of apply.lua does: operations of every kind, in order.
type coldBatch struct {
	p       *partition
	buf     []byte
	args    []any
	ids     []string
	workers []string
	numbers map[string]int // of ids, from 1
}

const maxRefs = 2000

func (t *coldBatch) take(queue []*op) int {
	size, refs := 0, 0
	for n, o := range queue {
		size += len(o.buf)
		refs += len(o.refs)
		if n == maxOps || n > 0 && (size > maxBytes || refs > maxRefs) {
			return n
		}
	}
	return len(queue)
}

func (t *coldBatch) send(batch []*op) {
	t.gather(batch)
	begun := time.Now()
	reply, err := t.p.list(t.p.b.ctx, 0, applyScript, t.args...)
	if err != nil {
		for _, o := range batch {
			o.err = err
		}
	}
	for i := 0; i+2 < len(reply); i += 3 {
		if number(reply[i]) == 0 && text(reply[i+1]) == string(saysMore) {
			t.p.spread(awayFrom(values(reply[i+2])), begun)
		} else if n := int(number(reply[i])); n > 0 && n <= len(batch) && text(reply[i+1]) != "" {
			batch[n-1].code, batch[n-1].details = text(reply[i+1])[0], reply[i+2]
		}
	}
}

// gather numbers IDs and workers, and writes the arguments of apply.lua.
func (t *coldBatch) gather(batch []*op) {
	t.buf, t.ids, t.workers = t.buf[:0], t.ids[:0], t.workers[:0]
	clear(t.numbers)
	for _, o := range batch {
		binary.BigEndian.PutUint32(o.buf, uint32(len(o.buf)))
		for _, r := range o.refs {
			binary.BigEndian.PutUint16(o.buf[r.at:], uint16(t.id(r.id)))
		}
		if o.token != "" {
			o.buf[workerAt] = t.worker(o.token)
		}
		t.buf = append(t.buf, o.buf...)
	}
	clear(t.args)
	opts := &t.p.b.opts
	t.args = append(t.args[:0], t.p.b.node, opts.Backlog, opts.EarlyFor.Milliseconds(), opts.EarlyMail, t.buf, strconv.Itoa(len(t.workers)))
	for i := range t.workers {
		t.args = append(t.args, &t.workers[i])
	}
	for i := range t.ids {
		t.args = append(t.args, &t.ids[i])
	}
}

func (t *coldBatch) id(id string) int {
	n := t.numbers[id]
	if n == 0 {
		t.ids = append(t.ids, id)
		n = len(t.ids)
		t.numbers[id] = n
	}
	return n
}

func (t *coldBatch) worker(token string) byte {
	for i, w := range t.workers {
		if w == token {
			return byte(i + 1)
		}
	}
	t.workers = append(t.workers, token)
	return byte(len(t.workers))
}
