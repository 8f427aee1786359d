package participants

import (
	"strings"
	"sync"
	"time"
)

// Fault is something that goes wrong inside a participant.
type Fault struct {
	At    string        // which requests it is for: "move-pet/do", "move-pet/undo", "check/read"
	Times int           // how many requests it is for: 0 is one, Always is all
	First func()        // happens first
	Delay time.Duration // goes by before anything else
	Fail  bool          // the request fails before it has an effect
	Err   error         // refuses the request
	Twice bool          // the request is delivered twice; the second reply is sent
	Lose  bool          // the connection closes after the effect
}

// Always is for Fault.Times.
const Always = -1

// plan is the faults that are still to come.
type plan struct {
	mu     sync.Mutex
	faults []*Fault
}

func (p *plan) add(faults []Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range faults {
		f.Times = max(f.Times, Always)
		if f.Times == 0 {
			f.Times = 1
		}
		p.faults = append(p.faults, &f)
	}
}

func (p *plan) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
}

// take gives the fault for a request, or the zero Fault.
func (p *plan) take(operation string) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.faults {
		if f.Times != 0 && strings.HasSuffix(operation, "/"+f.At) {
			if f.Times > 0 {
				f.Times--
			}
			return *f
		}
	}
	return Fault{}
}
