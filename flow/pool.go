package flow

import (
	"sync"
	"time"
)

// pool runs tasks on goroutines that are used again, the last one that became idle first: its stack is
// warm and has grown. A goroutine is woken for a task only if none is on its way already: that one wakes the next before
// it begins, so a task that blocks holds up no other, and many short ones that come at once need one or two goroutines.
// Attempts beyond the limit wait in line. Nothing else waits: a saga can be cancelled
// and given back while every attempt is stuck.
type pool struct {
	limit  int // of attempts that run at once
	mu     sync.Mutex
	idle   []*hand
	ready  queue // tasks for the next goroutine
	waking bool  // a goroutine was woken that has not come yet; certain while something is ready
	line   queue // attempts beyond the limit, first come first served
	busy   int   // attempts that run
	hands  int   // goroutines
	closed bool
	ended  chan struct{} // closed when the pool is closed and its last goroutine has ended
}

// task is a saga to be driven, an attempt of it to be made, or a listener to be called.
type task struct {
	run      *run
	attempt  *attempt
	answered bool // the run's transition was answered
	listen   func()
}

// queue is a line of tasks.
type queue struct {
	tasks []task
	first int
}

func (q *queue) len() int { return len(q.tasks) - q.first }

func (q *queue) push(t task) {
	if q.first > 0 && len(q.tasks) == cap(q.tasks) && q.first >= len(q.tasks)/2 {
		n := copy(q.tasks, q.tasks[q.first:])
		clear(q.tasks[n:])
		q.tasks, q.first = q.tasks[:n], 0
	}
	q.tasks = append(q.tasks, t)
}

func (q *queue) pop() task {
	t := q.tasks[q.first]
	q.tasks[q.first] = task{}
	if q.first++; q.first == len(q.tasks) {
		q.tasks, q.first = q.tasks[:0], 0
	}
	return t
}

// hand is one goroutine of a pool.
type hand struct {
	pool  *pool
	woken chan struct{}
	clock clock
	now   *attempt // that it makes
}

// maxIdle is how many goroutines wait for work at most.
const maxIdle = 256

func newPool(limit int) *pool { return &pool{limit: limit, ended: make(chan struct{})} }

// submit gives t to an idle goroutine or to a new one, or an attempt to the line. After close it does nothing,
// and says so.
func (p *pool) submit(t task) bool {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return false
	}
	if t.attempt != nil && !p.admit(t) {
		p.mu.Unlock()
		return true
	}
	p.start(t)
	return true
}

// enter says whether the caller may make the attempt now. If not, another goroutine makes it when it is its turn.
func (p *pool) enter(r *run, a *attempt) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.admit(task{run: r, attempt: a})
}

// admit takes one of the places for attempts, or puts t into the line. p is locked.
func (p *pool) admit(t task) bool {
	if p.busy < p.limit {
		p.busy++
		return true
	}
	p.line.push(t)
	return false
}

// leave gives the place of an attempt that was made to the next in line.
func (p *pool) leave() {
	p.mu.Lock()
	for p.line.len() > 0 && !p.closed {
		if t := p.line.pop(); !t.attempt.isWithdrawn() {
			p.start(t)
			return
		}
	}
	p.busy--
	p.mu.Unlock()
}

// start has t done by the next goroutine. p is locked before, and not any more after.
func (p *pool) start(t task) {
	p.ready.push(t)
	p.rouse()
}

// rouse wakes a goroutine, or makes one, if something is ready and none is on its way. p is locked before, and not any more after.
func (p *pool) rouse() {
	if p.waking || p.ready.len() == 0 {
		p.mu.Unlock()
		return
	}
	p.waking = true
	if n := len(p.idle); n > 0 {
		h := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		h.woken <- struct{}{}
		return
	}
	p.hands++
	p.mu.Unlock()
	go newHand(p).work()
}

func newHand(p *pool) *hand { return &hand{pool: p, woken: make(chan struct{}, 1)} }

// work does what is ready, for which the goroutine was made, and then one task after the other.
func (h *hand) work() {
	if t, ok := h.next(true); ok {
		h.workFrom(t)
	}
}

// workFrom begins with t.
func (h *hand) workFrom(t task) {
	whole := false
	defer func() {
		h.clock.stop()
		if !whole { // a user's function ended this goroutine: another one reports that
			go newHand(h.pool).workFrom(task{attempt: h.now})
		}
	}()
	for ok := true; ok; t, ok = h.next(false) {
		h.do(t)
	}
	whole = true
}

func (h *hand) do(t task) {
	switch {
	case t.listen != nil:
		t.listen()
	case t.attempt != nil:
		t.attempt.due = time.Now().Add(t.attempt.what.Spec.Timeout)
		t.attempt.runOn(h)
		if t.attempt.run.report(t.attempt) {
			t.attempt.run.drive(h)
		}
	case t.answered:
		t.run.resume(h)
	case t.run != nil:
		t.run.drive(h)
	}
}

// next gives the next task, or false when the goroutine is to end. woken says that the goroutine was woken for one.
func (h *hand) next(woken bool) (task, bool) {
	p := h.pool
	for {
		p.mu.Lock()
		if woken {
			p.waking = false
		}
		if p.ready.len() > 0 {
			t := p.ready.pop()
			p.rouse()
			return t, true
		}
		if p.closed || len(p.idle) >= maxIdle {
			p.dismiss()
			p.mu.Unlock()
			return task{}, false
		}
		p.idle = append(p.idle, h)
		p.mu.Unlock()
		if _, woken = <-h.woken; !woken {
			return task{}, false
		}
	}
}

// dismiss counts a goroutine that ends. p is locked.
func (p *pool) dismiss() {
	p.hands--
	if p.closed && p.hands == 0 {
		close(p.ended)
	}
}

// close ends the idle goroutines; the others end when nothing is ready. Attempts in line are not made.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, h := range p.idle {
		close(h.woken)
		p.hands--
	}
	p.idle, p.line = nil, queue{}
	if p.hands == 0 {
		close(p.ended)
	}
}

// wait blocks until all goroutines have ended after close, or for d, and says whether they have.
func (p *pool) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-p.ended:
		return true
	case <-t.C:
		return false
	}
}
