// Package partner is the participants of cases that run in virtual time: services in this process, which do
// their work once for every idempotency key, and in which things go wrong on request.
package partner

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/step"
)

var (
	// ErrDown is what callers of a service get that is down, or whose reply is lost: it may have worked.
	ErrDown = errors.New("connection reset")
	// ErrUndone refuses what was undone before it came.
	ErrUndone = errors.New("request came after its undo")
)

// Errors is how these errors travel.
var Errors = errcodec.Group(errcodec.Sentinel("partner.down", ErrDown), errcodec.Sentinel("partner.undone", ErrUndone))

// Fault is something that goes wrong with one call.
type Fault struct {
	Slow time.Duration // goes by before anything else
	Err  error         // is answered, and nothing happens
	Lose bool          // it happens, and the reply is lost
}

// Call is a call as the services saw it.
type Call struct {
	Step    string // path
	Undo    bool
	Again   bool  // it got the first reply again, or there was nothing to undo
	Err     error // why nothing happened
	At      time.Time
	Known   bool // of an undo: what it takes back is known; see Partners.Undo
	Headers map[string]string
}

// Partners is services that share a log.
type Partners struct {
	mu      sync.Mutex
	faults  map[string][]Fault
	down    map[string]bool
	replies map[string]any
	undone  map[string]bool
	begun   map[string]int
	calls   []Call
}

// New makes partners that work.
func New() *Partners {
	return &Partners{faults: map[string][]Fault{}, down: map[string]bool{}, replies: map[string]any{}, undone: map[string]bool{}, begun: map[string]int{}}
}

// Plan says what goes wrong with the next calls of a step: "charge", "undo charge".
func (p *Partners) Plan(call string, faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults[call] = append(p.faults[call], faults...)
}

// SetDown lets all calls fail that begin so, or work again.
func (p *Partners) SetDown(call string, down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down[call] = down
}

// Do lets a service work, at most once for the step that ctx belongs to.
func (p *Partners) Do[O any](ctx context.Context, work func() (O, error)) (O, error) {
	var out O
	reply, err := p.call(ctx, true, func() (any, error) { return work() })
	if err == nil {
		out = reply.(O)
	}
	return out, err
}

// Undo lets a service take back what it did for the step that ctx belongs to, if it did anything.
func (p *Partners) Undo(ctx context.Context, known bool, work func() error) error {
	_, err := p.call(ctx, known, func() (any, error) { return nil, work() })
	return err
}

func (p *Partners) call(ctx context.Context, known bool, work func() (any, error)) (any, error) {
	info := step.InfoFrom(ctx)
	f := p.fault(info)
	if err := pass(ctx, f.Slow); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c := Call{Step: info.Path, Undo: info.Undo, At: time.Now(), Known: known, Headers: info.Headers}
	reply, again, err := p.once(info, f, work)
	c.Again, c.Err = again, err
	p.calls = append(p.calls, c)
	if err == nil && f.Lose {
		return nil, ErrDown
	}
	return reply, err
}

// once is called with the mutex.
func (p *Partners) once(info step.Info, f Fault, work func() (any, error)) (reply any, again bool, err error) {
	if f.Err != nil {
		return nil, false, f.Err
	}
	key := info.Key()
	if first, found := p.replies[key]; found {
		return first, true, nil
	}
	info.Undo = false
	do := info.Key()
	_, happened := p.replies[do]
	switch {
	case key != do && !happened:
		p.undone[do] = true
		return nil, true, nil
	case key == do && p.undone[do]:
		return nil, false, step.Refused(ErrUndone)
	}
	if reply, err = work(); err == nil {
		p.replies[key] = reply
		p.undone[do] = key != do
	}
	return reply, false, err
}

func (p *Partners) fault(info step.Info) (f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := nameOf(info.Path, info.Undo)
	p.begun[name]++
	for prefix, down := range p.down {
		if down && strings.HasPrefix(name, prefix) {
			return Fault{Err: ErrDown}
		}
	}
	if planned := p.faults[name]; len(planned) > 0 {
		f, p.faults[name] = planned[0], planned[1:]
	}
	return f
}

func nameOf(path string, undo bool) string {
	if undo {
		return "undo " + path
	}
	return path
}

func pass(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Calls lists what the services saw, in order.
func (p *Partners) Calls() []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Call(nil), p.calls...)
}

// Did lists what happened: neither what failed nor what had happened before.
func (p *Partners) Did() []string {
	did := []string{}
	for _, c := range p.Calls() {
		if c.Err == nil && !c.Again {
			did = append(did, nameOf(c.Step, c.Undo))
		}
	}
	return did
}

// Begun is how many calls of a step have begun: "charge", "undo charge".
func (p *Partners) Begun(call string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.begun[call]
}

// Of lists the calls of one step or undo: "charge", "undo charge".
func (p *Partners) Of(call string) (calls []Call) {
	for _, c := range p.Calls() {
		if nameOf(c.Step, c.Undo) == call {
			calls = append(calls, c)
		}
	}
	return calls
}
