package inmem

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skald-go/skald/broker"
)

// group is how far the subscribers of one name are with a topic.
type group struct {
	next   uint64 // the first event that nobody has looked at
	open   map[uint64]*open
	ready  []uint64          // of open: to be handed out before what is new
	tails  map[string]uint64 // by key: the last that is open
	dead   map[uint64]*buried
	lost   uint64
	lostAt time.Time
	untold uint64              // of lost
	naps   int                 // of open: wait for a time
	held   map[*subscriber]int // of open, by who has them
}

// open is an event that was looked at, and that the group is not done with.
type open struct {
	*post
	owner   *subscriber // that has it, or nil
	turn    int         // how often it was handed out
	attempt int         // those that count
	due     time.Time   // of the next attempt; zero: none is waited for
	heir    uint64      // the next of its key, or 0
}

type buried struct {
	broker.DeadEvent
	post *post
}

// maxOpen bounds how far a group looks ahead of events that are not done.
const maxOpen = 4096

func newGroup(next uint64) *group {
	return &group{
		next: next, open: make(map[uint64]*open), tails: make(map[string]uint64), dead: make(map[uint64]*buried), held: make(map[*subscriber]int),
	}
}

// skip goes past what was dropped before anybody looked.
func (g *group) skip(t *topic) {
	if missed := t.first - min(g.next, t.first); missed > 0 {
		g.next = t.first
		g.lost += missed
		g.untold += missed
		g.lostAt = time.Now()
	}
}

// take gives the next event that may be handed out, or nil.
func (g *group) take(t *topic) (n uint64, o *open) {
	g.wake()
	if len(g.ready) > 0 {
		n, g.ready = g.ready[0], g.ready[1:]
		return n, g.open[n]
	}
	for g.skip(t); g.next <= t.last() && len(g.open) < maxOpen; {
		n = g.next
		g.next++
		if o, free := g.look(n, t.get(n)); free {
			return n, o
		}
	}
	return 0, nil
}

// look opens an event, and says whether none of its key is open before it.
func (g *group) look(n uint64, p *post) (o *open, free bool) {
	o = &open{post: p}
	g.open[n] = o
	if p.Key == "" {
		return o, true
	}
	before, some := g.tails[p.Key]
	g.tails[p.Key] = n
	if some {
		g.open[before].heir = n
	}
	return o, !some
}

// wake makes ready what is due.
func (g *group) wake() {
	if g.naps == 0 {
		return
	}
	var due []uint64
	for n, o := range g.open {
		if !o.due.IsZero() && !o.due.After(time.Now()) {
			o.due = time.Time{}
			due = append(due, n)
		}
	}
	slices.Sort(due)
	g.naps -= len(due)
	g.ready = append(g.ready, due...)
}

// wakes says when the next event is due, or gives the zero time.
func (g *group) wakes() (first time.Time) {
	if g.naps == 0 {
		return first
	}
	for _, o := range g.open {
		if !o.due.IsZero() && (first.IsZero() || o.due.Before(first)) {
			first = o.due
		}
	}
	return first
}

// done forgets an event, and lets the next of its key go on.
func (g *group) done(n uint64, o *open) {
	delete(g.open, n)
	switch {
	case o.heir != 0:
		g.ready = append(g.ready, o.heir)
	case o.Key != "":
		delete(g.tails, o.Key)
	}
}

// settle does what s says with an event that owner has.
func (g *group) settle(owner *subscriber, s broker.Settlement) {
	n, turn := parseTurn(s.Ref)
	o := g.open[n]
	if o == nil || o.owner != owner || o.turn != turn {
		return
	}
	o.owner = nil
	g.held[owner]--
	switch s.Fate {
	case broker.Done:
		g.done(n, o)
	case broker.Dead:
		g.dead[n] = &buried{post: o.post, DeadEvent: broker.DeadEvent{
			Publication: o.Publication, Group: s.Group, Ref: strconv.FormatUint(n, 10), Attempts: o.attempt, Reason: slices.Clone(s.Reason), At: time.Now(),
		}}
		g.done(n, o)
	default:
		if s.Fate != broker.Again {
			o.attempt--
		}
		g.again(n, o, s)
	}
}

func (g *group) again(n uint64, o *open, s broker.Settlement) {
	if s.Fate == broker.Return || s.After <= 0 {
		g.ready = append(g.ready, n)
		return
	}
	o.due = time.Now().Add(s.After)
	g.naps++
}

// release gives back what a subscriber had. taken says that its attempts count.
func (g *group) release(s *subscriber, taken bool) {
	var back []uint64
	for n, o := range g.open {
		if o.owner == s {
			o.owner = nil
			if !taken {
				o.attempt--
			}
			back = append(back, n)
		}
	}
	delete(g.held, s)
	slices.Sort(back)
	g.ready = append(back, g.ready...)
}

// relive opens a dead event again.
func (g *group) relive(n uint64, d *buried) {
	if _, free := g.look(n, d.post); free {
		g.ready = append(g.ready, n)
	}
}

// turnRef names a handing out.
func turnRef(n uint64, turn int) string {
	return strconv.FormatUint(n, 10) + "." + strconv.Itoa(turn)
}

func parseTurn(ref string) (n uint64, turn int) {
	number, count, _ := strings.Cut(ref, ".")
	n, _ = strconv.ParseUint(number, 10, 64)
	turn, _ = strconv.Atoi(count)
	return n, turn
}
