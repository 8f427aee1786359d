package redisx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/skald-go/skald/broker"
)

// listen starts the broker's ear, once: a connection on which it hears of ready sagas, of mail, and of results of sagas that
// it started. What is not heard is found later: workers look about once a second, watches at ReadBack.
func (b *Broker) listen() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listening || b.closed {
		return
	}
	b.listening = true
	b.group.Go(b.hear)
}

// bell is the channel on which lanes are told that are empty no longer.
func (b *Broker) bell() string { return b.opts.Namespace + ":bell" }

// channel is that of a node.
func (b *Broker) channel(node string) string { return b.opts.Namespace + ":n:" + node }

const (
	earPatience = 3 * time.Second // without a word, after which the server is asked whether it is there
	earPause    = time.Second     // at most, before the broker tries again to listen
)

// hear listens until the broker is closed, whatever happens to the connection.
func (b *Broker) hear() {
	pause := time.Duration(0)
	for b.ctx.Err() == nil {
		begun := time.Now()
		b.ear.deaf(b.attend())
		b.reload()
		if time.Since(begun) > earPause {
			pause = 0
		}
		pause = min(2*pause+10*time.Millisecond, earPause)
		select {
		case <-time.After(pause):
		case <-b.ctx.Done():
		}
	}
}

// attend listens on one connection, and says why that ended.
func (b *Broker) attend() error {
	bell := b.bell()
	sub := b.client.Subscribe(b.ctx, bell, b.eventBell(), b.channel(b.node))
	defer sub.Close()
	defer context.AfterFunc(b.ctx, func() { _ = sub.Close() })() // ends the wait
	for asked := false; ; {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		got, err := sub.ReceiveTimeout(b.ctx, earPatience)
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout() && !asked:
			asked = true
			if err := sub.Ping(b.ctx); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		}
		asked = false
		switch m := got.(type) {
		case *redis.Subscription:
			if b.ear.hears() {
				b.suspect()
			}
			b.missed()
			b.wakeDesks()
		case *redis.Message:
			if m.Channel == b.eventBell() {
				b.wakeForEvents(m.Payload)
				continue
			}
			b.heard(m.Channel == bell, m.Payload)
		}
	}
}

// ear is whether the broker hears.
type ear struct {
	mu    sync.Mutex
	err   error
	since time.Time
}

// hears notes that the broker hears, and tells whether it did not before.
func (e *ear) hears() (again bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	again = e.err != nil
	e.err = nil
	return again
}

func (e *ear) deaf(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		e.since = time.Now()
	}
	e.err = err
}

// trouble says why the broker does not hear, or gives nil.
func (e *ear) trouble() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		return nil
	}
	return fmt.Errorf("nothing is heard of ready sagas and results for %v: %w", time.Since(e.since).Round(time.Millisecond), e.err)
}

// missed looks for what was not heard while there was no connection.
func (b *Broker) missed() {
	for _, w := range b.workers() {
		w.inbox.stirAll()
	}
	b.watches.lookAll()
}

func (b *Broker) heard(bell bool, message string) {
	switch {
	case bell:
		b.wakeFor(message)
	case strings.HasPrefix(message, "F"):
		b.finishedAll(message[1:])
	case strings.HasPrefix(message, "M"):
		if s := b.seat(message[1:]); s != nil {
			s.w.inbox.stir(s.p.number, true, false)
		}
	default:
		b.news(message)
	}
}

// wakeFor wakes the workers that serve one of the lanes, after the number of their partition.
func (b *Broker) wakeFor(message string) {
	number, lanes, _ := strings.Cut(message, "\n")
	partition, err := strconv.Atoi(number)
	if err != nil || partition < 0 || partition >= len(b.parts) {
		return
	}
	for _, w := range b.workers() {
		for lane := range strings.SplitSeq(lanes, "\n") {
			if w.serves(lane) {
				w.inbox.stir(partition, false, true)
				break
			}
		}
	}
}

// serves tells whether the worker may take what is in a lane.
func (w *worker) serves(lane string) bool {
	served, _, _ := strings.Cut(lane, "\x00")
	for _, flow := range w.flows {
		if flow == served {
			return true
		}
	}
	return false
}

// finished tells those who wait for a saga what was pushed of it. The push comes from the script, before its writes are confirmed: where they
// are, the saga is looked at, which waits for that.
func (b *Broker) finished(id, result string) {
	if b.opts.Durability != (Durability{}) {
		b.watches.look(id)
		return
	}
	b.watches.settle(id, func() (broker.Snapshot, bool) {
		shot, err := parseResult(id, result)
		return shot, err == nil
	})
}

// finishedAll reads the news that commit.lua makes: how many sagas, how long each ID and result is, and these. It stops where that does not fit.
func (b *Broker) finishedAll(message string) {
	if len(message) < 2 {
		return
	}
	count := int(parseUint(message[:2]))
	if len(message) < 2+6*count {
		return
	}
	lengths, rest := message[2:2+6*count], message[2+6*count:]
	for ; lengths != ""; lengths = lengths[6:] {
		id, result := int(parseUint(lengths[:2])), int(parseUint(lengths[2:6]))
		if len(rest) < id+result {
			return
		}
		b.finished(rest[:id], rest[id:id+result])
		rest = rest[id+result:]
	}
}

// news reads what became of sagas that this node started.
func (b *Broker) news(message string) {
	for message != "" {
		kind := message[0]
		id, rest, ok := cutText(message[1:])
		if !ok {
			return
		}
		if kind != 'R' {
			b.watches.look(id)
			message = rest
			continue
		}
		result, after, ok := cutBlob(rest)
		if !ok {
			return
		}
		b.finished(id, result)
		message = after
	}
}
