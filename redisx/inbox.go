package redisx

import (
	"slices"
	"sync"

	"github.com/skald-go/skald/broker"
)

// inbox is what a worker has got and not handed out, and where there is reason to look for more.
type inbox struct {
	mu      sync.Mutex
	sagas   []broker.Delivery
	news    []broker.Delivery
	err     error // of the last look
	slots   []slot
	turn    int           // the slot to look at first
	asked   int           // sagas that looks under way may bring
	waiting int           // calls of Receive
	bell    chan struct{} // closed when something changes
}

// slot is what an inbox knows of one partition.
type slot struct {
	mail     bool // there may be mail
	ready    bool // there may be sagas that are ready
	lost     bool // an answer may have been lost: read back what the worker owns
	fetching bool
	seen     []any // pairs of an ID and the number of an event, that the server need not tell of again
}

func (x *inbox) open(partitions int) {
	x.slots, x.bell = make([]slot, partitions), make(chan struct{})
	for i := range x.slots {
		x.slots[i].mail, x.slots[i].ready = true, true
	}
}

// wake wakes those who wait. x is locked.
func (x *inbox) wake() {
	close(x.bell)
	x.bell = make(chan struct{})
}

func (x *inbox) ring() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.wake()
}

// stir says that there may be mail, or sagas, in a partition.
func (x *inbox) stir(partition int, mail, ready bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := &x.slots[partition]
	s.mail, s.ready = s.mail || mail, s.ready || ready
	x.wake()
}

func (x *inbox) stirAll() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range x.slots {
		x.slots[i].mail, x.slots[i].ready = true, true
	}
	x.wake()
}

// suspect says that an answer of a partition may have been lost.
func (x *inbox) suspect(partition int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.slots[partition].mail, x.slots[partition].lost = true, true
	x.wake()
}

// lost puts the news that sagas are owned no longer. What was not handed out yet is not.
func (x *inbox) lost(ids []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	gone := make(map[string]bool, len(ids))
	for _, id := range ids {
		gone[id] = true
	}
	x.sagas = slices.DeleteFunc(x.sagas, func(d broker.Delivery) bool {
		unheard := gone[d.ID]
		delete(gone, d.ID)
		return unheard
	})
	for id := range gone {
		x.news = append(x.news, broker.Delivery{ID: id, Lost: true})
	}
	x.wake()
}

func (x *inbox) waits(n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.waiting += n
}

// look is one look at a partition.
type look struct {
	partition int
	room      int // sagas that may be taken
	lost      bool
	seen      []any
}

// take gives what is there. If there is nothing, it says where to look, and gives a bell to wait for.
func (x *inbox) take(room int) (got []broker.Delivery, looks []look, bell chan struct{}, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err, x.err = x.err, nil; err != nil {
		return nil, nil, nil, err
	}
	got, x.news = x.news, nil
	n := min(room, len(x.sagas))
	got = append(got, x.sagas[:n]...)
	x.sagas = x.sagas[n:]
	if len(got) > 0 {
		return got, nil, nil, nil
	}
	return nil, x.looks(room), x.bell, nil
}

// looks begins looks at partitions where there may be something. Each may take half of the room that is left to it, so that a node
// that does not answer does not keep the others from work; the last one all. x is locked.
func (x *inbox) looks(room int) (looks []look) {
	for n := range x.slots {
		i := (x.turn + n) % len(x.slots)
		s := &x.slots[i]
		free := max(0, min(room-x.asked, maxTaken))
		if s.fetching || !s.mail && (!s.ready || free == 0) {
			continue
		}
		if len(x.slots) > 1 {
			free = (free + 1) / 2
		}
		if !s.ready {
			free = 0
		}
		looks = append(looks, look{i, free, s.lost, s.seen})
		x.asked += free
		*s = slot{fetching: true, ready: s.ready && free == 0}
	}
	x.turn = (x.turn + 1) % len(x.slots)
	return looks
}

// reconsider takes the room from a look that is about to begin if nobody waits for sagas any more: they are left to others.
func (x *inbox) reconsider(l *look) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.waiting == 0 && l.room > 0 {
		x.asked -= l.room
		l.room = 0
		x.slots[l.partition].ready = true
	}
}

// put ends a look.
func (x *inbox) put(l look, f found, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.asked -= l.room
	x.sagas, x.news = append(x.sagas, f.sagas...), append(x.news, f.news...)
	s := &x.slots[l.partition]
	s.fetching = false
	s.seen = append(s.seen, f.seen...)
	s.ready = s.ready || f.more || err != nil
	s.mail, s.lost = s.mail || err != nil, s.lost || err != nil
	x.wake()
}

// doubt says that a look at a partition failed: when there is reason to look again, it has to be read back.
func (x *inbox) doubt(partition int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.slots[partition].lost = true
}

// fail has the next Receive answer err.
func (x *inbox) fail(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.err = err
	x.wake()
}
