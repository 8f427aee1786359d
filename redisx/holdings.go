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
	held  []int      // how many, by partition
}

// holding is one of them.
type holding struct {
	p      *partition
	head   string
	line   hotLine
	starts int       // starts under way
	handed bool      // the engine knows that it owns the saga
	rev    uint64    // at which it was handed out
	told   uint64    // the last event that the engine knows
	since  time.Time // when it was handed out
}

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
		if *h = (holding{}); len(x.spare) < maxOps {
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
	h.handed, h.line, h.rev, h.told, h.since = true, line, 1, last(mail), time.Now() // a list that was asked for before says nothing of it
	return true
}

// adopt is hand for a saga that was received.
func (x *holdings) adopt(p *partition, id, head string, rev uint64, line hotLine, mail []numbered) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	h := x.get(p, id)
	if h.handed {
		return false
	}
	h.head, h.rev, h.line, h.handed, h.told, h.since = head, rev, line, true, last(mail), time.Now()
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

// line gives what is known of the line of a saga.
func (x *holdings) line(id string) hotLine {
	x.mu.Lock()
	defer x.mu.Unlock()
	if h := x.sagas[id]; h != nil {
		return h.line
	}
	return hotLine{}
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

// wrote notes the line of a saga after a transition from rev, if it is known.
func (x *holdings) wrote(id string, rev uint64, line hotLine) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if h := x.at(id, rev); h != nil {
		h.line = line
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
