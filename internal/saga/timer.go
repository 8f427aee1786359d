package saga

import (
	"container/heap"
	"time"
)

// timer wakes an inst, or the whole saga at its deadline if inst is nil.
type timer struct {
	at   time.Time
	inst *inst
	gen  int // of inst.trouble.timer when it was set: an older one is void
}

// What a timer without an inst is for, in its gen.
const (
	deadlineTimer = iota
	slowTimer
)

type timers []timer

func (t timers) Len() int           { return len(t) }
func (t timers) Less(a, b int) bool { return t[a].at.Before(t[b].at) }
func (t timers) Swap(a, b int)      { t[a], t[b] = t[b], t[a] }
func (t *timers) Push(x any)        { *t = append(*t, x.(timer)) }
func (t *timers) Pop() any {
	old := *t
	last := old[len(old)-1]
	*t = old[:len(old)-1]
	return last
}

func (t *timers) add(at time.Time, i *inst, gen int) { heap.Push(t, timer{at, i, gen}) }

func (t timer) live() bool { return t.inst == nil || t.inst.trouble.timer == t.gen }

// first gives the earliest live timer.
func (t *timers) first() (timer, bool) {
	for len(*t) > 0 {
		if (*t)[0].live() {
			return (*t)[0], true
		}
		heap.Pop(t)
	}
	return timer{}, false
}

// due takes the earliest timer if it is due.
func (t *timers) due(now time.Time) (timer, bool) {
	first, ok := t.first()
	if !ok || first.at.After(now) {
		return timer{}, false
	}
	heap.Pop(t)
	return first, true
}

// alarm sets i's only timer.
func (m *Machine) alarm(i *inst, at time.Time) {
	t := i.ill()
	t.timer++
	m.timers.add(at, i, t.timer)
}

// silence removes i's timer.
func (i *inst) silence() {
	if t := i.trouble; t != nil {
		t.timer++
		t.next = time.Time{}
	}
}
