package redisx

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// postbox reads what other services append for this one, and applies it. All processes of the service that have workers read the stream as one group:
// each entry goes to one of them, and to another if that one dies. What was applied is deleted. To apply a message twice does no harm: the saga that it
// starts is there, or the event is known.
type postbox struct {
	once sync.Once

	made    bool      // the group is there
	pending bool      // some entries were read and not applied
	claimed time.Time // when entries of dead readers were last looked for
	tidied  time.Time

	mu    sync.Mutex
	err   error // of the last read
	since time.Time
}

const (
	postGroup  = "workers"
	postBatch  = 64                     // entries that are read at once
	postWait   = 500 * time.Millisecond // for entries; Close waits for as long
	claimEvery = 5 * time.Second
	claimAfter = 15 * time.Second // without an answer, after which others apply an entry
	goneAfter  = 10 * time.Minute // without a sign, after which a reader is forgotten
)

var errLate = errors.New("it was under way for too long, and is sent again")

// begin starts to read, once, if the broker has a service.
func (x *postbox) begin(b *Broker) {
	if b.opts.Service != "" {
		x.once.Do(func() { b.spawn(func() { x.run(b) }) })
	}
}

func (x *postbox) run(b *Broker) {
	var rest pauses
	for b.ctx.Err() == nil {
		if len(b.workers()) == 0 {
			b.pause(postWait)
			continue
		}
		err := x.turn(b)
		if b.ctx.Err() != nil {
			return
		}
		x.note(err)
		if rest = rest.after(err); err != nil {
			x.pending = true
			b.pause(rest.last)
		}
	}
}

// pause waits, unless the broker is closed.
func (b *Broker) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-b.ctx.Done():
	}
}

// turn reads once, and applies what came.
func (x *postbox) turn(b *Broker) error {
	key := inboxKey(b.opts.Service)
	if !x.made {
		err := b.client.XGroupCreateMkStream(b.ctx, key, postGroup, "0").Err()
		if err != nil && !redis.HasErrorPrefix(err, "BUSYGROUP") {
			return err
		}
		x.made = true
	}
	if err := x.claim(b, key); err != nil {
		return err
	}
	x.tidy(b, key)
	begun := time.Now()
	entries, err := x.read(b, key)
	switch {
	case errors.Is(err, redis.Nil):
		return nil
	case err != nil:
		x.made = !redis.HasErrorPrefix(err, "NOGROUP")
		return err
	}
	return x.apply(b, key, entries, begun)
}

// read waits for entries; those that this process has read before come first, if there are such.
func (x *postbox) read(b *Broker, key string) ([]redis.XMessage, error) {
	args := &redis.XReadGroupArgs{Group: postGroup, Consumer: b.node, Streams: []string{key, ">"}, Count: postBatch, Block: postWait}
	if x.pending {
		args.Streams[1], args.Block = "0", -1
	}
	streams, err := b.client.XReadGroup(b.ctx, args).Result()
	if err != nil || len(streams) == 0 {
		return nil, err
	}
	x.pending = x.pending && len(streams[0].Messages) > 0
	return streams[0].Messages, nil
}

// claim takes the entries of readers that are dead.
func (x *postbox) claim(b *Broker, key string) error {
	if time.Since(x.claimed) < claimEvery {
		return nil
	}
	x.claimed = time.Now()
	entries, _, err := b.client.XAutoClaimJustID(b.ctx, &redis.XAutoClaimArgs{
		Stream: key, Group: postGroup, Consumer: b.node, MinIdle: claimAfter, Start: "0-0", Count: postBatch,
	}).Result()
	x.pending = x.pending || len(entries) > 0
	return err
}

// tidy forgets readers that are gone. What fails is done next time.
func (x *postbox) tidy(b *Broker, key string) {
	if time.Since(x.tidied) < tidyEvery {
		return
	}
	x.tidied = time.Now()
	readers, _ := b.client.XInfoConsumers(b.ctx, key, postGroup).Result()
	for _, r := range readers {
		if r.Name != b.node && r.Pending == 0 && r.Idle > goneAfter {
			_ = b.client.XGroupDelConsumer(b.ctx, key, postGroup, r.Name).Err()
		}
	}
}

// apply applies entries that were read at begun or later, and deletes them. What could not be applied stays, and is read again.
func (x *postbox) apply(b *Broker, key string, entries []redis.XMessage, begun time.Time) error {
	var done []string
	var errs []error
	pending := make([][]*op, len(entries))
	for i, e := range entries {
		pending[i] = b.applying(e, begun)
	}
	for i, ops := range pending {
		if err := awaitAll(ops, b); err != nil {
			errs = append(errs, err)
			continue
		}
		done = append(done, entries[i].ID)
	}
	if len(done) > 0 {
		_, err := b.client.Pipelined(b.ctx, func(pipe redis.Pipeliner) error {
			pipe.XDel(b.ctx, key, done...)
			pipe.XAck(b.ctx, key, postGroup, done...)
			return nil
		})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func awaitAll(ops []*op, b *Broker) (err error) {
	for _, o := range ops {
		if failed := o.await(b.ctx, b); failed != nil {
			err = failed // o may still be sent
			continue
		}
		if o.code == saysLate {
			err = errLate
		}
		o.release()
	}
	return err
}

// applying hands the messages of an entry to their partitions.
func (b *Broker) applying(e redis.XMessage, begun time.Time) (ops []*op) {
	at, err := entryTime(e.ID)
	for id, value := range e.Values {
		late, m, wrong := parseLetter(text(value))
		switch {
		case wrong != nil || err != nil:
			b.opts.Logger.Error("redisx: another service sent what makes no sense: it is dropped", "service", b.opts.Service, "entry", e.ID,
				"message", id, "error", errors.Join(wrong, err))
			continue
		case at > late: // who appended it was stopped on the way: it was sent again
			continue
		}
		p := b.partition(m.To)
		o := newOp(kindRelay, m.To, "")
		o.buf = append48(o.buf, p.at(begun.Add(relayTime)))
		o.buf = appendText(o.buf, "")
		o.message(nil, m)
		p.cold.submit(o)
		ops = append(ops, o)
	}
	return ops
}

func (x *postbox) note(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.err == nil {
		x.since = time.Now()
	}
	x.err = err
}

// trouble says why nothing of other services can be read or applied.
func (x *postbox) trouble() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.err == nil {
		return nil
	}
	return fmt.Errorf("what other services send cannot be read or applied for %v: %w", time.Since(x.since).Round(time.Millisecond), x.err)
}
