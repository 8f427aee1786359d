package brokerfault

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
)

// dice decide what happens to calls. What they say of a call follows from the seed and the call alone:
// the order in which goroutines make their calls does not matter.
type dice struct {
	options Options
	mu      sync.Mutex
	counts  map[key]*count
}

// key names what is counted together.
type key struct {
	method Method
	id     string
}

type count struct {
	nth, try int
	failed   bool // the last call was made to fail
}

func newDice(o Options) *dice {
	if o.Seed == 0 && len(o.Odds) > 0 {
		o.Seed = rand.Uint64()
	}
	if o.Logf != nil && len(o.Odds) > 0 {
		o.Logf("brokerfault: seed %d", o.Seed)
	}
	return &dice{options: o, counts: make(map[key]*count)}
}

// roll counts a call and decides what happens to it.
func (d *dice) roll(m Method, id string) (Call, Fault) {
	c := d.count(m, id)
	fault := d.choose(c)
	if fault != None && d.options.Logf != nil {
		d.options.Logf("brokerfault: %s happens to %s", fault, c)
	}
	return c, fault
}

func (d *dice) count(m Method, id string) Call {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.counts[key{m, id}]
	if n == nil {
		n = new(count)
		d.counts[key{m, id}] = n
	}
	if n.failed {
		n.try++
	} else {
		n.nth, n.try = n.nth+1, 1
	}
	n.failed = false
	return Call{m, id, n.nth, n.try}
}

// fail notes that c was made to fail, and gives the error for it.
func (d *dice) fail(c Call) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[key{c.Method, c.ID}].failed = true
	return fmt.Errorf("brokerfault: %s: %w", c, ErrInjected)
}

func (d *dice) choose(c Call) Fault {
	for _, r := range d.options.Rules {
		if r.matches(c) {
			return r.Fault
		}
	}
	return d.draw(c)
}

// draw lets the odds decide. Faults take their turn by name, because a map has no order.
func (d *dice) draw(c Call) Fault {
	if len(d.options.Odds) == 0 {
		return None
	}
	faults := make([]Fault, 0, len(d.options.Odds))
	for f := range d.options.Odds {
		faults = append(faults, f)
	}
	slices.Sort(faults)
	at := d.random(c).Float64()
	for _, f := range faults {
		if at -= d.options.Odds[f]; at < 0 {
			return f
		}
	}
	return None
}

// random gives the numbers that belong to a call.
func (d *dice) random(c Call) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, c)
	return rand.New(rand.NewPCG(d.options.Seed, h.Sum64()))
}

// String names the call for people.
func (c Call) String() string {
	return fmt.Sprintf("%s %q, call %d, try %d", c.Method, c.ID, c.Nth, c.Try)
}
