package flow

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/skald-go/skald/broker"
)

// member is the engine's membership in its broker, until it ends or is fenced.
type member struct {
	worker    broker.Worker
	submitter broker.Submitter // worker, if it is one
	fenced    chan struct{}
	once      sync.Once
}

// join becomes a member, trying until ctx ends or the broker is closed.
func (e *Engine) join(ctx context.Context) (*member, error) {
	spec := broker.Member{Name: e.opts.Name, Build: e.build(), Flows: e.serves(), Lease: e.opts.Lease}
	for pause := pauses(); ; {
		w, err := e.broker.Join(ctx, spec)
		if err == nil {
			m := &member{worker: w, fenced: make(chan struct{})}
			m.submitter, _ = w.(broker.Submitter)
			e.member.Store(m)
			e.health.joined()
			return m, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		e.health.failed(partJoin, err)
		if errors.Is(err, broker.ErrClosed) {
			return nil, err
		}
		e.log.Warn("cannot join the broker, trying again", "error", err)
		if !pause.wait(ctx) {
			return nil, ctx.Err()
		}
	}
}

// receive takes what the broker has, until ctx or the membership ends, and gives the error that says why.
func (e *Engine) receive(ctx context.Context, m *member) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-m.fenced:
			cancel()
		case <-ctx.Done():
		}
	}()
	for pause := pauses(); ctx.Err() == nil; {
		deliveries, err := e.receiveOnce(ctx, m)
		switch {
		case err == nil:
			pause = pauses()
			e.health.ok(partReceive)
		case errors.Is(err, broker.ErrFenced), errors.Is(err, broker.ErrClosed):
			e.fenced(m)
			return err
		case ctx.Err() == nil:
			e.health.failed(partReceive, err)
			e.log.Warn("cannot receive from the broker, trying again", "error", err)
			pause.wait(ctx)
		}
		for _, d := range deliveries {
			e.handle(m, d)
		}
	}
	return broker.ErrFenced // a commit found out, unless the caller's ctx has ended
}

// receiveOnce asks for as many sagas as there is room for, and for mail. It comes back with nothing when that changes.
func (e *Engine) receiveOnce(ctx context.Context, m *member) ([]broker.Delivery, error) {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	e.interrupt.Store(&cancel) // before it looks how much room there is
	deliveries, err := m.worker.Receive(inner, e.roomToReceive())
	if err != nil && inner.Err() != nil && ctx.Err() == nil && errors.Is(err, inner.Err()) {
		return deliveries, nil
	}
	return deliveries, err
}

// askAnew has the receiver look again how much room there is.
func (e *Engine) askAnew() {
	if cancel := e.interrupt.Load(); cancel != nil {
		(*cancel)()
	}
}

// reserved is how many of Options.Concurrency places only sagas from the broker get, so that many starts here do not
// shut them out. No more are received at once: what is started here meanwhile does not make them too many.
func (e *Engine) reserved() int { return max(1, e.opts.Concurrency/4) }

func (e *Engine) roomToReceive() int {
	e.shut.Store(false)
	if patient := e.patient.Load(); patient != nil {
		e.shut.Store(true)
		patient.prod()
		return 0
	}
	room := min(e.reserved(), e.opts.Concurrency-int(e.table.count.Load()))
	if e.careful {
		room = min(1, room)
	}
	return max(0, room)
}

// removed takes the run out of the table, and tells those who wait for that.
func (e *Engine) removed(r *run) {
	e.recovered(r)
	left, ok := e.table.remove(r)
	if !ok {
		return
	}
	for _, s := range e.followers.of(r.id) {
		s.wake()
	}
	if left == e.opts.Concurrency-1 {
		e.askAnew()
	}
	if left == 0 {
		notify(e.empty)
	}
	if patient := e.patient.Load(); patient != nil && left == 1 {
		patient.prod()
	}
}

// notify puts a token into a channel that holds one.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// handle does what one delivery asks for.
func (e *Engine) handle(m *member, d broker.Delivery) {
	if d.Saga != nil {
		e.adopt(m, d.Saga)
		return
	}
	r := e.table.get(d.ID)
	switch {
	case r == nil || r.member != m:
	case d.Lost:
		e.log.Warn("the broker gave a saga to another worker", "saga", r.id, "flow", r.def.Name)
		r.drop()
	default:
		r.prod(d.Mail...)
	}
}

// adopt runs a saga that the broker handed out.
func (e *Engine) adopt(m *member, rec *broker.Record) {
	if s := e.scheduled(rec.ID); s != nil {
		e.submit(task{listen: func() { e.tend(m, s, rec) }})
		return
	}
	e.careful = e.suspicious(rec)
	s := e.servedFor(rec)
	if s == nil {
		e.refuse(m, rec)
		return
	}
	r := &run{member: m, served: s, record: rec, base: context.Background(), driving: true}
	r.handle = handle{e: e, id: rec.ID, def: s.def, local: true}
	old := e.table.replace(r)
	if old != nil {
		old.drop()
	}
	r.inherit(old)
	e.submit(task{run: r})
}

// inherit makes r wait for attempts that an earlier run of the saga has left running in this process.
func (r *run) inherit(old *run) {
	if old == nil || !old.busy() {
		elder, ok := r.e.elders.Load(r.id)
		if !ok {
			return
		}
		old = elder.(*run)
	}
	old.mu.Lock()
	defer old.mu.Unlock()
	r.elder, old.heir = old, r
}

// refuse leaves a saga to others that nobody here can run. The broker should not have handed it out.
func (e *Engine) refuse(m *member, rec *broker.Record) {
	e.log.Error("the broker handed out a saga of a flow that is not served here", "saga", rec.ID, "flow", rec.Flow, "version", rec.Version)
	_, err := m.worker.Commit(e.alive, broker.Transition{ID: rec.ID, Rev: rec.Rev, Next: broker.Reject})
	if err != nil {
		e.log.Error("cannot give the saga back", "saga", rec.ID, "flow", rec.Flow, "error", err)
	}
}

// submit has t done by the pool. Once that is closed, a run that was to be driven is over.
func (e *Engine) submit(t task) {
	switch {
	case e.pool.submit(t):
	case t.listen != nil:
		t.listen()
	case t.attempt == nil:
		t.run.close()
	}
}

// fenced ends a membership: the broker gave its sagas to others.
func (e *Engine) fenced(m *member) {
	m.once.Do(func() {
		e.member.CompareAndSwap(m, nil)
		close(m.fenced)
	})
}

func (e *Engine) dropAll(m *member) {
	for _, r := range e.table.all() {
		if r.member == m {
			r.drop()
		}
	}
}

// drain ends the engine's work: running attempts and listeners may end within the grace period, the rest is given back. It says
// false if some still run then.
func (e *Engine) drain() bool {
	m, began := e.member.Load(), time.Now()
	for _, d := range []struct {
		phase int32
		wait  time.Duration
	}{{draining, e.opts.Grace}, {hurrying, lastMoment}, {leaving, lastMoment}} {
		if e.passTo(d.phase, d.wait) {
			break
		}
	}
	if m != nil {
		e.leave(m)
	}
	_ = e.events.wait()
	e.phase.Store(ended)
	for _, r := range e.table.all() {
		r.drop()
	}
	e.pool.close()
	quiet := e.pool.wait(e.opts.Grace - time.Since(began))
	e.halt()
	return quiet || e.pool.wait(lastMoment)
}

// lastMoment is how long attempts whose contexts have ended, and transitions that give sagas back, may take at the end.
const lastMoment = time.Second

// passTo enters a phase of the drain, and waits until no run is left, for d at most.
func (e *Engine) passTo(phase int32, d time.Duration) (empty bool) {
	e.phase.Store(phase)
	for _, r := range e.table.all() {
		if phase == hurrying {
			r.cutOffAll()
		}
		r.prod()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	for e.table.count.Load() > 0 {
		select {
		case <-e.empty:
		case <-t.C:
			return false
		}
	}
	return true
}

// leave ends the membership, trying for as long as the lease lasts without it.
func (e *Engine) leave(m *member) {
	ctx, cancel := context.WithTimeout(context.Background(), e.opts.Lease)
	defer cancel()
	err := insist(ctx, func() error { return m.worker.Leave(ctx) })
	if err != nil && !errors.Is(err, broker.ErrClosed) {
		e.log.Warn("cannot leave the broker; its sagas are taken over when the lease ends", "error", err)
	}
	e.fenced(m)
}
