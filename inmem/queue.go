package inmem

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/skald-go/skald/broker"
)

// queue brings ready sagas to workers, and news to the owners of sagas.
//
// What it promises to workers that wait: as long as a lane holds a saga and a worker that takes from
// it waits, another one has been woken for that lane and has not looked yet.
type queue struct {
	mu      sync.Mutex
	lanes   []*lane
	byKey   map[laneKey]*lane
	workers []*worker // living, as far as anyone can tell
	waiting []*waiter // longest first
	ready   int
	limit   int // of ready; 0: none
	pushed  uint64
	random  *rand.Rand // nil: oldest first
	closed  bool
}

// waiter is a blocked Receive.
type waiter struct {
	worker *worker
	room   int
	bell   chan struct{} // closed when there is something to look for
}

func (q *queue) open(o options) {
	q.byKey = make(map[laneKey]*lane)
	q.limit = o.backlog
	if o.shuffle {
		q.random = rand.New(rand.NewPCG(o.seed, o.seed))
	}
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, w := range q.workers {
		if w.lease != nil {
			w.lease.Stop()
		}
	}
	q.wakeAll(func(*waiter) bool { return true })
}

// room tells whether one more saga may be started.
func (q *queue) room() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.limit == 0 || q.ready < q.limit
}

// push puts a ready saga at the end of its lane and wakes a worker for it.
func (q *queue) push(s *saga) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lane(s.Served, s.live.rejected)
	q.pushed++
	s.live.place = place{lane: l, order: q.pushed}
	l.add(s)
	q.ready++
	q.wakeFor(l)
}

// lane finds or opens the lane for what rejected builds do not take.
func (q *queue) lane(served broker.Served, rejected []string) *lane {
	key := laneKey{served, strings.Join(rejected, "\x00")}
	l := q.byKey[key]
	if l == nil {
		l = &lane{Served: served, rejected: slices.Clone(rejected)}
		q.lanes, q.byKey[key] = append(q.lanes, l), l
		for _, w := range q.workers {
			q.link(w, l)
		}
	}
	return l
}

func (q *queue) link(w *worker, l *lane) {
	if w.takes(l) {
		w.lanes = append(w.lanes, l)
		l.takers++
	}
}

func (q *queue) join(w *worker) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.workers = append(q.workers, w)
	for _, l := range q.lanes {
		q.link(w, l)
	}
}

func (q *queue) leave(w *worker) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.workers, w)
	if i < 0 {
		return
	}
	q.workers = slices.Delete(q.workers, i, i+1)
	for _, l := range w.lanes {
		l.takers--
	}
	q.wakeAll(w.waits)
	q.passOn(w)
	w.lanes, w.news = nil, nil
}

// poll takes what there is for w. If there is nothing, it gives a waiter to wait with.
func (q *queue) poll(w *worker, room int) (news, sagas []*saga, wait *waiter, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, nil, nil, broker.ErrClosed
	}
	if err := w.status(); err != nil {
		return nil, nil, nil, err
	}
	news, w.news = w.news, nil
	sagas = q.take(w, room)
	if len(news)+len(sagas) == 0 {
		wait = &waiter{w, room, make(chan struct{})}
		q.waiting = append(q.waiting, wait)
	}
	return news, sagas, wait, nil
}

// take removes up to room sagas from the lanes of w, but leaves a share to each other worker.
func (q *queue) take(w *worker, room int) []*saga {
	var sagas []*saga
	for room = min(room, w.share()); len(sagas) < room; q.ready-- {
		l := q.choose(w)
		if l == nil {
			break
		}
		sagas = append(sagas, l.take(q.random))
	}
	q.passOn(w)
	return sagas
}

// choose gives the lane with the oldest saga, or a random one of those that hold sagas, or nil.
func (q *queue) choose(w *worker) *lane {
	var chosen *lane
	seen := 0
	for _, l := range w.lanes {
		if l.first == nil {
			continue
		}
		seen++
		switch {
		case chosen == nil,
			q.random != nil && q.random.IntN(seen) == 0,
			q.random == nil && l.first.live.order < chosen.first.live.order:
			chosen = l
		}
	}
	return chosen
}

// passOn wakes others for what w did not take.
func (q *queue) passOn(w *worker) {
	for _, l := range w.lanes {
		if l.first != nil {
			q.wakeFor(l)
		}
	}
}

// quit ends a wait.
func (q *queue) quit(wait *waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wakeAll(func(other *waiter) bool { return other == wait })
}

// abandon passes on what a Receive of w that fails may have been woken for.
func (q *queue) abandon(w *worker) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.passOn(w)
	if len(w.news) > 0 {
		q.wakeOne(w.waits)
	}
}

// hint tells w that s, which it owns, has mail.
func (q *queue) hint(w *worker, s *saga) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w.news = append(w.news, s)
	q.wakeOne(w.waits)
}

func (q *queue) wakeFor(l *lane) {
	q.wakeOne(func(wait *waiter) bool {
		return wait.room > 0 && slices.Contains(wait.worker.lanes, l)
	})
}

func (q *queue) wakeOne(who func(*waiter) bool) {
	if i := slices.IndexFunc(q.waiting, who); i >= 0 {
		close(q.waiting[i].bell)
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
}

func (q *queue) wakeAll(who func(*waiter) bool) {
	q.waiting = slices.DeleteFunc(q.waiting, func(wait *waiter) bool {
		if who(wait) {
			close(wait.bell)
			return true
		}
		return false
	})
}

// bury wakes the calls of a worker that was killed, and calls takeOver when its lease has passed.
func (q *queue) bury(w *worker, takeOver func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	w.lease = time.AfterFunc(w.member.Lease, takeOver)
	q.wakeAll(w.waits)
	q.passOn(w)
}

// stranded tells whether no living worker takes s, which is ready.
func (q *queue) stranded(s *saga) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return s.live.lane != nil && s.live.lane.takers == 0
}

// count fills in what the queue knows.
func (q *queue) count(stats *broker.Stats) {
	q.mu.Lock()
	defer q.mu.Unlock()
	stats.Workers = len(q.workers)
	for _, l := range q.lanes {
		if l.first == nil {
			continue
		}
		if l.takers == 0 {
			stats.Stranded += l.sagas
		}
		stats.Oldest = max(stats.Oldest, time.Since(instant(l.first.since)))
	}
}
