package redisx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/skald-go/skald/broker"
)

var errLease = errors.New("the lease must be at least 10 ms")

// worker is a membership.
type worker struct {
	b      *Broker
	member broker.Member
	flows  []string // that it serves, as the scripts name them
	token  string
	ended  context.Context // when it is fenced or has left, or the broker is closed
	end    context.CancelCauseFunc
	expiry *time.Timer // without a good sign of life until then, the worker takes itself for dead

	mu      sync.Mutex
	sagas   map[string]holding
	inbox   inbox
	leaving bool
	silent  bool // gives no more signs of life: for tests
}

// holding is a saga that the worker owns, or may own when an answer comes.
type holding struct {
	head   string
	line   hotLine
	starts int    // starts under way
	handed bool   // the engine knows that it owns the saga
	told   uint64 // the last event that the engine knows
	since  time.Time
}

// profile is what a worker says of itself to others.
type profile struct {
	Name  string
	Build string
	Flows []string
}

const minLease = 10 * time.Millisecond

// Join implements broker.Broker.
func (b *Broker) Join(ctx context.Context, m broker.Member) (broker.Worker, error) {
	w, err := b.join(ctx, m)
	if err != nil {
		return nil, failed("join", m.Name, err)
	}
	return w, nil
}

func (b *Broker) join(ctx context.Context, m broker.Member) (*worker, error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	if m.Lease < minLease {
		return nil, errLease
	}
	m.Flows = slices.Clone(m.Flows)
	w := &worker{b: b, member: m, token: b.node + randomName(workerLength-nodeLength), sagas: make(map[string]holding)}
	for _, s := range m.Flows {
		w.flows = append(w.flows, string(appendServed(nil, s)))
	}
	w.inbox.open()
	said, err := msgpack.Marshal(profile{m.Name, m.Build, w.flows})
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	_, err = ask(ctx, b, func(ctx context.Context) (any, error) {
		return b.part.run(ctx, joinScript, w.token, said, m.Lease.Milliseconds())
	})
	if err != nil {
		return nil, err
	}
	w.ended, w.end = context.WithCancelCause(context.Background())
	w.expiry = time.AfterFunc(time.Until(begun.Add(w.trust())), func() { w.die(broker.ErrFenced) })
	return w, b.enlist(w)
}

// enlist starts what a worker needs.
func (b *Broker) enlist(w *worker) error {
	b.mu.Lock()
	closed := b.closed
	if !closed {
		b.workers[w.token] = w
	}
	b.mu.Unlock()
	if closed {
		w.die(broker.ErrClosed)
		return broker.ErrClosed
	}
	b.listen()
	b.chores.begin(b)
	b.spawn(w.beat)
	return nil
}

// trust is for how long after a sign of life the worker believes that it lives: its lease less a margin.
func (w *worker) trust() time.Duration {
	return w.member.Lease - min(w.member.Lease/5, time.Second)
}

// pace is how often the worker gives a sign of life, or looks for news that nobody told it of.
func (w *worker) pace() time.Duration {
	return min(w.member.Lease/4, time.Second)
}

// die ends the worker's calls with err.
func (w *worker) die(err error) {
	w.end(err)
	w.expiry.Stop()
	w.b.mu.Lock()
	delete(w.b.workers, w.token)
	w.b.mu.Unlock()
}

// mourn ends the worker if err says that it is dead, unless it is about to leave. It gives err.
func (w *worker) mourn(err error) error {
	if errors.Is(err, broker.ErrFenced) && w.status() == nil {
		w.die(broker.ErrFenced)
	}
	return err
}

// status says why w can do nothing any longer.
func (w *worker) status() error {
	if w.ended.Err() != nil {
		return context.Cause(w.ended)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.leaving {
		return broker.ErrFenced
	}
	return nil
}

func (w *worker) usable(ctx context.Context) error {
	if err := w.b.usable(ctx); err != nil {
		return err
	}
	return w.status()
}

// errLeft is why a worker that has left can do nothing any longer.
var errLeft = fmt.Errorf("%w: it has left", broker.ErrFenced)

// Leave implements broker.Worker.
func (w *worker) Leave(ctx context.Context) error {
	if err := w.leave(ctx); err != nil {
		return failed("leave", w.member.Name, err)
	}
	return nil
}

func (w *worker) leave(ctx context.Context) error {
	if err := w.b.usable(ctx); err != nil {
		return err
	}
	if cause := context.Cause(w.ended); cause != nil {
		if errors.Is(cause, errLeft) {
			return nil
		}
		return cause
	}
	w.mu.Lock()
	w.leaving = true
	w.mu.Unlock()
	w.inbox.ring()
	_, err := ask(ctx, w.b, func(ctx context.Context) (struct{}, error) {
		for {
			more, _, err := w.b.part.sweep(ctx, w.token)
			if err != nil || !more {
				return struct{}{}, err
			}
		}
	})
	if err == nil {
		w.die(errLeft)
	}
	return err
}

// beat gives signs of life until the worker ends, and now and then lets it look for news.
func (w *worker) beat() {
	tick := time.NewTicker(w.pace())
	defer tick.Stop()
	unequal := false
	for {
		select {
		case <-tick.C:
		case <-w.ended.Done():
			return
		case <-w.b.ctx.Done():
			return
		}
		if w.quiet() {
			continue
		}
		begun := time.Now()
		owned, err := w.b.part.run(w.b.ctx, beatScript, w.token, w.member.Lease.Milliseconds())
		switch {
		case errors.Is(err, broker.ErrFenced):
			w.mourn(err)
		case err == nil:
			w.expiry.Reset(time.Until(begun.Add(w.trust())))
			was := unequal
			unequal = number(owned) != int64(w.count())
			if was && unequal {
				w.inbox.suspect()
			}
		}
		w.inbox.stir(true, true)
	}
}

func (w *worker) quiet() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.leaving || w.silent
}

func (w *worker) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.sagas)
}

// begin notes that a start is under way after which the worker owns id.
func (w *worker) begin(id, head string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.sagas[id]
	h.starts++
	if h.head == "" {
		h.head, h.since = head, time.Now()
	}
	w.sagas[id] = h
}

// hand notes that the engine is told that it owns id, unless it knows.
func (w *worker) hand(id string, line hotLine, mail []numbered) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	h, ok := w.sagas[id]
	if !ok || h.handed {
		return false
	}
	h.starts--
	h.handed, h.line, h.told = true, line, last(mail)
	w.sagas[id] = h
	return true
}

// adopt is hand for a saga that was received.
func (w *worker) adopt(id, head, line string, mail []numbered) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.sagas[id]
	if h.handed {
		return false
	}
	h.head, h.line, h.handed, h.told, h.since = head, newHotLine(line), true, last(mail), time.Now()
	w.sagas[id] = h
	return true
}

// abandon ends a start without knowing what came of it.
func (w *worker) abandon(id string) {
	w.met(id, true)
}

// met ends a start that found another saga; if that is owned by w without w knowing, it has to be read back.
func (w *worker) met(id string, owned bool) {
	w.mu.Lock()
	h := w.sagas[id]
	h.starts--
	if h.starts <= 0 && !h.handed {
		delete(w.sagas, id)
	} else {
		w.sagas[id] = h
	}
	w.mu.Unlock()
	if owned && !h.handed {
		w.inbox.suspect()
	}
}

// line gives what is known of the line of a saga.
func (w *worker) line(id string) hotLine {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sagas[id].line
}

// wrote notes the line of a saga after a transition, if it is known.
func (w *worker) wrote(id string, line hotLine) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if h, ok := w.sagas[id]; ok {
		h.line = line
		w.sagas[id] = h
	}
}

// told notes which mail the engine knows.
func (w *worker) told(id string, mail []numbered) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if h, ok := w.sagas[id]; ok {
		h.told = max(h.told, last(mail))
		w.sagas[id] = h
	}
}

// drop forgets a saga, and gives its head.
func (w *worker) drop(id string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	head := w.sagas[id].head
	delete(w.sagas, id)
	return head
}

func last(mail []numbered) uint64 {
	if len(mail) == 0 {
		return 0
	}
	return mail[len(mail)-1].seq
}
