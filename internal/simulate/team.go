package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skald-go/skald/internal/measure"
	"github.com/skald-go/skald/internal/simulate/world"
)

// team makes runs side by side, one on each processor, until one fails or the time is over.
type team struct {
	lasting time.Duration
	most    int
	first   uint64 // seed
	single  bool
	rough   bool // a failure is not made smaller

	next   atomic.Uint64 // runs that were begun
	failed atomic.Bool
	mu     sync.Mutex
	tally  world.Tally
	bad    *world.Config // the first run that failed
}

func (t *team) work() error {
	fmt.Printf("simulating for %v on %d processors, from seed %d\n", t.lasting, runtime.GOMAXPROCS(0), t.first)
	begin := time.Now()
	defer time.AfterFunc(t.lasting+patience, t.giveUp).Stop()
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() { t.runs(begin.Add(t.lasting)) })
	}
	all.Wait()
	t.tally.Report(os.Stdout, time.Since(begin))
	if cpu, ok := measure.CPU(); ok { // others may work on this machine
		fmt.Printf("%.0f per minute of one processor's time\n", float64(t.tally.Sagas)/cpu.Minutes())
	}
	if t.bad == nil {
		return nil
	}
	fmt.Printf("\nseed %d fails, in run %d\n", t.bad.Seed, t.bad.Seed-t.first+1)
	if t.rough {
		return fmt.Errorf("simulate: seed %d fails", t.bad.Seed)
	}
	fmt.Println("looking for the smallest run that does")
	small, v := world.Shrink(*t.bad)
	return fmt.Errorf("simulate: %s\n\nagain: go run ./internal/simulate %s", v.What, small.Flags())
}

// patience is how long runs may take that have begun when the time is over.
const patience = 30 * time.Second

// giveUp ends the program when a run does not end.
func (t *team) giveUp() {
	last := t.first + t.next.Load() - 1
	fmt.Fprintf(os.Stderr, "simulate: a run does not end: its seed is one of the last before %d\n", last+1)
	os.Exit(1)
}

// runs makes one run after the other. Every second one uses no live values.
func (t *team) runs(until time.Time) {
	var tally world.Tally
	for time.Now().Before(until) && !t.failed.Load() {
		n := t.next.Add(1) - 1
		if t.most > 0 && n >= uint64(t.most) {
			break
		}
		c := world.Config{Seed: t.first + n, DecodeAll: n%2 == 1}
		w, err := world.Run(c)
		if err != nil {
			t.fail(c)
			break
		}
		tally.Add(w.Tally())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tally.Add(&tally)
}

// fail notes the first run that failed, and ends the others.
func (t *team) fail(c world.Config) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bad == nil {
		t.bad = &c
	}
	t.failed.Store(true)
}
