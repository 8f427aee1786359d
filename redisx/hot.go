package redisx

import (
	"cmp"
	"encoding/binary"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/skald-go/skald/broker"
)

// What most sagas are made of goes through two short scripts: starts that are queued, and for a worker starts, transitions that keep and
// those that finish, of sagas without mail that are small. Of a saga that it owns a worker knows how its line begins; the server compares that,
// and the owner. Whatever is otherwise goes through apply.lua.

// room is how many bytes a journal may have that is written whole with each transition, as in common.lua.
const room = 1024

// Flags of a line, as in common.lua.
const (
	flagKept  = 1
	flagMemo  = 8
	flagWaits = 32
)

// saysCold is said by hot scripts of ops that have to go through apply.lua.
const saysCold = 'C'

// hotOp is an op of a hot batch. What it stores is in the op's memory.
type hotOp struct {
	kind  byte // kindStart, kindKeep or kindFinish
	id    string
	line  string        // as it is stored, if it has not changed; nothing for a start
	after string        // the line after it, once it is sent
	head  string        // of a start, with its origin
	lane  string        // of a start
	value blob          // what is stored: record, journal or result
	keep  time.Duration // of a finish
	node  string        // which is told of a finish, or nothing
}

const (
	kindKeep   byte = 'k'
	kindFinish byte = 'f'
)

// blob is an argument of a script. A pointer to it is one that costs no memory.
type blob []byte

// MarshalBinary implements encoding.BinaryMarshaler, for the client.
func (b *blob) MarshalBinary() ([]byte, error) { return *b, nil }

func newHotOp() *op { return ops.Get().(*op) }

// newHotStart makes the op of a start, owned by a seat or queued. It keeps a copy of the record.
func newHotStart(token string, s broker.Start, node string) *op {
	o := newHotOp()
	var buf [256]byte // most are shorter
	b := appendHead(buf[:0], s, node)
	lane := len(b)
	head := string(appendOrigin(b, s))
	o.buf = append(append(o.buf[:0], head[lane:]...), s.Record...)
	o.token, o.hotOp = token, hotOp{kind: kindStart, id: s.ID, head: head, lane: head[nodeLength+2 : lane], value: o.buf}
	return o
}

// startLine is the line of a saga that starts.
func (o *op) startLine(since uint64) string {
	state := broker.Ready
	if o.token != "" {
		state = broker.Owned
	}
	var buf [256]byte
	b := appendFixed(buf[:0], fixed{state: state, rev: 1, since: since, owner: o.token})
	return string(append(b, o.head[:nodeLength+2+len(o.lane)]...))
}

// keptLine is a line after a transition that keeps: it has no mail, and all of its journal is in one chunk.
func keptLine(line string) string {
	b := []byte(line)
	b[1] = flagKept
	append48(b[:2], parse48(line[2:])+1)
	clear(b[wakeAt:ownerAt])
	b[chunksAt+3] = 1
	copy(b[ownerAt+workerLength:fixedLength], line[ownerAt:])
	return string(b)
}

// hotLine is what a worker knows of the line of a saga that it owns, and of its journal, if that may go through hot batches.
type hotLine struct{ line, journal string }

// newHotLine reads what is stored of a saga. It gives nothing if the saga has to go through apply.lua: it has mail, a memo or an outcome, or more
// than one chunk of journal.
func newHotLine(stored []any) (l hotLine) {
	line := text(stored[1])
	if broker.State(line[0]) != broker.Owned || line[1]&^flagKept != 0 || parseUint(line[chunksAt:chunksAt+4]) > 1 {
		return l
	}
	if l.line = line; len(stored) > 4 {
		l.journal = text(stored[4])
	}
	return l
}

// known notes what is known of the line.
func (h *holding) known(l hotLine) {
	h.line, h.journal = l.line, append(h.journal[:0], l.journal...)
}

// fits tells whether t can go with a hot batch.
func (h *holding) fits(t *broker.Transition, token string) bool {
	if h.line == "" || len(t.Consume) > 0 || len(t.Send) > 0 || t.Memo != nil {
		return false
	}
	if parse48(h.line[2:]) != t.Rev || h.line[ownerAt:ownerAt+workerLength] != token {
		return false
	}
	return t.Next == broker.Finish || t.Next == broker.Keep && len(h.journal)+entriesSize(t.Append) <= room
}

// transition makes o the op for t, which fits.
func (h *holding) transition(o *op, t *broker.Transition, token string, p *partition) {
	o.token = token
	if t.Next == broker.Keep {
		o.buf = appendEntries(append(o.buf[:0], h.journal...), t.Append)
		o.hotOp = hotOp{kind: kindKeep, id: t.ID, line: h.line, value: o.buf}
		return
	}
	o.buf = append(appendEnd(o.buf[:0], t.Rev+1, 0, token, h.head), t.Outcome...)
	o.hotOp = hotOp{kind: kindFinish, id: t.ID, line: h.line, value: o.buf, keep: t.Keep}
	if node := h.head[:nodeLength]; node != p.b.node && node != nobody {
		o.node = node
	}
}

// hotBatch is what one run of commit.lua or enqueue.lua does: for one worker, or for none.
type hotBatch struct {
	p     *partition
	ids   map[string]struct{}
	order []*op
	args  []any
	told  []message // the memory of those behind is used again
}

// message is news for a node.
type message struct {
	channel string
	count   int  // of sagas that it tells of
	text    blob // how it begins
}

// take takes ops of the seat of the first, one for each saga: the scripts compare with what was there before the batch.
func (t *hotBatch) take(queue []*op) int {
	clear(t.ids)
	n, size := 0, 0
	for i, o := range queue {
		if n == maxOps || n > 0 && size+len(o.value) > maxBytes {
			break
		}
		if o.token != queue[0].token {
			continue
		}
		if _, twice := t.ids[o.id]; twice {
			continue
		}
		t.ids[o.id] = struct{}{}
		size += len(o.value)
		if i != n { // keep the order of the others
			copy(queue[n+1:i+1], queue[n:i])
			queue[n] = o
		}
		n++
	}
	return n
}

func (t *hotBatch) send(batch []*op) {
	t.order = append(t.order[:0], batch...)
	for len(t.order) > 0 {
		reply, err := t.run()
		if err != nil {
			for _, o := range t.order {
				o.err = err
			}
			break
		}
		refused, some := reply.([]any)
		if !some {
			t.p.clocked(number(reply))
			break
		}
		t.refuse(refused)
	}
	clear(t.order)
}

// refuse takes out ops that a script refused; the others go again.
func (t *hotBatch) refuse(refused []any) {
	before := len(t.order)
	for _, r := range refused {
		if n := int(number(r)); n > 0 && n <= before {
			t.order[n-1].code = saysCold
		}
	}
	t.order = slices.DeleteFunc(t.order, func(o *op) bool { return o.code == saysCold })
	if len(t.order) == before { // an answer that makes no sense
		for _, o := range t.order {
			o.code = saysCold
		}
		t.order = t.order[:0]
	}
}

func (t *hotBatch) run() (any, error) {
	clear(t.args)
	token := t.order[0].token
	if token == "" {
		t.args = t.p.call(t.args[:0], enqueueScript)
		t.gatherQueued()
		return t.p.runCall(t.p.b.ctx, enqueueScript, t.args)
	}
	t.args = t.p.call(t.args[:0], commitScript)
	t.gatherOwned(token)
	return t.p.runCall(t.p.b.ctx, commitScript, t.args)
}

func (t *hotBatch) gatherQueued() {
	slices.SortFunc(t.order, (*op).compare)
	t.args = append(t.args, 0, t.p.b.bell())
	since, lanes := t.p.now(), 0
	for group := range groups(t.order, alike) {
		lanes++
		t.args = append(t.args, &group[0].lane, len(group), group[0].startLine(since))
	}
	t.args[callLength] = lanes
	t.pairs(t.order)
}

// gatherOwned orders the ops as commit.lua wants them.
func (t *hotBatch) gatherOwned(token string) {
	slices.SortFunc(t.order, (*op).compare)
	var count [3]int
	for _, o := range t.order {
		count[rank(o)]++
	}
	kept, finished := t.order[:count[0]+count[1]], t.order[count[0]+count[1]:]
	t.tell(finished)
	t.args = append(t.args, token, count[0], count[1], 0, 0, len(t.told))
	t.groups()
	for i := range t.told {
		t.args = append(t.args, &t.told[i].channel, t.told[i].count)
	}
	t.pairs(kept)
	for i := range t.told {
		m := &t.told[i]
		t.args = append(t.args, &m.text)
		t.pairs(finished[:m.count])
		finished = finished[m.count:]
	}
	t.pairs(finished)
}

// groups appends the groups that commit.lua wants, and says before them how many there are.
func (t *hotBatch) groups() {
	at := len(t.args) - 3
	since, starts, all := t.p.now(), 0, 0
	for group := range groups(t.order, alike) {
		o, next := group[0], any(nil)
		switch o.kind {
		case kindStart:
			next = leave(group, o.startLine(since))
			starts++
		case kindKeep:
			next = leave(group, keptLine(o.line))
		default:
			next = max(1, ceilMillis(o.keep))
			for _, o := range group {
				append48(o.value[:sinceAt], since)
			}
		}
		all++
		t.args = append(t.args, len(group), &o.line, next)
	}
	t.args[at], t.args[at+1] = starts, all
}

// leave notes the line that a group leaves.
func leave(group []*op, line string) string {
	for _, o := range group {
		o.after = line
	}
	return line
}

// pairs appends IDs, and what is stored.
func (t *hotBatch) pairs(order []*op) {
	for _, o := range order {
		t.args = append(t.args, &o.id, &o.value)
	}
}

// groups gives what stands together in order and is the same.
func groups(order []*op, same func(x, y *op) bool) iter.Seq[[]*op] {
	return func(yield func([]*op) bool) {
		for len(order) > 0 {
			n := 1
			for n < len(order) && same(order[0], order[n]) {
				n++
			}
			if !yield(order[:n]) {
				return
			}
			order = order[n:]
		}
	}
}

// compare orders the ops of a batch: starts, keeps and finishes, those first of which other nodes are told, and those together that are alike.
func (o *op) compare(other *op) int {
	if n := rank(o) - rank(other); n != 0 {
		return n
	}
	if n := strings.Compare(other.node, o.node); n != 0 {
		return n
	}
	return cmp.Or(strings.Compare(o.line, other.line), strings.Compare(o.lane, other.lane), cmp.Compare(o.keep, other.keep))
}

// alike tells whether two ops differ only in what is theirs alone.
func alike(x, y *op) bool {
	return x.kind == y.kind && x.node == y.node && x.line == y.line && x.lane == y.lane && x.keep == y.keep
}

func rank(o *op) int {
	switch o.kind {
	case kindStart:
		return 0
	case kindKeep:
		return 1
	}
	return 2
}

// tell begins the news for the nodes that started the sagas.
func (t *hotBatch) tell(finished []*op) {
	t.told = t.told[:0]
	for group := range groups(finished, func(x, y *op) bool { return x.node == y.node }) {
		if group[0].node == "" {
			return
		}
		if len(t.told) == cap(t.told) {
			t.told = append(t.told, message{})
		} else {
			t.told = t.told[:len(t.told)+1]
		}
		m := &t.told[len(t.told)-1]
		m.channel, m.count = t.p.b.channel(group[0].node), len(group)
		m.text = appendNews(m.text[:0], group)
	}
}

// appendNews writes how a message begins that tells of finished sagas; their IDs and results follow. See Broker.news.
func appendNews(b []byte, finished []*op) []byte {
	b = binary.BigEndian.AppendUint16(append(b, 'F'), uint16(len(finished)))
	for _, o := range finished {
		b = binary.BigEndian.AppendUint16(b, uint16(len(o.id)))
		b = binary.BigEndian.AppendUint32(b, uint32(len(o.value)))
	}
	return b
}
