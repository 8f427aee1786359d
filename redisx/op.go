package redisx

import (
	"encoding/binary"
	"math"
	"sync"
	"time"

	"github.com/skald-go/skald/broker"
)

// op is an operation on a saga, which goes with a batch. It keeps copies of what the caller passed.
type op struct {
	buf        []byte // for apply.lua
	refs       []ref
	hotOp                 // for the scripts of hot batches
	token      string     // of a seat, or nothing
	from       *partition // whose outbox has the message for another service
	late       uint64     // until when that counts
	unheard    *link      // of one that nobody waits for
	done       chan struct{}
	submission // that is told instead of done, if there is one

	code    byte // what the script says of it; 0: the usual
	details any
	err     error
}

// ref is a place in buf for the number of an ID, which the batch gives.
type ref struct {
	at int
	id string
}

// The kinds of an op, and what an op may say; apply.lua knows them.
const (
	kindStart byte = iota + 1
	kindCommit
	kindDeliver
	kindResolve
	kindRelay
)

const (
	opHeader = 8 // size, kind, ID, worker
	idAt     = 5
	workerAt = 7
)

const (
	saysExisted  = 'E'
	saysQueued   = 'Q'
	saysMail     = 'M'
	saysOverload = 'O'
	saysFenced   = 'F'
	saysStale    = 'S'
	saysAck      = 'A'
	saysSettled  = 'X'
	saysUnknown  = 'U'
	saysLate     = 'L'
)

var ops = sync.Pool{New: func() any { return &op{done: make(chan struct{}, 1)} }}

// maxReused bounds the memory that an op keeps for the next.
const maxReused = 16 << 10

func newOp(kind byte, id, token string) *op {
	o := ops.Get().(*op)
	o.buf = append(o.buf[:0], 0, 0, 0, 0, kind, 0, 0, 0)
	o.refs = append(o.refs[:0], ref{idAt, id})
	o.token = token
	return o
}

// release gives o back. Nobody else may know it.
func (o *op) release() {
	o.clear()
	ops.Put(o)
}

// clear forgets what o is about.
func (o *op) clear() {
	o.token, o.hotOp, o.submission, o.code, o.details, o.err = "", hotOp{}, submission{}, 0, nil, nil
	o.from, o.late, o.unheard = nil, 0, nil
	clear(o.refs)
	if cap(o.buf) > maxReused {
		o.buf = nil
	}
}

// saga appends a saga to be started.
func (o *op) saga(s broker.Start, node string) {
	at := len(o.buf)
	o.buf = append(o.buf, 0, 0)
	o.buf = appendHead(o.buf, s, node)
	binary.BigEndian.PutUint16(o.buf[at:], uint16(len(o.buf)-at-2))
	o.sized(func() { o.buf = append(appendOrigin(o.buf, s), s.Record...) })
}

// event appends an event.
func (o *op) event(ev broker.Event) {
	o.buf = appendText(o.buf, ev.ID)
	o.sized(func() { o.buf = appendEvent(o.buf, ev) })
}

// sized appends what write does with its length before it.
func (o *op) sized(write func()) {
	at := len(o.buf)
	o.buf = append(o.buf, 0, 0, 0, 0)
	write()
	binary.BigEndian.PutUint32(o.buf[at:], uint32(len(o.buf)-at-4))
}

// The parts that a transition may have.
const (
	hasAppend byte = 1 << iota
	hasOutcome
	hasConsume
	hasUntil
	hasKeep
	hasBuild
	hasSend
	hasMemo
)

// nobody stands for the node of a saga that no node waits for.
const nobody = "          "

// transition appends t, a transition of a saga in p.
func (o *op) transition(p *partition, t broker.Transition, build string) {
	o.buf = append(o.buf, byte(t.Next))
	o.buf = append48(o.buf, t.Rev)
	at := len(o.buf)
	o.buf = append(o.buf, 0)
	var mask byte
	if len(t.Append) > 0 && t.Next != broker.Finish {
		mask |= hasAppend
		o.sized(func() { o.buf = appendEntries(o.buf, t.Append) })
	}
	switch t.Next {
	case broker.Hold, broker.Bury, broker.Finish:
		mask |= hasOutcome
		o.buf = appendBlob(o.buf, t.Outcome)
	}
	if len(t.Consume) > 0 {
		mask |= hasConsume
		o.buf = binary.BigEndian.AppendUint16(o.buf, uint16(len(t.Consume)))
		for _, id := range t.Consume {
			o.buf = appendText(o.buf, id)
		}
	}
	switch t.Next {
	case broker.Park, broker.Hold:
		if !t.Until.IsZero() {
			mask |= hasUntil
			o.until(t.Until)
		}
	case broker.Finish:
		mask |= hasKeep
		o.buf = append48(o.buf, uint64(max(1, ceilMillis(t.Keep))))
	case broker.Reject:
		mask |= hasBuild
		o.buf = appendText(o.buf, build)
	}
	if t.Memo != nil {
		mask |= hasMemo
		o.buf = appendBlob(o.buf, t.Memo)
	}
	if len(t.Send) > 0 {
		mask |= hasSend
		o.messages(p, t.Send)
	}
	o.buf[at] = mask
}

// until appends a time, and how far away it is: the server waits so long by its own clock.
func (o *op) until(t time.Time) {
	millis, wait := int64(1), int64(0)
	if t.After(time.UnixMilli(0)) {
		wait = max(0, ceilMillis(time.Until(t)))
		millis = t.UnixMilli()
		if t.After(time.UnixMilli(millis)) {
			millis++
		}
	}
	o.buf = append48(o.buf, uint64(min(max(1, millis), math.MaxInt32<<16)))
	o.buf = append48(o.buf, uint64(wait))
}

// The kinds of a message that a transition sends.
const (
	sendsStart byte = iota + 1
	sendsAway       // to another partition or service
	sendsEvent
	sendsClaimed // a start with claims
)

func (o *op) messages(p *partition, send []broker.Message) {
	o.buf = binary.BigEndian.AppendUint16(o.buf, uint16(len(send)))
	for _, m := range send {
		kind, about := sendsEvent, m.To
		switch {
		case p.leaves(m):
			kind, about = sendsAway, o.refs[0].id // what is elsewhere is not looked at
		default:
			kind = kindOf(m)
		}
		o.buf = append(o.buf, kind)
		o.refs = append(o.refs, ref{len(o.buf), about})
		o.buf = append(o.buf, 0, 0)
		if kind == sendsAway {
			o.buf = appendText(o.buf, m.ID)
			o.sized(func() { o.outgoing(p.b, m) })
			continue
		}
		o.body(p.b, m)
	}
}

// outgoing appends a message for another partition or service, after its address.
func (o *op) outgoing(b *Broker, m broker.Message) {
	o.buf = appendText(o.buf, address(m))
	if m.Service != "" {
		o.buf = appendLetter(o.buf, m)
		return
	}
	o.message(b, m)
}

// message appends the kind of a message, and its body.
func (o *op) message(b *Broker, m broker.Message) {
	o.buf = append(o.buf, kindOf(m))
	o.body(b, m)
}

// kindOf is the kind of a message that is applied.
func kindOf(m broker.Message) byte {
	switch {
	case m.Start == nil:
		return sendsEvent
	case len(m.Start.Claims) > 0:
		return sendsClaimed
	}
	return sendsStart
}

func (o *op) body(b *Broker, m broker.Message) {
	if m.Start != nil {
		if len(m.Start.Claims) > 0 {
			o.buf = appendBlob(o.buf, b.claim(*m.Start))
		}
		o.saga(*m.Start, nobody)
		return
	}
	o.event(*m.Event)
}

func ceilMillis(d time.Duration) int64 {
	n := d.Milliseconds()
	if time.Duration(n)*time.Millisecond < d {
		n++
	}
	return n
}
