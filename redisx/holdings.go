package redisx

import (
	"sync"
	"time"

	"github.com/skald-go/skald/broker"
)

// holdings are the sagas that a worker owns, or may own when an answer comes.
type holdings struct {
	mu    sync.Mutex
	sagas map[string]holding
	held  []int // how many, by partition
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
	x.sagas, x.held = make(map[string]holding), make([]int, partitions)
}

// put stores h. x is locked.
func (x *holdings) put(id string, h holding) {
	if _, ok := x.sagas[id]; !ok {
		x.held[h.p.number]++
	}
	x.sagas[id] = h
}

// remove forgets a saga. x is locked.
func (x *holdings) remove(id string) holding {
	h, ok := x.sagas[id]
	if ok {
		x.held[h.p.number]--
		delete(x.sagas, id)
	}
	return h
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
	h, ok := x.sagas[id]
	if !ok {
		h = holding{p: p, head: head}
	}
	h.starts++
	x.put(id, h)
}

// hand notes that the engine is told that it owns id, unless it knows.
func (x *holdings) hand(id string, line hotLine, mail []numbered) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	h, ok := x.sagas[id]
	if !ok || h.handed {
		return false
	}
	h.starts--
	h.handed, h.line, h.rev, h.told, h.since = true, line, 1, last(mail), time.Now() // a list that was asked for before says nothing of it
	x.put(id, h)
	return true
}

// adopt is hand for a saga that was received.
func (x *holdings) adopt(p *partition, id, head string, rev uint64, line hotLine, mail []numbered) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	h := x.sagas[id]
	if h.handed {
		return false
	}
	h.p, h.head, h.rev, h.line, h.handed, h.told, h.since = p, head, rev, line, true, last(mail), time.Now()
	x.put(id, h)
	return true
}

// end ends a start that did not make the worker own the saga, and tells whether the engine knows it.
func (x *holdings) end(id string) (known bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	h, ok := x.sagas[id]
	if !ok {
		return false
	}
	h.starts--
	if h.starts <= 0 && !h.handed {
		x.remove(id)
	} else {
		x.put(id, h)
	}
	return h.handed
}

// line gives what is known of the line of a saga.
func (x *holdings) line(id string) hotLine {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.sagas[id].line
}

// at gives the saga that a transition from rev is about. It is not one that was handed out since: the answer to a transition may come when the
// saga has left the worker and come back. x is locked.
func (x *holdings) at(id string, rev uint64) (holding, bool) {
	h, ok := x.sagas[id]
	return h, ok && h.rev <= rev
}

// wrote notes the line of a saga after a transition from rev, if it is known.
func (x *holdings) wrote(id string, rev uint64, line hotLine) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if h, ok := x.at(id, rev); ok {
		h.line = line
		x.sagas[id] = h
	}
}

// told notes which mail the engine knows after a transition from rev.
func (x *holdings) told(id string, rev uint64, mail []numbered) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if h, ok := x.at(id, rev); ok {
		h.told = max(h.told, last(mail))
		x.sagas[id] = h
	}
}

// fresh drops from mail what the engine knows. It says false if the engine does not know the saga yet.
func (x *holdings) fresh(id string, mail []numbered) ([]broker.Event, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	h, ok := x.sagas[id]
	if !ok || !h.handed {
		return nil, false
	}
	for len(mail) > 0 && mail[0].seq <= h.told {
		mail = mail[1:]
	}
	h.told = max(h.told, last(mail))
	x.sagas[id] = h
	return events(mail), true
}

// drop forgets a saga after a transition from rev, and gives its head.
func (x *holdings) drop(id string, rev uint64) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	h, ok := x.at(id, rev)
	if ok {
		x.remove(id)
	}
	return h.head
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
