package redisx

import (
	"slices"
	"strings"
	"time"

	"github.com/skald-go/skald/broker"
)

// What most sagas are made of goes through two short scripts, which get lines ready made: starts that are queued, and for a
// worker starts, transitions that keep and those that finish, of sagas without mail that are small. Of a saga that it owns a
// worker knows the line, and the server compares owner and revision. Whatever is otherwise goes through apply.lua.

// room is how many bytes a line may have, with record and journal, to be written whole with each transition.
const room = 1536

// The flags of a line, as in common.lua.
const (
	flagKept   = 1
	flagInline = 8
)

// saysCold is said by hot scripts of ops that have to go through apply.lua.
const saysCold = 'C'

// hotOp is what an op of a hot batch writes.
type hotOp struct {
	kind  byte // kindStart, kindKeep or kindFinish
	id    string
	value string        // a line, or a result
	lane  string        // of a start that is queued
	keep  time.Duration // of a finish
	node  string        // which is told of a finish, or nothing
}

const (
	kindKeep   byte = 'k'
	kindFinish byte = 'f'
)

func newHot(w *worker, h hotOp) *op {
	o := ops.Get().(*op)
	o.worker, o.hotOp = w, h
	return o
}

// startLine is the line of a saga that starts, owned by w or queued, or nothing if it is too long for one.
func (p *partition) startLine(s broker.Start, w *worker) (line string, lane string) {
	size := fixedLength + laneAt + 4 + len(s.Flow) + 20 + len(s.Parent) + 4 + len(s.Record)
	if size > room {
		return "", ""
	}
	state, owner := broker.Ready, ""
	if w != nil {
		state, owner = broker.Owned, w.token
	}
	b := make([]byte, 0, size)
	b = appendFixed(b, fixed{state: state, flags: flagInline, rev: 1, since: p.now(), owner: owner})
	b = appendHead(b, s, p.b.node)
	laneEnd := len(b) - 2 - len(s.Parent)
	b = appendBlob(b, s.Record)
	line = string(b)
	return line, line[fixedLength+laneAt+2 : laneEnd]
}

// hotTransition gives what to write for t, made from the line before it. It says false if it has to go through apply.lua.
func (p *partition) hotTransition(w *worker, before string, t broker.Transition) (hotOp, bool) {
	if before == "" || len(t.Consume) > 0 || len(t.Send) > 0 || revision(before) != t.Rev {
		return hotOp{}, false
	}
	h := hotOp{id: t.ID}
	var b strings.Builder
	change := fixed{state: broker.Owned, flags: flagInline | flagKept, rev: t.Rev + 1, since: parse48(before[8:]), owner: w.token, last: w.token}
	switch t.Next {
	case broker.Keep:
		h.kind = kindKeep
		size := entriesSize(t.Append)
		if len(before)+size > room {
			return h, false
		}
		b.Grow(len(before) + size)
		buf := appendFixed(make([]byte, 0, fixedLength), change)
		b.Write(buf)
		b.WriteString(before[fixedLength:])
		b.Write(appendEntries(make([]byte, 0, size), t.Append))
	case broker.Finish:
		h.kind, h.keep = kindFinish, t.Keep
		head := headEnd(before)
		if head == 0 {
			return h, false
		}
		change.state, change.flags, change.since, change.owner = broker.Finished, 0, p.now(), ""
		b.Grow(head + len(t.Outcome))
		b.Write(appendFixed(make([]byte, 0, fixedLength), change))
		b.WriteString(before[fixedLength:head])
		b.Write(t.Outcome)
		if node := before[nodeAt : nodeAt+nodeLength]; node != p.b.node && node != nobody {
			h.node = node
		}
	default:
		return h, false
	}
	h.value = b.String()
	return h, true
}

// hotBatch is what one run of commit.lua or enqueue.lua does: for one worker, or for none.
type hotBatch struct {
	p     *partition
	order []*op
	args  []any
	told  []message
}

// message is news for a node.
type message struct {
	channel string
	text    []byte
}

// take takes ops of the worker of the first.
func (t *hotBatch) take(queue []*op) int {
	n, size := 0, 0
	for i, o := range queue {
		if n == maxOps || n > 0 && size+len(o.value) > maxBytes {
			break
		}
		if o.worker == queue[0].worker {
			size += len(o.value)
			if i != n { // keep the order of the others
				copy(queue[n+1:i+1], queue[n:i])
				queue[n] = o
			}
			n++
		}
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
	w := t.order[0].worker
	if w == nil {
		t.gatherQueued()
		return t.p.run(t.p.b.ctx, enqueueScript, t.args...)
	}
	t.gatherOwned(w)
	return t.p.run(t.p.b.ctx, commitScript, t.args...)
}

func (t *hotBatch) gatherQueued() {
	slices.SortStableFunc(t.order, func(x, y *op) int { return strings.Compare(x.lane, y.lane) })
	t.args = append(t.args, len(t.order), t.p.b.bell())
	for _, o := range t.order {
		t.args = append(t.args, &o.id, &o.value)
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
func (t *hotBatch) gatherOwned(w *worker) {
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
	t.args = append(t.args, &w.token, count[0], count[1], count[2], 0, len(t.told))
	for _, o := range t.order[:lines] {
		t.args = append(t.args, &o.id, &o.value)
	}
	for _, o := range t.order[lines:] {
		t.args = append(t.args, &o.id)
	}
	for _, o := range t.order[lines:] {
		t.args = append(t.args, &o.value)
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
