package inmem

import (
	"math/rand/v2"

	"github.com/skald-go/skald/broker"
)

// lane is a line of ready sagas that the same workers take: those that serve the flow, except for the
// builds that have rejected the sagas in it.
type lane struct {
	broker.Served
	rejected    []string
	first, last *saga
	sagas       int
	takers      int // living workers
}

type laneKey struct {
	broker.Served
	rejected string
}

// place is where a ready saga is in the queue.
type place struct {
	lane  *lane
	next  *saga
	order uint64
}

func (l *lane) add(s *saga) {
	if l.last == nil {
		l.first = s
	} else {
		l.last.live.next = s
	}
	l.last = s
	l.sagas++
}

// take removes the first saga, or a random one.
func (l *lane) take(random *rand.Rand) *saga {
	skip := 0
	if random != nil {
		skip = random.IntN(l.sagas)
	}
	var before *saga
	s := l.first
	for range skip {
		before, s = s, s.live.next
	}
	l.cut(before, s)
	return s
}

// cut removes s, which follows before or is the first.
func (l *lane) cut(before, s *saga) {
	if before == nil {
		l.first = s.live.next
	} else {
		before.live.next = s.live.next
	}
	if l.last == s {
		l.last = before
	}
	s.live.next = nil
	l.sagas--
}
