package redisx

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/skald-go/skald/broker"
)

// What most sagas are made of goes through two short scripts: starts that are queued, and for a worker starts, transitions that keep and
// those that finish, of sagas without mail that are small. Of a saga that it owns a worker knows how its line begins; the server compares that,
// and the owner. Whatever is otherwise goes through apply.lua.

// room is how many bytes a line may have with its journal, to be written whole with each transition.
const room = 1536

// Flags of a line, as in common.lua.
const (
	flagKept  = 1
	flagMemo  = 8
	flagWaits = 32
)

// saysCold is said by hot scripts of ops that have to go through apply.lua.
const saysCold = 'C'

// hotOp is an op of a hot batch. What it stores is in the op's memory, or is the caller's text.
type hotOp struct {
	kind   byte // kindStart, kindKeep or kindFinish
	id     string
	before front         // how the line begins, if it has not changed
	line   string        // of a start
	record blob          // of a start
	lane   string        // of a start that is queued
	value  blob          // what a keep appends, the result of a finish
	keep   time.Duration // of a finish
	node   string        // which is told of a finish, or nothing
}

const (
	kindKeep   byte = 'k'
	kindFinish byte = 'f'
)

// blob is an argument of a script. A pointer to it is one that costs no memory.
type blob []byte

// MarshalBinary implements encoding.BinaryMarshaler, for the client.
func (b *blob) MarshalBinary() ([]byte, error) { return *b, nil }

// size is how many bytes h adds to a batch.
func (h *hotOp) size() int { return len(h.line) + len(h.record) + len(h.value) }

// newHotStart makes the op of a start. It keeps a copy of the record.
func newHotStart(token, id, line, lane string, record []byte) *op {
	o := ops.Get().(*op)
	o.buf = append(o.buf[:0], record...)
	o.token, o.hotOp = token, hotOp{kind: kindStart, id: id, line: line, record: o.buf, lane: lane}
	return o
}

// startLine is the line of a saga that starts, owned by a seat or queued, or nothing if it is too long for one.
func (p *partition) startLine(s broker.Start, token string) (line string, lane string) {
	size := fixedLength + laneAt + 4 + len(s.Flow) + 20 + len(s.Parent)
	if size > room {
		return "", ""
	}
	state := broker.Ready
	if token != "" {
		state = broker.Owned
	}
	var buf [256]byte // most are shorter
	b := appendFixed(buf[:0], fixed{state: state, rev: 1, since: p.now(), owner: token})
	b = appendHead(b, s, p.b.node)
	line = string(b)
	return line, line[fixedLength+laneAt+2 : len(line)-2-len(s.Parent)]
}

// front is how the line of a saga begins that a worker owns: flags, and revision.
type front struct {
	flags byte
	rev   uint64
}

const frontLength = 8

func (f front) String() string {
	var b [frontLength]byte
	return string(append48(append(b[:0], byte(broker.Owned), f.flags), f.rev))
}

// kept is the front after a transition that keeps.
func (f front) kept() front { return front{flagKept, f.rev + 1} }

func (f front) compare(other front) int {
	return cmp.Or(cmp.Compare(f.flags, other.flags), cmp.Compare(f.rev, other.rev))
}

// hotLine is what a worker knows of the line of a saga that it owns, if that may go through hot batches.
type hotLine struct {
	front
	head string
	size int
}

// newHotLine gives what there is to know of a line; nothing, if the saga has to go through apply.lua: it has mail, a memo or an outcome, or a
// part of its journal is not in the line.
func newHotLine(line string) hotLine {
	end := headEnd(line)
	if end == 0 || broker.State(line[0]) != broker.Owned || line[1]&^flagKept != 0 || parseUint(line[chunksAt:ownerAt]) != 0 {
		return hotLine{}
	}
	return hotLine{front{line[1], parse48(line[2:])}, line[fixedLength:end], len(line)}
}

// transition gives the op for t, and the line after it, or nil if t has to go through apply.lua.
func (l hotLine) transition(token string, p *partition, t broker.Transition) (*op, hotLine) {
	if l.size == 0 || len(t.Consume) > 0 || len(t.Send) > 0 || t.Memo != nil || l.rev != t.Rev {
		return nil, l
	}
	switch t.Next {
	case broker.Keep:
		before := l.front
		l.front, l.size = before.kept(), l.size+entriesSize(t.Append)
		if l.size > room {
			return nil, l
		}
		o := ops.Get().(*op)
		o.buf = appendEntries(o.buf[:0], t.Append)
		o.token, o.hotOp = token, hotOp{kind: kindKeep, id: t.ID, before: before, value: o.buf}
		return o, l
	case broker.Finish:
		o := ops.Get().(*op)
		o.buf = appendFixed(o.buf[:0], fixed{state: broker.Finished, rev: t.Rev + 1, since: p.now(), last: token})
		o.buf = append(append(o.buf, l.head...), t.Outcome...)
		o.token, o.hotOp = token, hotOp{kind: kindFinish, id: t.ID, before: l.front, value: o.buf, keep: t.Keep}
		if node := l.head[nodeAt : nodeAt+nodeLength]; node != p.b.node && node != nobody {
			o.node = node
		}
		return o, hotLine{}
	}
	return nil, l
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
	text    blob
}

// take takes ops of the seat of the first, one for each saga: the scripts compare with what was there before the batch.
func (t *hotBatch) take(queue []*op) int {
	clear(t.ids)
	n, size := 0, 0
	for i, o := range queue {
		if n == maxOps || n > 0 && size+o.size() > maxBytes {
			break
		}
		if o.token != queue[0].token {
			continue
		}
		if _, twice := t.ids[o.id]; twice {
			continue
		}
		t.ids[o.id] = struct{}{}
		size += o.size()
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
	slices.SortStableFunc(t.order, func(x, y *op) int { return strings.Compare(x.lane, y.lane) })
	t.args = append(t.args, len(t.order), t.p.b.bell())
	for _, o := range t.order {
		t.args = append(t.args, &o.id, &o.line, &o.record)
	}
	for group := range groups(t.order, func(x, y *op) bool { return x.lane == y.lane }) {
		t.args = append(t.args, &group[0].lane, len(group))
	}
}

// gatherOwned orders the ops as commit.lua wants them: starts, keeps by how lines begin, and finishes by that and how long they are kept.
func (t *hotBatch) gatherOwned(token string) {
	slices.SortFunc(t.order, (*op).compare)
	var count [3]int
	for _, o := range t.order {
		count[rank(o)]++
	}
	lines := count[0] + count[1]
	t.tell(t.order[lines:])
	t.args = append(t.args, token, count[0], 0, 0, len(t.told))
	keeps, finishes := len(t.args)-3, len(t.args)-2
	for _, o := range t.order[:count[0]] {
		t.args = append(t.args, &o.id, &o.line, &o.record)
	}
	t.args[keeps] = t.gather(t.order[count[0]:lines], func(o *op) any { return o.before.kept().String() })
	t.args[finishes] = t.gather(t.order[lines:], func(o *op) any { return max(1, ceilMillis(o.keep)) })
	for i := range t.told {
		t.args = append(t.args, &t.told[i].channel, &t.told[i].text)
	}
}

// gather appends ops by groups that are alike but for what is theirs alone: how many, how their lines begin, and what is more to say.
func (t *hotBatch) gather(order []*op, more func(*op) any) (count int) {
	for group := range groups(order, alike) {
		count++
		t.args = append(t.args, len(group), group[0].before.String(), more(group[0]))
		for _, o := range group {
			t.args = append(t.args, &o.id, &o.value)
		}
	}
	return count
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

// compare orders the ops of a batch.
func (o *op) compare(other *op) int {
	return cmp.Or(rank(o)-rank(other), o.before.compare(other.before), cmp.Compare(o.keep, other.keep))
}

// alike tells whether two ops differ only in what is theirs alone.
func alike(x, y *op) bool { return x.before == y.before && x.keep == y.keep }

func rank(o *op) int {
	switch o.kind {
	case kindStart:
		return 0
	case kindKeep:
		return 1
	}
	return 2
}

// tell gathers news for the nodes that started the sagas.
func (t *hotBatch) tell(finished []*op) {
	t.told = t.told[:0]
	for _, o := range finished {
		if o.node != "" {
			m := t.message(t.p.b.channel(o.node))
			m.text = appendResult(m.text, o.id, o.value)
		}
	}
}

// message gives the one for a channel.
func (t *hotBatch) message(channel string) *message {
	for i := range t.told {
		if t.told[i].channel == channel {
			return &t.told[i]
		}
	}
	if len(t.told) == cap(t.told) {
		t.told = append(t.told, message{})
	} else {
		t.told = t.told[:len(t.told)+1]
	}
	m := &t.told[len(t.told)-1]
	m.channel, m.text = channel, m.text[:0]
	return m
}
