package inmem

import "sync"

// agenda is a priority queue of sagas by time: a binary heap. A saga is in one agenda at most.
type agenda struct {
	mu    sync.Mutex
	items []item
	added uint64
}

type item struct {
	due   int64
	order uint64 // of additions: equal times come out first in, first out
	saga  *saga
}

// add notes saga for its due time and tells whether it is the first now.
func (a *agenda) add(s *saga) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.added++
	a.items = append(a.items, item{s.due, a.added, s})
	return a.up(len(a.items)-1) == 0
}

// remove forgets saga if it is there.
func (a *agenda) remove(s *saga) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s.slot > 0 {
		a.cut(int(s.slot) - 1)
	}
}

// pop takes out the first saga if it is due, or if there are more than limit; otherwise it gives nil.
func (a *agenda) pop(now int64, limit int) *saga {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.items) == 0 || a.items[0].due > now && len(a.items) <= limit {
		return nil
	}
	s := a.items[0].saga
	a.cut(0)
	return s
}

// next gives the time of the first saga.
func (a *agenda) next() (due int64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.items) == 0 {
		return 0, false
	}
	return a.items[0].due, true
}

func (a *agenda) cut(i int) {
	last := len(a.items) - 1
	a.items[i].saga.slot = 0
	moved := a.items[last]
	a.items[last] = item{}
	a.items = a.items[:last]
	if i == last {
		return
	}
	a.put(i, moved)
	if a.up(i) == i {
		a.down(i)
	}
}

func (a *agenda) up(i int) int {
	moving := a.items[i]
	for i > 0 {
		parent := (i - 1) / 2
		if !moving.before(a.items[parent]) {
			break
		}
		a.put(i, a.items[parent])
		i = parent
	}
	a.put(i, moving)
	return i
}

func (a *agenda) down(i int) {
	moving := a.items[i]
	for {
		child := 2*i + 1
		if child >= len(a.items) {
			break
		}
		if right := child + 1; right < len(a.items) && a.items[right].before(a.items[child]) {
			child = right
		}
		if !a.items[child].before(moving) {
			break
		}
		a.put(i, a.items[child])
		i = child
	}
	a.put(i, moving)
}

// put sets place i; a saga knows its place, counted from 1.
func (a *agenda) put(i int, it item) {
	a.items[i] = it
	it.saga.slot = int32(i + 1)
}

func (x item) before(y item) bool {
	if x.due != y.due {
		return x.due < y.due
	}
	return x.order < y.order
}
