package redisx

import (
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
	flagKept = 1
	flagMemo = 8
)

// saysCold is said by hot scripts of ops that have to go through apply.lua.
const saysCold = 'C'

// hotOp is an op of a hot batch.
type hotOp struct {
	kind   byte // kindStart, kindKeep or kindFinish
	id     string
	before string        // how the line begins, if it has not changed
	after  string        // how it is to begin after a keep
	value  string        // the line of a start, what a keep appends, the result of a finish
	record []byte        // of a start
	lane   string        // of a start that is queued
	keep   time.Duration // of a finish
	node   string        // which is told of a finish, or nothing
}

const (
	kindKeep   byte = 'k'
	kindFinish byte = 'f'
)

func newHot(token string, h hotOp) *op {
	o := ops.Get().(*op)
	o.token, o.hotOp = token, h
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
	b := make([]byte, 0, size)
	b = appendFixed(b, fixed{state: state, rev: 1, since: p.now(), owner: token})
	b = appendHead(b, s, p.b.node)
	line = string(b)
	return line, line[fixedLength+laneAt+2 : len(line)-2-len(s.Parent)]
}

// hotLine is what a worker knows of the line of a saga that it owns, if that may go through hot batches.
type hotLine struct {
	front string // state, flags, revision
	head  string
	size  int
}

const frontLength = 8

// newHotLine gives what there is to know of a line; nothing, if the saga has to go through apply.lua: it has mail, a memo or an outcome, or a
// part of its journal is not in the line.
func newHotLine(line string) hotLine {
	end := headEnd(line)
	if end == 0 || line[1]&^flagKept != 0 || parseUint(line[chunksAt:ownerAt]) != 0 {
		return hotLine{}
	}
	return hotLine{front: line[:frontLength], head: line[fixedLength:end], size: len(line)}
}

// transition gives the op for t, and the line after it. It says false if t has to go through apply.lua.
func (l hotLine) transition(token string, p *partition, t broker.Transition) (hotOp, hotLine, bool) {
	if l.size == 0 || len(t.Consume) > 0 || len(t.Send) > 0 || t.Memo != nil || parse48(l.front[2:]) != t.Rev {
		return hotOp{}, l, false
	}
	h := hotOp{id: t.ID, before: l.front}
	switch t.Next {
	case broker.Keep:
		size := entriesSize(t.Append)
		h.kind, h.after = kindKeep, front(broker.Owned, flagKept, t.Rev+1)
		h.value = string(appendEntries(make([]byte, 0, size), t.Append))
		l.front, l.size = h.after, l.size+size
		return h, l, l.size <= room
	case broker.Finish:
		h.kind, h.keep = kindFinish, t.Keep
		b := make([]byte, 0, fixedLength+len(l.head)+len(t.Outcome))
		b = appendFixed(b, fixed{state: broker.Finished, rev: t.Rev + 1, since: p.now(), last: token})
		h.value = string(append(append(b, l.head...), t.Outcome...))
		if node := l.head[nodeAt : nodeAt+nodeLength]; node != p.b.node && node != nobody {
			h.node = node
		}
		return h, hotLine{}, true
	}
	return h, l, false
}

func front(state broker.State, flags byte, rev uint64) string {
	var b [frontLength]byte
	return string(append48(append(b[:0], byte(state), flags), rev))
}

// hotBatch is what one run of commit.lua or enqueue.lua does: for one worker, or for none.
type hotBatch struct {
	p     *partition
	ids   map[string]struct{}
	order []*op
	args  []any
	told  []message
}

// message is news for a node.
type message struct {
	channel string
	text    []byte
}

// take takes ops of the seat of the first, one for each saga: the scripts compare with what was there before the batch.
func (t *hotBatch) take(queue []*op) int {
	clear(t.ids)
	n, size := 0, 0
	for i, o := range queue {
		if n == maxOps || n > 0 && size+len(o.value)+len(o.record) > maxBytes {
			break
		}
		if o.token != queue[0].token {
			continue
		}
		if _, twice := t.ids[o.id]; twice {
			continue
		}
		t.ids[o.id] = struct{}{}
		size += len(o.value) + len(o.record)
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
	t.args = t.args[:0]
	token := t.order[0].token
	if token == "" {
		t.gatherQueued()
		return t.p.run(t.p.b.ctx, enqueueScript, t.args...)
	}
	t.gatherOwned(token)
	return t.p.run(t.p.b.ctx, commitScript, t.args...)
}

func (t *hotBatch) gatherQueued() {
	slices.SortStableFunc(t.order, func(x, y *op) int { return strings.Compare(x.lane, y.lane) })
	t.args = append(t.args, len(t.order), t.p.b.bell())
	for _, o := range t.order {
		t.args = append(t.args, &o.id, &o.value, o.record)
	}
	for i := 0; i < len(t.order); {
		n := i + 1
		for n < len(t.order) && t.order[n].lane == t.order[i].lane {
			n++
		}
		t.args = append(t.args, &t.order[i].lane, n-i)
		i = n
	}
}

// gatherOwned orders the ops as commit.lua wants them: starts, keeps, and finishes by how long they are kept.
func (t *hotBatch) gatherOwned(token string) {
	slices.SortStableFunc(t.order, func(x, y *op) int {
		if c := rank(x) - rank(y); c != 0 || x.kind != kindFinish {
			return c
		}
		return int(x.keep.Milliseconds() - y.keep.Milliseconds())
	})
	var count [3]int
	for _, o := range t.order {
		count[rank(o)]++
	}
	lines := count[0] + count[1]
	t.tell(t.order[lines:])
	t.args = append(t.args, token, count[0], count[1], count[2], 0, len(t.told))
	for _, o := range t.order[:count[0]] {
		t.args = append(t.args, &o.id, &o.value, o.record)
	}
	for _, o := range t.order[count[0]:lines] {
		t.args = append(t.args, &o.id, &o.before, &o.after, &o.value)
	}
	for _, o := range t.order[lines:] {
		t.args = append(t.args, &o.id, &o.before, &o.value)
	}
	t.args[4] = t.groups(t.order[lines:])
	for i := range t.told {
		t.args = append(t.args, t.told[i].channel, t.told[i].text)
	}
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

// groups appends how long finished sagas are kept, and how many each.
func (t *hotBatch) groups(finished []*op) (groups int) {
	for i := 0; i < len(finished); groups++ {
		n := i + 1
		for n < len(finished) && finished[n].keep == finished[i].keep {
			n++
		}
		t.args = append(t.args, max(1, ceilMillis(finished[i].keep)), n-i)
		i = n
	}
	return groups
}

// tell gathers news for the nodes that started the sagas.
func (t *hotBatch) tell(finished []*op) {
	clear(t.told)
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
	t.told = append(t.told, message{channel: channel})
	return &t.told[len(t.told)-1]
}
