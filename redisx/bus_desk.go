package redisx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/skald-go/skald/broker"
)

// desk is where a subscriber has to do with one partition: its goroutine settles and takes events, a batch at a time, and gives signs of life.
type desk struct {
	s     *subscriber
	p     *partition
	token string
	bell  chan struct{}

	mu      sync.Mutex
	queue   []*settlement
	stopped bool
	expiry  *time.Timer // without a good sign of life until then, the subscriber takes itself for dead
	failed  error       // why the server was not reached the last time
	heard   time.Time   // when it was

	// Known to the goroutine only.
	held     []map[uint64]int // of each read: the turns of the events that the subscriber has
	told     []int64          // of each read: how many lost events were told, of all
	calls    uint32           // of bus_turn.lua
	unsure   bool             // an answer was lost, which may have handed out events
	beatAt   time.Time        // of the next sign of life
	wakeAt   time.Time        // when something is due; zero: nothing is known to be
	lapsesAt time.Time        // when another's lease ends; zero: no other is known
}

// settlement is one that waits to be stored.
type settlement struct {
	broker.Settlement
	desk   *desk
	read   int
	number uint64
	turn   int
	done   chan struct{}
	err    error
}

func newDesk(s *subscriber, p *partition) *desk {
	d := &desk{
		s: s, p: p, token: s.b.node + randomName(workerLength-nodeLength), bell: signal(1), heard: time.Now(),
		told: make([]int64, len(s.spec.Reads)),
	}
	for range s.spec.Reads {
		d.held = append(d.held, make(map[uint64]int))
	}
	return d
}

// join makes the subscriber one of the partition.
func (d *desk) join(ctx context.Context) error {
	begun := time.Now()
	args := []any{d.token, d.s.said, d.s.spec.Lease.Milliseconds()}
	for _, r := range d.s.spec.Reads {
		late := 0
		if r.New {
			late = 1
		}
		args = append(args, r.Topic, r.Group, late)
	}
	if _, err := d.p.insist(ctx, busJoin, args, d.s.b.opts.Durability != (Durability{})); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expiry = time.AfterFunc(time.Until(begun.Add(d.s.trust())), func() { d.s.die(broker.ErrFenced) })
	return nil
}

// stop ends what waits for the desk.
func (d *desk) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	if d.expiry != nil {
		d.expiry.Stop()
	}
	d.fail(d.queue, d.s.cause())
	d.queue = nil
}

func (d *desk) ring() {
	select {
	case d.bell <- struct{}{}:
	default:
	}
}

// settle queues a settlement.
func (d *desk) settle(own *settlement) {
	d.mu.Lock()
	if d.stopped {
		d.fail([]*settlement{own}, d.s.cause())
	} else {
		d.queue = append(d.queue, own)
	}
	d.mu.Unlock()
	d.ring()
}

func (d *desk) fail(all []*settlement, err error) {
	for _, own := range all {
		own.err = err
		close(own.done)
	}
}

// wait blocks until the settlement is stored or ctx ends.
func (own *settlement) wait(ctx context.Context) error {
	select {
	case <-own.done:
		return own.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run settles, takes and gives signs of life until the subscriber ends.
func (d *desk) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-d.bell:
		case <-timer.C:
		case <-d.s.ended.Done():
			if d.s.b.ctx.Err() != nil {
				d.s.die(broker.ErrClosed)
			}
			return
		}
		if d.s.silent.Load() || d.s.leaving.Load() {
			continue
		}
		now := time.Now()
		if !now.Before(d.beatAt) || !d.lapsesAt.IsZero() && !now.Before(d.lapsesAt) {
			d.beat()
		}
		for d.turn() {
		}
		timer.Reset(d.pause())
	}
}

// pause is for how long there is nothing to do that nobody rings for.
func (d *desk) pause() time.Duration {
	at := d.beatAt
	for _, t := range []time.Time{d.wakeAt, d.lapsesAt} {
		if !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	return max(time.Millisecond, time.Until(at))
}

// beat gives a sign of life, ends others whose leases have ended, and has dropped what nobody needs.
func (d *desk) beat() {
	begun := time.Now()
	d.beatAt, d.lapsesAt = begun.Add(d.s.pace()), time.Time{}
	args := []any{d.token, d.s.spec.Lease.Milliseconds(), d.s.b.opts.Bus.Age.Milliseconds()}
	var topics []string
	for _, r := range d.s.spec.Reads {
		if !slices.Contains(topics, r.Topic) {
			topics = append(topics, r.Topic)
			args = append(args, r.Topic)
		}
	}
	v, err := d.p.list(d.s.ended, 2, busBeat, args...)
	if d.mourn(err) {
		return
	}
	if wait := number(v[1]); wait >= 0 {
		d.lapsesAt = time.Now().Add(time.Duration(wait+1) * time.Millisecond)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.stopped {
		d.expiry.Reset(time.Until(begun.Add(d.s.trust())))
	}
}

// mourn notes whether the server was reached, and ends the subscriber if it was declared dead. It says whether there was an error.
func (d *desk) mourn(err error) bool {
	if errors.Is(err, broker.ErrFenced) {
		if !d.s.leaving.Load() {
			d.s.die(broker.ErrFenced)
		}
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed = err; err == nil {
		d.heard = time.Now()
	}
	return err != nil
}

// trouble says why the server is not reached, or gives nil.
func (d *desk) trouble() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	silence := time.Since(d.heard).Round(time.Millisecond)
	if d.failed == nil && silence <= 3*d.s.pace() {
		return nil
	}
	err := d.failed
	if err == nil {
		err = errSilent
	}
	return fmt.Errorf("no events were read for %q in partition %d for %v: %w", d.s.spec.Name, d.p.number, silence, err)
}

// maxSettled is how many settlements go with one turn.
const maxSettled = 256

// turn settles what waits, and takes what there is room for. It says whether there may be more to do at once.
func (d *desk) turn() bool {
	batch := d.batch()
	share := d.s.reserve()
	v, err := d.p.insist(d.s.ended, busTurn, d.words(batch, share), d.s.b.opts.Durability != (Durability{}))
	reply, err := listOf(4, v, err)
	if d.mourn(err) {
		d.unsure = true
		d.s.restore(share)
		d.mu.Lock()
		d.fail(batch, d.s.passing(err))
		d.mu.Unlock()
		d.s.put(nil, d.s.passing(err))
		d.wakeAt = time.Now().Add(d.s.pace())
		return false
	}
	d.unsure, d.wakeAt = false, time.Time{}
	if wait := number(reply[1]); wait >= 0 {
		d.wakeAt = time.Now().Add(time.Duration(wait+1) * time.Millisecond)
	}
	d.settled(batch, share)
	got, err := d.read(values(reply[3]), share)
	d.s.restore(share)
	d.s.put(got, err)
	return err == nil && (number(reply[2]) == 1 || len(got) > 0 || d.waiting())
}

// passing replaces an error that follows from the end of the subscriber.
func (s *subscriber) passing(err error) error {
	if cause := s.cause(); cause != nil {
		return cause
	}
	return err
}

func (d *desk) batch() []*settlement {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(len(d.queue), maxSettled)
	batch := d.queue[:n:n]
	d.queue = d.queue[n:]
	return batch
}

func (d *desk) waiting() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.queue) > 0
}

// words are the arguments of bus_turn.lua.
func (d *desk) words(batch []*settlement, share []int) []any {
	byRead := make(map[int][]*settlement)
	for _, own := range batch {
		byRead[own.read] = append(byRead[own.read], own)
	}
	d.calls++
	args := []any{d.token, d.calls, len(byRead)}
	for i, r := range d.s.spec.Reads {
		if len(byRead[i]) == 0 {
			continue
		}
		args = append(args, r.Topic, r.Group, len(byRead[i]))
		for _, own := range byRead[i] {
			args = append(args, own.number, own.turn, int(own.Fate), ceilMillis(own.After), own.Reason)
		}
	}
	for i, r := range d.s.spec.Reads {
		args = append(args, r.Topic, r.Group, share[i], d.told[i])
		if !d.unsure {
			args = append(args, -1)
			continue
		}
		args = append(args, len(d.held[i]))
		for n, turn := range d.held[i] {
			args = append(args, strconv.FormatUint(n, 10)+"."+strconv.Itoa(turn))
		}
	}
	return args
}

// settled forgets what was settled, and adds the room that it had to what is given back.
func (d *desk) settled(batch []*settlement, share []int) {
	for _, own := range batch {
		if d.held[own.read][own.number] == own.turn {
			delete(d.held[own.read], own.number)
			share[own.read]++
		}
		close(own.done)
	}
}

// read makes arrivals of what bus_turn.lua answers for each read, and takes the room that they have from share.
func (d *desk) read(answers []any, share []int) (got []broker.Arrival, err error) {
	if len(answers) != len(d.s.spec.Reads) {
		return nil, errReply
	}
	for i, r := range d.s.spec.Reads {
		v := values(answers[i])
		if len(v) < 2 {
			continue // the group was forgotten
		}
		if lost := number(v[0]); lost > 0 {
			d.told[i] = number(v[1])
			got = append(got, broker.Arrival{Publication: broker.Publication{Topic: r.Topic}, Group: r.Group, Lost: uint64(lost)})
		}
		for v = v[2:]; len(v) >= 4; v = v[4:] {
			n, turn := uint64(number(v[0])), int(number(v[1]))
			ev, failed := parsePublication(r.Topic, text(v[3]))
			if failed != nil {
				err = fmt.Errorf("event %d of %q: %w", n, r.Topic, failed)
				continue
			}
			if _, had := d.held[i][n]; !had { // otherwise it comes again before it is known that its settlement was stored
				share[i]--
			}
			d.held[i][n] = turn
			got = append(got, broker.Arrival{Publication: ev, Group: r.Group, Ref: makeRef(d.p.number, n, turn), Attempt: int(number(v[2]))})
		}
	}
	return got, err
}
