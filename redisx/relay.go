package redisx

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/skald-go/skald/broker"
)

// Messages between sagas of one partition are applied with the transition that sends them. One for another partition is stored with it,
// in the outbox of the sender's partition, and relayed: before the commit returns by the worker that sent it, or else by the chores of any
// worker. The receiver's partition remembers for a minute which messages came, and takes none that has been under way for longer
// than relayTime: so a message is applied once, even if two relay it and one of them is stopped for as long as you like.

const (
	relayTime = 10 * time.Second
	relayed   = 100                    // messages that are relayed at once
	relayWait = 500 * time.Millisecond // of a commit for a partition that does not answer
)

// away is a message for another partition, as the outbox has it.
type away struct {
	id   string
	body []byte // the receiver, the kind of message, and its body
}

// forward relays what a transition of a saga in p has just sent to other partitions.
func (p *partition) forward(send []broker.Message) {
	var messages []away
	for _, m := range send {
		if p.b.partition(m.To) != p {
			o := newOp(0, m.To, "")
			o.buf = appendText(o.buf[:0], m.To)
			o.message(m)
			messages = append(messages, away{m.ID, append([]byte(nil), o.buf...)})
			o.release()
		}
	}
	if len(messages) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(p.b.ctx, relayWait)
	defer cancel()
	_ = p.relay(ctx, messages) // what fails is left in the outbox
}

// relayAll relays what is in the outbox.
func (p *partition) relayAll(ctx context.Context) error {
	return scan(ctx, func(cursor uint64) *redis.ScanCmd {
		return p.b.client.HScan(ctx, p.prefix+"ob", cursor, "", relayed)
	}, func(found []string) error {
		var messages []away
		for i := 0; i+1 < len(found); i += 2 {
			messages = append(messages, away{found[i], []byte(found[i+1])})
		}
		return p.relay(ctx, messages)
	})
}

// relay brings messages to their partitions, and takes them out of the outbox.
func (p *partition) relay(ctx context.Context, messages []away) error {
	var errs []error
	var done []string
	pending := make([]*op, len(messages))
	for i, m := range messages {
		pending[i] = p.b.bring(m)
	}
	for i, o := range pending {
		if o == nil {
			errs = append(errs, errLine)
			continue
		}
		if err := o.await(ctx, p.b); err != nil {
			errs = append(errs, err)
			continue
		}
		if o.code == 0 {
			done = append(done, messages[i].id)
		}
		o.release()
	}
	if len(done) > 0 {
		errs = append(errs, p.b.client.HDel(ctx, p.prefix+"ob", done...).Err())
	}
	return errors.Join(errs...)
}

// bring hands a message to the writer of its partition; nil if it makes no sense.
func (b *Broker) bring(m away) *op {
	to, rest, ok := cutText(string(m.body))
	if !ok {
		return nil
	}
	p := b.partition(to)
	o := newOp(kindRelay, to, "")
	o.buf = append48(o.buf, p.now()+uint64(relayTime.Milliseconds()))
	o.buf = appendText(o.buf, m.id)
	o.buf = append(o.buf, rest...)
	p.cold.submit(o)
	return o
}
