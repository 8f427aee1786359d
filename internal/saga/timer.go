package saga

import (
	"time"
)

// timer wakes an inst, or the whole saga if inst is nil.
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

func (t timer) live() bool { return t.inst == nil || t.inst.trouble.timer == t.gen }

// timers is a binary heap: no timer is earlier than the one at half its index.
type timers []timer

func (t *timers) add(at time.Time, i *inst, gen int) {
	*t = append(*t, timer{at, i, gen})
	h := *t
	for k := len(h) - 1; k > 0; {
		up := (k - 1) / 2
		if !h[k].at.Before(h[up].at) {
			return
		}
		h[k], h[up] = h[up], h[k]
		k = up
	}
}

// drop removes the earliest timer.
func (t *timers) drop() {
	h := *t
	last := len(h) - 1
	h[0], h[last] = h[last], timer{}
	h = h[:last]
	*t = h
	for k := 0; ; {
		kid := 2*k + 1
		if kid+1 < len(h) && h[kid+1].at.Before(h[kid].at) {
			kid++
		}
		if kid >= len(h) || !h[kid].at.Before(h[k].at) {
			return
		}
		h[k], h[kid] = h[kid], h[k]
		k = kid
	}
}

// first gives the earliest live timer.
func (t *timers) first() (timer, bool) {
	for len(*t) > 0 {
		if (*t)[0].live() {
			return (*t)[0], true
		}
		t.drop()
	}
	return timer{}, false
}

// due takes the earliest timer if it is due.
func (t *timers) due(now time.Time) (timer, bool) {
	first, ok := t.first()
	if !ok || first.at.After(now) {
		return timer{}, false
	}
	t.drop()
	return first, true
}

// endOfTime is the latest moment that is recorded: nanoseconds since 1970 end not much later.
var endOfTime = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// after is t.Add(d), but not after endOfTime.
func after(t time.Time, d time.Duration) time.Time {
	if t = t.Add(d); t.After(endOfTime) {
		return endOfTime
	}
	return t
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
