package redisx

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// A message for a saga of another service is stored in the outbox with the transition that sends it, as those for other partitions are, and appended to
// the stream of that service, which is all that this one may do there. An entry holds a batch of messages, each with the time until which it
// counts: whoever appends later than that was stopped on the way, and others have relayed the message meanwhile. The server's clock, which names
// entries, says when one was appended: the receiver passes over what came too late, and who appended it leaves it in the outbox.

// link is the way to one other service.
type link struct {
	b       *Broker
	service string
	writer  *writer
	ahead   atomic.Int64 // ms by which the clock of the stream's node is ahead
	waiting atomic.Int64 // messages that nobody waits for

	mu    sync.Mutex
	err   error // of the last batch
	since time.Time
}

// maxWaiting is how many messages for a service may wait in memory for their batch: what is more is left to the chores.
const maxWaiting = 8192

// link gives the way to a service.
func (b *Broker) link(service string) *link {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.links[service]
	if l == nil {
		l = &link{b: b, service: service}
		l.writer = newWriter(b, func() sender { return &linkBatch{link: l} })
		b.links[service] = l
	}
	return l
}

// submit has a message appended for which nobody waits: what fails is left in the outbox.
func (l *link) submit(p *partition, m away, begun time.Time) {
	if l.waiting.Add(1) > maxWaiting {
		l.waiting.Add(-1)
		return
	}
	o := l.op(p, m, begun)
	o.unheard = l
	l.writer.submit(o)
}

// bring is submit for somebody who waits.
func (l *link) bring(p *partition, m away, begun time.Time) *op {
	o := l.op(p, m, begun)
	l.writer.submit(o)
	return o
}

// op makes the op for a message of p's outbox. It counts until relayTime after begun, by the clock of the stream.
func (l *link) op(p *partition, m away, begun time.Time) *op {
	o := newOp(0, "", "")
	o.from, o.id = p, m.id
	o.late = uint64(begun.Add(relayTime).UnixMilli() + l.ahead.Load())
	o.buf = append(append48(o.buf[:0], o.late), m.body...)
	return o
}

// linkBatch appends messages to the stream of a service.
type linkBatch struct {
	link   *link
	values []any
}

func (t *linkBatch) take(queue []*op) int {
	size := 0
	for n, o := range queue {
		if size += len(o.buf); n == maxOps || n > 0 && size > maxBytes {
			return n
		}
	}
	return len(queue)
}

func (t *linkBatch) send(batch []*op) {
	clear(t.values)
	t.values = t.values[:0]
	for _, o := range batch {
		o.value = o.buf
		t.values = append(t.values, &o.id, &o.value)
	}
	at, err := t.link.append(t.values)
	t.link.note(err)
	done := make(map[*partition][]string)
	for _, o := range batch {
		switch {
		case err != nil:
			o.err = err
		case at > o.late:
			o.code, o.err = saysLate, errLate
		default:
			done[o.from] = append(done[o.from], o.id)
		}
	}
	for p, ids := range done { // what stays is relayed again, which does no harm
		_ = p.b.client.HDel(p.b.ctx, p.prefix+"ob", ids...).Err()
	}
}

// append adds an entry to the stream, and gives its time.
func (l *link) append(values []any) (at uint64, err error) {
	args := &redis.XAddArgs{Stream: inboxKey(l.service), Values: values}
	id := ""
	err = l.b.persist(l.b.ctx, func() (err error) {
		id, err = l.b.lastingly(l.b.ctx, args.Stream, func(c redis.Cmdable) *redis.StringCmd { return c.XAdd(l.b.ctx, args) })
		return err
	})
	if err != nil {
		return 0, err
	}
	if at, err = entryTime(id); err == nil {
		l.ahead.Store(int64(at) - time.Now().UnixMilli())
	}
	return at, err
}

// entryTime is when an entry was appended, in ms.
func entryTime(id string) (uint64, error) {
	millis, _, _ := strings.Cut(id, "-")
	return strconv.ParseUint(millis, 10, 64)
}

func (l *link) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.since = time.Now()
	}
	l.err = err
}

// linkTrouble says which services cannot be reached.
func (b *Broker) linkTrouble() (errs []error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.links {
		l.mu.Lock()
		if l.err != nil {
			errs = append(errs, fmt.Errorf("nothing can be sent to service %q for %v; it is kept: %w",
				l.service, time.Since(l.since).Round(time.Millisecond), l.err))
		}
		l.mu.Unlock()
	}
	return errs
}

// lastingly runs a command that writes key, with what Options.Durability asks for.
func (b *Broker) lastingly(ctx context.Context, key string, run func(redis.Cmdable) *redis.StringCmd) (string, error) {
	d := b.opts.Durability
	if d == (Durability{}) {
		return run(b.client).Result()
	}
	node, err := b.nodeOf(ctx, key)
	if err != nil {
		return "", err
	}
	pipe := node.Pipeline()
	ran, confirmed := run(pipe), d.ask(ctx, pipe)
	_, err = pipe.Exec(ctx)
	switch enough, failed := confirmed(); {
	case ran.Err() != nil:
		return "", ran.Err()
	case failed != nil:
		return "", failed
	case err != nil:
		return "", err
	case !enough:
		return "", fmt.Errorf("%w: durability is %v, and within %v too few confirmed", errUnconfirmed, d, d.within)
	}
	return ran.Val(), nil
}
