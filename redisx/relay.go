package redisx

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"strings"

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

// away is a message for another partition or service, as the outbox has it.
type away struct {
	id   string
	body []byte // the address, the kind of message, and its body
}

// leaves says that a message of a saga in p is for another partition or service.
func (p *partition) leaves(m broker.Message) bool { return m.Service != "" || p.b.partition(m.To) != p }

// address is where a message goes: the ID of its saga, after that of its service if that is another.
func address(m broker.Message) string {
	if m.Service == "" {
		return m.To
	}
	return "~" + m.Service + "~" + m.To
}

// cutAddress takes an address apart. No ID begins as those for services do.
func cutAddress(a string) (service, id string) {
	if rest, ok := strings.CutPrefix(a, "~"); ok {
		if service, id, ok := strings.Cut(rest, "~"); ok {
			return service, id
		}
	}
	return "", a
}

// forward relays what a transition of a saga in p has sent, which was begun then. What is for other services goes with the next batch for them, and
// nobody waits for it.
func (p *partition) forward(send []broker.Message, begun time.Time) {
	var messages []away
	for _, m := range send {
		if !p.leaves(m) {
			continue
		}
		o := newOp(0, m.To, "")
		o.buf = o.buf[:0]
		o.outgoing(p.b, m)
		a := away{m.ID, append([]byte(nil), o.buf...)}
		o.release()
		if m.Service != "" {
			p.b.link(m.Service).submit(p, a, begun)
			continue
		}
		messages = append(messages, a)
	}
	if len(messages) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(p.b.ctx, relayWait)
	defer cancel()
	_ = p.relay(ctx, messages, begun) // what fails is left in the outbox
}

// relayAll relays what is in the outbox.
func (p *partition) relayAll(ctx context.Context) error {
	var begun time.Time
	return scan(ctx, func(cursor uint64) *redis.ScanCmd {
		begun = time.Now()
		return p.b.client.HScan(ctx, p.prefix+"ob", cursor, "", relayed)
	}, func(found []string) error {
		var messages []away
		for i := 0; i+1 < len(found); i += 2 {
			messages = append(messages, away{found[i], []byte(found[i+1])})
		}
		return p.relay(ctx, messages, begun)
	})
}

// relay brings messages to where they go, and takes them out of the outbox, in which they were at begun.
func (p *partition) relay(ctx context.Context, messages []away, begun time.Time) error {
	var errs []error
	var done []string
	pending := make([]*op, len(messages))
	for i, m := range messages {
		pending[i] = p.bring(m, begun)
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
		if o.code == 0 && o.from == nil {
			done = append(done, messages[i].id)
		}
		o.release()
	}
	if len(done) > 0 {
		errs = append(errs, p.b.client.HDel(ctx, p.prefix+"ob", done...).Err())
	}
	return errors.Join(errs...)
}

// bring hands a message to the writer of its partition or service; nil if it makes no sense.
func (p *partition) bring(m away, begun time.Time) *op {
	to, rest, ok := cutText(string(m.body))
	if !ok {
		return nil
	}
	if service, _ := cutAddress(to); service != "" {
		return p.b.link(service).bring(p, m, begun)
	}
	p = p.b.partition(to)
	if len(rest) >= 3 && rest[0] >= 'A' { // a claim
		if p = p.b.part(binary.BigEndian.Uint16([]byte(rest[1:3]))); p == nil {
			return nil
		}
	}
	o := newOp(kindRelay, to, "")
	o.buf = append48(o.buf, p.at(begun.Add(relayTime)))
	o.buf = appendText(o.buf, m.id)
	o.buf = append(o.buf, rest...)
	p.cold.submit(o)
	return o
}
