package flow

import (
	"sync"
	"time"
)

// pool runs tasks on goroutines that are used again, the last one that became idle first: its stack
// is warm and has grown. Beyond the limit tasks wait in line.
type pool struct {
	limit  int
	mu     sync.Mutex
	idle   []*hand
	queue  []task
	count  int
	closed bool
	ended  sync.WaitGroup
}

// task is a saga to be driven, or an attempt of it to be made.
type task struct {
	run     *run
	attempt *attempt // nil: drive
}

// hand is one goroutine of a pool.
type hand struct {
	pool  *pool
	tasks chan task
	clock clock
}

// maxIdle is how many goroutines wait for work at most.
const maxIdle = 256

// submit gives t to an idle goroutine, to a new one, or to the line. After close it does nothing, and says so.
func (p *pool) submit(t task) bool {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return false
	}
	if n := len(p.idle); n > 0 {
		h := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		h.tasks <- t
		return true
	}
	if p.count >= p.limit {
		p.queue = append(p.queue, t)
		p.mu.Unlock()
		return true
	}
	p.count++
	p.ended.Add(1)
	p.mu.Unlock()
	h := &hand{pool: p, tasks: make(chan task, 1)}
	go h.work(t)
	return true
}

func (h *hand) work(t task) {
	defer h.pool.ended.Done()
	defer h.clock.stop()
	for ok := true; ok; t, ok = h.next() {
		if t.attempt != nil {
			t.attempt.runOn(h)
			t.run.returned(h, t.attempt)
			continue
		}
		t.run.drive(h)
	}
}

// next gives the next task, or false when the goroutine is to end.
func (h *hand) next() (task, bool) {
	p := h.pool
	p.mu.Lock()
	if len(p.queue) > 0 {
		t := p.queue[0]
		p.queue[0] = task{}
		p.queue = p.queue[1:]
		p.mu.Unlock()
		return t, true
	}
	if p.closed || len(p.idle) >= maxIdle {
		p.count--
		p.mu.Unlock()
		return task{}, false
	}
	p.idle = append(p.idle, h)
	p.mu.Unlock()
	t, ok := <-h.tasks
	return t, ok
}

// close ends the idle goroutines; the others end when they are idle. Tasks in line are dropped.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, h := range p.idle {
		close(h.tasks)
		p.count--
	}
	p.idle, p.queue = nil, nil
}

// wait blocks until all goroutines have ended, or for d, and says whether they have.
func (p *pool) wait(d time.Duration) bool {
	ended := make(chan struct{})
	go func() {
		p.ended.Wait()
		close(ended)
	}()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ended:
		return true
	case <-t.C:
		return false
	}
}
