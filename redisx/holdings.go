package redisx

import (
	"sync"
	"time"

	"github.com/skald-go/skald/broker"
)

// holdings are the sagas that a worker owns, or may own when an answer comes.
type holdings struct {
	mu    sync.Mutex
	sagas map[string]*holding
	spare []*holding // memory for the next
	ops   []*op      // memory for the next transitions
	held  []int      // how many, by partition
}

// holding is one of them.
type holding struct {
	p       *partition
	head    string    // of its line, with its origin
	line    string    // nothing: it goes through apply.lua
	journal []byte    // as far as the line is known
	starts  int       // starts under way
	handed  bool      // the engine knows that it owns the saga
	rev     uint64    // at which it was handed out
	told    uint64    // the last event that the engine knows
	since   time.Time // when it was handed out
}

// maxSpare is how many sagas and transitions leave memory for the next ones.
const maxSpare = 1024

func (x *holdings) open(partitions int) {
	x.sagas, x.held = make(map[string]*holding), make([]int, partitions)
}

// get gives what is known of a saga, and notes it if it is new. x is locked.
func (x *holdings) get(p *partition, id string) *holding {
	h := x.sagas[id]
	if h == nil {
		if n := len(x.spare); n > 0 {
			h, x.spare = x.spare[n-1], x.spare[:n-1]
		} else {
			h = new(holding)
		}
		h.p = p
		x.sagas[id] = h
		x.held[p.number]++
	}
	return h
}

// remove forgets a saga. x is locked.
func (x *holdings) remove(id string) {
	if h := x.sagas[id]; h != nil {
		x.held[h.p.number]--
		delete(x.sagas, id)
		*h = holding{journal: h.journal[:0]}
		if len(x.spare) < maxSpare {
			x.spare = append(x.spare, h)
		}
	}
}

// count gives how many sagas of a partition there are.
func (x *holdings) count(p *partition) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.held[p.number]
}

// begin notes that a start is under way after which the worker owns id.
func (x *holdings) begin(p *partition, id, head string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	h := x.get(p, id)
	if h.starts == 0 && !h.handed {
		h.head = head
	}
	h.starts++
}

// hand notes that the engine is told that it owns id, unless it knows.
func (x *holdings) hand(id string, line hotLine, mail []numbered) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	h := x.sagas[id]
	if h == nil || h.handed {
		return false
	}
	h.starts--
	h.known(line)
	h.handed, h.rev, h.told, h.since = true, 1, last(mail), time.Now() // a list that was asked for before says nothing of it
	return true
}

// adopt is hand for a saga that was received.
func (x *holdings) adopt(p *partition, l line, r *broker.Record, line hotLine, mail []numbered) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	h := x.get(p, r.ID)
	if h.handed {
		return false
	}
	h.known(line)
	h.head, h.rev, h.handed, h.told, h.since = l.head+l.from, r.Rev, true, last(mail), time.Now()
	return true
}

// end ends a start that did not make the worker own the saga, and tells whether the engine knows it.
func (x *holdings) end(id string) (known bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	h := x.sagas[id]
	if h == nil {
		return false
	}
	h.starts--
	known = h.handed
	if h.starts <= 0 && !known {
		x.remove(id)
	}
	return known
}

// at gives the saga that a transition from rev is about. It is not one that was handed out since: the answer to a transition may come when the
// saga has left the worker and come back. x is locked.
func (x *holdings) at(id string, rev uint64) *holding {
	h := x.sagas[id]
	if h == nil || h.rev > rev {
		return nil
	}
	return h
}

// hot gives the op for t, or nil if t has to go through apply.lua.
func (x *holdings) hot(t *broker.Transition, token string, p *partition) *op {
	x.mu.Lock()
	defer x.mu.Unlock()
	h := x.sagas[t.ID]
	if h == nil || !h.fits(t, token) {
		return nil
	}
	var o *op
	if n := len(x.ops); n > 0 {
		o, x.ops = x.ops[n-1], x.ops[:n-1]
	} else {
		o = newHotOp()
	}
	h.transition(o, t, token, p)
	return o
}

// wrote notes what t, which went as o with a hot batch, left of a saga, and gives its head. Nobody may know o any more.
func (x *holdings) wrote(t *broker.Transition, o *op) (head string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if h := x.sagas[t.ID]; h != nil {
		head = h.head
	}
	if h := x.at(t.ID, t.Rev); h != nil && t.Next == broker.Keep {
		h.line = o.after
		h.journal, o.buf = o.buf, h.journal
	} else if h != nil {
		x.remove(t.ID)
	}
	if o.clear(); len(x.ops) < maxSpare {
		x.ops = append(x.ops, o)
	}
	return head
}

// cool notes that nothing is known of the line of a saga after a transition from rev.
func (x *holdings) cool(id string, rev uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if h := x.at(id, rev); h != nil {
		h.line = ""
	}
}

// told notes which mail the engine knows after a transition from rev.
func (x *holdings) told(id string, rev uint64, mail []numbered) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if h := x.at(id, rev); h != nil {
		h.told = max(h.told, last(mail))
	}
}

// fresh drops from mail what the engine knows. It says false if the engine does not know the saga yet.
func (x *holdings) fresh(id string, mail []numbered) ([]broker.Event, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	h := x.sagas[id]
	if h == nil || !h.handed {
		return nil, false
	}
	for len(mail) > 0 && mail[0].seq <= h.told {
		mail = mail[1:]
	}
	h.told = max(h.told, last(mail))
	return events(mail), true
}

// drop forgets a saga after a transition from rev, and gives its head.
func (x *holdings) drop(id string, rev uint64) (head string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if h := x.sagas[id]; h != nil {
		head = h.head
	}
	if x.at(id, rev) != nil {
		x.remove(id)
	}
	return head
}

// lose forgets the sagas of a partition that the engine knows, if they are there since before begun and not kept. It gives their IDs.
func (x *holdings) lose(p *partition, begun time.Time, kept map[string]bool) (lost []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for id, h := range x.sagas {
		if h.p == p && h.handed && !kept[id] && h.since.Before(begun) {
			lost = append(lost, id)
			x.remove(id)
		}
	}
	return lost
}

// unknown gives those of ids that are not here.
func (x *holdings) unknown(ids []any) (unknown []any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, id := range ids {
		if _, ok := x.sagas[text(id)]; !ok {
			unknown = append(unknown, id)
		}
	}
	return unknown
}

func last(mail []numbered) uint64 {
	if len(mail) == 0 {
		return 0
	}
	return mail[len(mail)-1].seq
}
