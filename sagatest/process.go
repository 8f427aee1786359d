package sagatest

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/skald-go/skald/flow"
)

// process is an engine that runs sagas, as if in a process of its own.
type process struct {
	name   string
	engine *flow.Engine
	dead   atomic.Bool
	stop   context.CancelFunc
	ended  chan error
}

// spawn starts one more process.
func (s *stage) spawn() {
	p := &process{name: fmt.Sprintf("worker-%d", s.born.Add(1)), ended: make(chan error, 1)}
	opts := s.opts
	opts.Name = p.name
	opts.Interceptors = append([]flow.Interceptor{s.intercept(p)}, opts.Interceptors...)
	p.engine = flow.NewEngine(s.broker, opts)
	p.engine.Serve(s.serves...)
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	s.mu.Lock()
	s.processes = append(s.processes, p)
	s.mu.Unlock()
	go func() { p.ended <- p.engine.Run(ctx) }()
}

// die ends a process without a word, and starts another. The sagas of the dead one are taken over when its lease has passed.
func (s *stage) die(p *process) {
	if p.dead.Swap(true) {
		return
	}
	s.broker.kill(p.name)
	p.stop()
	s.spawn()
}

// close ends all processes, and waits for them.
func (s *stage) close() error {
	s.cancel()
	s.mu.Lock()
	all := s.processes
	s.mu.Unlock()
	for _, p := range all {
		p.stop()
	}
	var failed error
	for _, p := range all {
		if err := <-p.ended; err != nil && !p.dead.Load() {
			failed = fmt.Errorf("sagatest: the engine %s did not end well: %w", p.name, err)
		}
	}
	s.own.Wait()
	_ = s.broker.Close()
	return failed
}
