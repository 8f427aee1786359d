package brokertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokerfault"
)

// randomOperations lets several workers do random things to a few sagas, while calls fail, and compares what the
// broker answers with a model: one owner, no revision twice, no mail lost or doubled. At the end everything is brought
// to its end, to see that no saga was lost.
func randomOperations(t *testing.T, h Harness) {
	if !h.Virtual { // no worker may die here but those that are killed, however busy the machine is
		h.Lease, h.Slack = 2*h.Lease, 2*h.Slack
	}
	property(t, h.Virtual, func(rt *rapid.T) { operate(t, rt, h) })
}

func operate(t *testing.T, rt *rapid.T, h Harness) {
	m := &machine{sagas: make(map[string]*modelSaga), handed: make(map[handOut]bool), names: make(map[string]*modelWorker)}
	m.s = newSuite(t, rt, h, Limits{}, brokerfault.Options{
		Seed: rapid.Uint64Min(1).Draw(rt, "seed of the faults"),
		Odds: brokerfault.Odds{
			brokerfault.Lose: 0.1, brokerfault.Fail: 0.05, brokerfault.Repeat: 0.1, brokerfault.Reorder: 0.1,
		},
	})
	m.join(rt)
	rt.Repeat(map[string]func(*rapid.T){
		"":              func(*rapid.T) { m.compare() },
		"start":         m.start,
		"deliver":       m.deliver,
		"receive":       m.receive,
		"receive again": m.receive,
		"commit":        m.commit,
		"commit again":  m.commit,
		"resend":        m.resend,
		"resolve":       m.resolve,
		"join":          m.join,
		"leave":         m.leave,
		"kill":          m.kill,
		"elapse":        m.elapse,
	})
	m.drain()
}

// machine does random things to a broker and to a model of it.
type machine struct {
	s       *suite
	sagas   map[string]*modelSaga
	workers []*modelWorker // except for the dead
	names   map[string]*modelWorker
	joined  int
	handed  map[handOut]bool
	sent    broker.Transition // the last
	sender  *modelWorker
}

// handOut happens once.
type handOut struct {
	id     string
	rev    uint64
	worker *modelWorker
}

func (m *machine) saga(rt *rapid.T) *modelSaga {
	return m.named(rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "saga"))
}

func (m *machine) named(id string) *modelSaga {
	if m.sagas[id] == nil {
		m.sagas[id] = newModelSaga(id)
	}
	return m.sagas[id]
}

func (m *machine) worker(rt *rapid.T) *modelWorker {
	i := rapid.IntRange(0, len(m.workers)-1).Draw(rt, "worker")
	return m.workers[i]
}

func (m *machine) start(rt *rapid.T) {
	x := m.saga(rt)
	start := saga(x.id)
	var by *modelWorker
	if rapid.Bool().Draw(rt, "by a worker") {
		by = m.worker(rt)
		start.By = by.Worker
	}
	if x.state == 0 {
		x.start(by)
	}
	started, err := m.s.tryStart(start)
	require.NoError(rt, err)
	x.settle(started.State)
	require.Equal(rt, x.state, started.State)
	if started.Owned {
		x.equalMail(rt, started.Mail)
		m.hand(x, by)
	}
}

// hand notes that w was told that it owns x.
func (m *machine) hand(x *modelSaga, w *modelWorker) {
	this := handOut{x.id, x.rev, w}
	require.False(m.s.t, m.handed[this], "%q was handed out twice at revision %d", x.id, x.rev)
	require.True(m.s.t, x.owner == w, "%q was handed out to a worker that does not own it", x.id)
	m.handed[this] = true
	x.known = true
}

func (m *machine) deliver(rt *rapid.T) {
	x := m.saga(rt)
	ev := rapid.SampledFrom([]string{"e", "f", "g", "h", "i"}).Draw(rt, "event")
	err := m.s.tryDeliver(x.id, event(ev))
	if x.state == broker.Finished && !x.seen[ev] {
		require.ErrorIs(rt, err, broker.ErrSettled)
		return
	}
	require.NoError(rt, err)
	x.deliver(ev)
}

func (m *machine) receive(rt *rapid.T) {
	w := m.worker(rt)
	room := rapid.IntRange(0, 3).Draw(rt, "room")
	if w.gone {
		_, err := insist(func() ([]broker.Delivery, error) { return w.Receive(m.s.ctx, room) })
		require.ErrorIs(rt, err, broker.ErrFenced)
		return
	}
	ctx, cancel := context.WithTimeout(m.s.ctx, m.s.h.Moment/10)
	defer cancel()
	got, err := insist(func() ([]broker.Delivery, error) { return w.Receive(ctx, room) })
	w.asks = room > 0 && errors.Is(err, context.DeadlineExceeded) && !m.s.h.Virtual
	if !errors.Is(err, context.DeadlineExceeded) {
		require.NoError(rt, err)
		m.received(w, got)
	}
}

func (m *machine) received(w *modelWorker, got []broker.Delivery) {
	for _, d := range got {
		x := m.named(d.ID)
		require.False(m.s.t, d.Lost)
		if d.Saga == nil {
			require.True(m.s.t, x.allSeen(eventIDs(d.Mail)), "mail for %q that nobody sent: %v", d.ID, eventIDs(d.Mail))
			continue
		}
		if x.owner != w {
			m.taken(x, w)
		}
		m.hand(x, w)
		x.equal(m.s.t, *d.Saga)
	}
}

// taken notes that w owns x, which it may not have been told yet.
func (m *machine) taken(x *modelSaga, w *modelWorker) {
	x.settle(broker.Ready)
	require.Equal(m.s.t, broker.Ready, x.state, "%q was handed out", x.id)
	require.False(m.s.t, x.rejected[w.build], "%q was handed out to a build that rejected it", x.id)
	x.own(w)
}

func (m *machine) commit(rt *rapid.T) {
	x, w := m.saga(rt), m.worker(rt)
	if x.owner != nil && x.owner.lapses.IsZero() && rapid.IntRange(0, 9).Draw(rt, "not by the owner") < 9 {
		w = x.owner
	}
	m.send(w, m.transition(rt, x))
}

// transition draws what x may do next, most often from the right revision.
func (m *machine) transition(rt *rapid.T, x *modelSaga) broker.Transition {
	t := broker.Transition{ID: x.id, Rev: x.rev, Keep: 10_000 * time.Hour}
	if rapid.IntRange(0, 9).Draw(rt, "stale") == 9 {
		t.Rev += rapid.SampledFrom([]uint64{1, ^uint64(0)}).Draw(rt, "revisions off")
	}
	t.Next = rapid.SampledFrom([]broker.Next{
		broker.Keep, broker.Park, broker.Hold, broker.Bury, broker.GiveBack, broker.Reject,
		broker.Keep, broker.Park, broker.Finish,
	}).Draw(rt, "next")
	t.Append = entries(fmt.Sprint("fact of revision ", t.Rev))
	t.Consume = slices.Clone(x.mail[:rapid.IntRange(0, len(x.mail)).Draw(rt, "consumed")])
	if rapid.IntRange(0, 4).Draw(rt, "memo") == 4 {
		t.Memo = []byte(rapid.SampledFrom([]string{"", "memo", fmt.Sprint("memo of revision ", t.Rev)}).Draw(rt, "memo"))
	}
	if rapid.Bool().Draw(rt, "with a time") {
		t.Until = time.Now().Add(time.Duration(rapid.IntRange(1, 5).Draw(rt, "moments")) * m.s.h.Moment / 10)
	}
	if rapid.IntRange(0, 4).Draw(rt, "send") == 4 {
		ev := event(fmt.Sprint("from ", x.id, " at ", t.Rev))
		t.Send = []broker.Message{{ID: "m", To: m.saga(rt).id, Event: &ev}}
	}
	return t
}

func (m *machine) resend(*rapid.T) {
	if m.sender != nil {
		m.send(m.sender, m.sent)
	}
}

// send commits t, unless the worker does not know yet that it owns the saga, or that it may own it at any moment.
func (m *machine) send(w *modelWorker, t broker.Transition) {
	x := m.named(t.ID)
	if x.owner == w && !x.known || w.asks && x.free() {
		return
	}
	m.sender, m.sent = w, t
	applies := !w.gone && x.owner == w && x.rev == t.Rev
	want, wantErr := x.commit(w, t)
	if applies {
		for _, message := range t.Send {
			m.named(message.To).deliver(message.Event.ID)
		}
	}
	got, err := m.s.tryCommit(w, t)
	require.ErrorIs(m.s.t, err, wantErr)
	if x.owner == w && t.Rev > x.rev {
		delete(m.handed, handOut{x.id, x.rev, w}) // it was told to drop the saga: so it may be handed it again
	}
	if want.Owned {
		x.equalMail(m.s.t, got.Mail)
	}
	got.Mail = nil
	require.Equal(m.s.t, want, got)
}

func (m *machine) resolve(rt *rapid.T) {
	x := m.saga(rt)
	if x.state == broker.Buried {
		m.s.resolve(x)
	}
}

// resolve makes a buried saga ready.
func (s *suite) resolve(x *modelSaga) {
	decision := fmt.Sprint("decision at ", x.rev)
	require.NoError(s.t, s.tryResolve(x.id, x.rev, decision))
	x.deliver(decision)
	x.ready()
}

func (m *machine) join(rt *rapid.T) {
	if len(m.workers) < 6 {
		m.add(rapid.SampledFrom([]string{"1", "2"}).Draw(rt, "build"))
	}
}

func (m *machine) add(build string) *modelWorker {
	m.joined++
	w := &modelWorker{name: fmt.Sprint("worker ", m.joined), build: build}
	w.Worker = m.s.join(broker.Member{Name: w.name, Build: build})
	m.workers = append(m.workers, w)
	m.names[w.name] = w
	return w
}

func (m *machine) leave(rt *rapid.T) {
	m.retire(m.worker(rt))
}

func (m *machine) retire(w *modelWorker) {
	require.NoError(m.s.t, m.s.leave(w))
	w.gone = true
	for _, x := range m.sagas {
		if x.owner == w {
			x.ready()
		}
	}
}

// kill ends a worker; nobody makes calls of it any longer.
func (m *machine) kill(rt *rapid.T) {
	w := m.worker(rt)
	if w.gone || len(m.workers) == 1 {
		return
	}
	m.s.kill(w.Worker)
	w.lapses = time.Now().Add(m.s.h.Lease - m.s.h.Slack)
	m.workers = slices.DeleteFunc(m.workers, func(other *modelWorker) bool { return other == w })
	if m.sender == w {
		m.sender = nil
	}
}

func (m *machine) elapse(rt *rapid.T) {
	longest := m.s.h.Moment / 10
	if m.s.h.Virtual {
		longest = 2 * m.s.h.Lease
	}
	m.s.elapse(time.Duration(rapid.Int64Range(0, int64(longest)).Draw(rt, "elapses")))
}

// compare looks up each saga of the model.
func (m *machine) compare() {
	for id, x := range m.sagas {
		shot, err := m.s.tryLookup(id)
		if x.state == 0 {
			require.ErrorIs(m.s.t, err, broker.ErrUnknown)
			continue
		}
		require.NoError(m.s.t, err)
		x.settle(shot.State)
		if shot.State == broker.Owned && (x.owner == nil || x.owner.name != shot.Owner) {
			m.taken(x, m.names[shot.Owner]) // by a Receive that has ended: the worker hears of it the next time
		}
		require.Equal(m.s.t, x.state, shot.State, "state of %q", id)
		require.Equal(m.s.t, x.rev, shot.Rev, "revision of %q", id)
		if x.state == broker.Owned {
			require.Equal(m.s.t, x.owner.name, shot.Owner)
		}
		if x.state != broker.Finished {
			x.equal(m.s.t, shot.Record)
		}
	}
}

// drain lets all workers leave and one that comes last finish each saga.
func (m *machine) drain() {
	for _, w := range m.workers {
		m.retire(w)
	}
	last := m.add("the last")
	for m.prod() {
		m.received(last, m.s.receive(last, 2))
		for _, x := range m.sagas {
			if x.owner == last && x.known {
				m.send(last, broker.Transition{ID: x.id, Rev: x.rev, Next: broker.Finish, Keep: 10_000 * time.Hour})
			}
		}
	}
	m.compare()
}

// prod makes ready what waits, and tells whether there is something to do.
func (m *machine) prod() bool {
	m.compare()
	open := false
	for _, x := range m.sagas {
		open = open || x.state != 0 && x.state != broker.Finished
		switch {
		case x.state == broker.Buried:
			m.s.resolve(x)
		case x.waiting():
			ev := fmt.Sprint("prod at ", x.rev)
			require.NoError(m.s.t, m.s.tryDeliver(x.id, event(ev)))
			x.deliver(ev)
		}
	}
	return open
}
