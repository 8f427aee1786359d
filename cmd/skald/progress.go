package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// progress tells what a mode is doing: on a terminal in one line that changes, elsewhere in a line every few seconds.
type progress struct {
	out      io.Writer
	mode     string
	terminal bool
	ended    chan struct{}
	group    sync.WaitGroup

	mu    sync.Mutex
	doing string
	calls int // 0: it is not known how many
	done  *atomic.Int64
	begun time.Time
}

const clearLine = "\r\x1b[K"

// watch starts to tell, until stop.
func watch(out io.Writer, mode string) *progress {
	p := &progress{out: out, mode: mode, terminal: isTerminal(out), ended: make(chan struct{}), doing: "begin"}
	every := 5 * time.Second
	if p.terminal {
		every = 200 * time.Millisecond
	}
	p.group.Go(func() { p.tell(every) })
	return p
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	stat, err := file.Stat()
	return err == nil && stat.Mode()&os.ModeCharDevice != 0
}

// phase says what begins, of how many calls, and gives the count of those that are done.
func (p *progress) phase(doing string, calls int) *atomic.Int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doing, p.calls, p.done, p.begun = doing, calls, new(atomic.Int64), time.Now()
	return p.done
}

func (p *progress) tell(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.print()
		case <-p.ended:
			if p.terminal {
				fmt.Fprint(p.out, clearLine)
			}
			return
		}
	}
}

func (p *progress) print() {
	line := p.line()
	if p.terminal {
		fmt.Fprint(p.out, clearLine+line)
		return
	}
	fmt.Fprintln(p.out, line)
}

func (p *progress) line() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls == 0 {
		return fmt.Sprintf("%s: %s", p.mode, p.doing)
	}
	n := p.done.Load()
	return fmt.Sprintf("%s: %s: %d of %d sagas, %.0f/s", p.mode, p.doing, n, p.calls, float64(n)/time.Since(p.begun).Seconds())
}

// stop ends the telling.
func (p *progress) stop() {
	close(p.ended)
	p.group.Wait()
}
