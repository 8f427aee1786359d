package flow

import (
	"sync"
	"time"
)

// pool runs tasks on goroutines that are used again, the last one that became idle first: its stack is
// warm and has grown. Attempts beyond the limit wait in line. Nothing else waits: a saga can be cancelled
// and given back while every attempt is stuck.
type pool struct {
	limit  int // of attempts that run at once
	mu     sync.Mutex
	idle   []*hand
	line   []task // attempts beyond the limit, first come first served
	busy   int    // attempts that run
	hands  int    // goroutines
	closed bool
	ended  chan struct{} // closed when the pool is closed and its last goroutine has ended
}

// task is a saga to be driven, an attempt of it to be made, or a listener to be called.
type task struct {
	run     *run
	attempt *attempt
	listen  func()
}

// hand is one goroutine of a pool.
type hand struct {
	pool  *pool
	tasks chan task
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
	p.line = append(p.line, t)
	return false
}

// leave gives the place of an attempt that was made to the next in line.
func (p *pool) leave() {
	p.mu.Lock()
	for len(p.line) > 0 && !p.closed {
		t := p.line[0]
		p.line[0] = task{}
		p.line = p.line[1:]
		if !t.attempt.isWithdrawn() {
			p.start(t)
			return
		}
	}
	p.busy--
	p.mu.Unlock()
}

// start finds a goroutine for t. p is locked before, and not any more after.
func (p *pool) start(t task) {
	if n := len(p.idle); n > 0 {
		h := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		h.tasks <- t
		return
	}
	p.hands++
	p.mu.Unlock()
	p.hire(t)
}

func (p *pool) hire(t task) {
	h := &hand{pool: p, tasks: make(chan task, 1)}
	go h.work(t)
}

func (h *hand) work(t task) {
	whole := false
	defer func() {
		h.clock.stop()
		if !whole { // a user's function ended this goroutine: another one reports that
			h.pool.hire(task{attempt: h.now})
		}
	}()
	for ok := true; ok; t, ok = h.next() {
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
	case t.run != nil:
		t.run.drive(h)
	}
}

// next gives the next task, or false when the goroutine is to end.
func (h *hand) next() (task, bool) {
	p := h.pool
	p.mu.Lock()
	if p.closed || len(p.idle) >= maxIdle {
		p.dismiss()
		p.mu.Unlock()
		return task{}, false
	}
	p.idle = append(p.idle, h)
	p.mu.Unlock()
	t, ok := <-h.tasks
	return t, ok
}

// dismiss counts a goroutine that ends. p is locked.
func (p *pool) dismiss() {
	p.hands--
	if p.closed && p.hands == 0 {
		close(p.ended)
	}
}

// close ends the idle goroutines; the others end when they are idle. Attempts in line are not made.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, h := range p.idle {
		close(h.tasks)
		p.hands--
	}
	p.idle, p.line = nil, nil
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
