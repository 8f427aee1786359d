package sagatest

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skald-go/skald/step"
)

// pulse tells, outside of a bubble, whether something still moves in it. It notes which of the test's own functions is being called, so that
// one that panics or hangs is named.
type pulse struct {
	beats atomic.Int64

	mu     sync.Mutex
	asked  []string // functions of the test that have not returned
	upset  error    // what the first of them that did not return normally did
	calls  func() []Call
	bubble string // its number
}

func (p *pulse) beat() {
	if p != nil {
		p.beats.Add(1)
	}
}

// enter notes the bubble of the caller.
func (p *pulse) enter() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bubble = bubbleOf(stackHere())
}

// listen lets the pulse know of the attempts that are made.
func (p *pulse) listen(calls func() []Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = calls
}

// ask calls a function of the test. If it panics, ask panics with a *trouble that names it.
func (p *pulse) ask[T any](name string, f func() T) T {
	p.begin(name)
	returned := false
	defer func() {
		if v := recover(); !returned {
			if err := p.end(name, endOf(v)); v != nil {
				panic(err)
			}
			return
		}
		_ = p.end(name, nil)
	}()
	out := f()
	returned = true
	return out
}

// act is ask for a function that gives nothing.
func (p *pulse) act(name string, f func()) {
	p.ask(name, func() struct{} {
		f()
		return struct{}{}
	})
}

func (p *pulse) begin(name string) {
	p.beat()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, name)
}

func (p *pulse) end(name string, how error) error {
	p.beat()
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := len(p.asked) - 1; k >= 0; k-- {
		if p.asked[k] == name {
			p.asked = append(p.asked[:k], p.asked[k+1:]...)
			break
		}
	}
	if how == nil {
		return nil
	}
	err := &trouble{problem{kind: upset, text: name + " " + mishap(how)}}
	if p.upset == nil {
		p.upset = err
	}
	return err
}

// failed gives what the first function of the test that did not return normally did.
func (p *pulse) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.upset
}

// looks is how often a pulse is felt before it is said that there is none.
const looks = 8

// watch waits for the end of a bubble, and gives what it panicked with. If nothing moves in it for that long, in real time, it hangs. A machine that stood
// still meanwhile counts as one look.
func (p *pulse) watch(ended <-chan any, patience time.Duration) (v any, hangs bool) {
	last, still := p.beats.Load(), 0
	tick := time.NewTicker(max(patience/looks, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case v := <-ended:
			return v, false
		case <-tick.C:
			if now := p.beats.Load(); now != last {
				last, still = now, 0
			} else if still++; still == looks {
				return nil, true
			}
		}
	}
}

// hanging is a result of a bubble that hangs. What goes on in it is not touched any more.
func (p *pulse) hanging(patience time.Duration) *result {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &result{}
	if p.calls != nil {
		r.final.Calls = p.calls()
	}
	what, path := "it", ""
	for _, c := range r.final.Calls {
		if c.Ended.IsZero() {
			what, path = c.named(), under(inside(c.Saga, sagaID), c.Path)
		}
	}
	if len(p.asked) > 0 {
		what, path = p.asked[len(p.asked)-1], ""
	}
	r.failed = &trouble{problem{kind: hangs, path: path, text: fmt.Sprintf("%s has not returned for %v of real time, and virtual time stands still meanwhile%s",
		what, patience, p.busy())}}
	return r
}

// busy shows the goroutines that keep the bubble's time from passing.
func (p *pulse) busy() string {
	var b strings.Builder
	for stack := range strings.SplitSeq(allStacks(), "\n\n") {
		first, rest, _ := strings.Cut(stack, "\n")
		if strings.Contains(first, "synctest bubble "+p.bubble+"]") && !strings.Contains(first, "(durable)") && !isOurs(stack) {
			lines := strings.Split(rest, "\n")
			fmt.Fprintf(&b, "\n%s\n%s", first, strings.Join(lines[:min(len(lines), 16)], "\n"))
		}
	}
	return b.String()
}

// named is what a report calls an attempt in a sentence.
func (c Call) named() string {
	if c.Undo {
		return "the undo of " + c.Path
	}
	return "step " + c.Path
}

// endOf is the error of a function that did not return: it panicked with v or, if that is nil, ended its goroutine.
func endOf(v any) error {
	if v == nil {
		return errGoexit
	}
	stack := make([]byte, 1<<14)
	return step.NewPanic(v, stack[:runtime.Stack(stack, false)])
}

var errGoexit = errors.New("ended its goroutine (runtime.Goexit), as FailNow of a test does")

// mishap says in a sentence how a function ended that did not return.
func mishap(err error) string {
	if p, ok := errors.AsType[*step.PanicError](err); ok {
		return "panicked: " + p.Value + placeOf(string(p.Stack))
	}
	return err.Error()
}

// placeOf tells where a function panicked, if that is known.
func placeOf(stack string) string {
	began := strings.LastIndex(stack, "\npanic(")
	lines := strings.Split(stack[began+1:], "\n")
	for k := 2; began >= 0 && k+1 < len(lines); k += 2 { // a function, then its file, from that which panicked on
		if !strings.HasPrefix(lines[k], "runtime.") && !strings.HasPrefix(lines[k], "panic(") {
			place, _, _ := strings.Cut(strings.TrimSpace(lines[k+1]), " +0x")
			return " (" + place + ")"
		}
	}
	return ""
}

func stackHere() string {
	own := make([]byte, 256)
	return string(own[:runtime.Stack(own, false)])
}

func allStacks() string {
	all := make([]byte, 1<<20)
	return string(all[:runtime.Stack(all, true)])
}

// bubbleOf is the number of the bubble of a goroutine, or empty.
func bubbleOf(stack string) string {
	header, _, _ := strings.Cut(stack, "\n")
	_, bubble, _ := strings.Cut(header, "synctest bubble ")
	bubble, _, _ = strings.Cut(bubble, "]")
	return bubble
}
