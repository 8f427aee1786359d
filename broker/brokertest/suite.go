package brokertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokerfault"
)

// suite is a case that runs. Its verbs make calls of the broker: they repeat what was made to fail, as the contract
// asks of callers, and fail the test when the broker does.
type suite struct {
	t     tester
	ctx   context.Context
	h     Harness
	plain bool // nothing happens to calls
	bare  broker.Broker
	b     broker.Broker // bare behind faults
	kill  func(broker.Worker)
}

// tester is what testing.T and rapid.T have in common.
type tester interface {
	require.TestingT
	Helper()
	Cleanup(func())
	Context() context.Context
}

// newSuite makes a broker with faults. test is the test that runs, current what to fail: test itself, or one check
// of a property.
func newSuite(test *testing.T, current tester, h Harness, l Limits, faults brokerfault.Options) *suite {
	bare := h.New(test, l)
	current.Cleanup(func() { require.NoError(test, bare.Close()) })
	return &suite{
		t: current, ctx: current.Context(), h: h, plain: len(faults.Rules)+len(faults.Odds) == 0, bare: bare,
		b:    brokerfault.Wrap(bare, faults),
		kill: func(w broker.Worker) { h.Kill(test, bare, brokerfault.Unwrap(w)) },
	}
}

// order is the flow that sagas run and workers serve, unless a case says otherwise.
func order() broker.Served { return broker.Served{Flow: "order", Version: 1} }

// insist repeats a call as long as it was made to fail.
func insist[R any](call func() (R, error)) (R, error) {
	for {
		reply, err := call()
		if !errors.Is(err, brokerfault.ErrInjected) {
			return reply, err
		}
	}
}

// insisted is insist for calls without a reply.
func insisted(call func() error) error {
	_, err := insist(func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// join makes a worker; zero fields of m get values.
func (s *suite) join(m broker.Member) broker.Worker {
	s.t.Helper()
	m.Build = cmp.Or(m.Build, "build")
	m.Lease = cmp.Or(m.Lease, s.h.Lease)
	if m.Flows == nil {
		m.Flows = []broker.Served{order()}
	}
	w, err := insist(func() (broker.Worker, error) { return s.b.Join(s.ctx, m) })
	require.NoError(s.t, err)
	return w
}

// worker joins a worker with nothing special.
func (s *suite) worker() broker.Worker {
	s.t.Helper()
	return s.join(broker.Member{Name: "worker"})
}

// saga is a start of the flow order.
func saga(id string) broker.Start {
	return broker.Start{
		ID: id, Served: order(), Digest: [32]byte{1, 2, 3}, Record: []byte("record of " + id), Parent: "parent of " + id,
	}
}

func (s *suite) tryStart(start broker.Start) (broker.Started, error) {
	return insist(func() (broker.Started, error) { return s.b.Start(s.ctx, start) })
}

// start queues sagas.
func (s *suite) start(ids ...string) {
	s.t.Helper()
	for _, id := range ids {
		_, err := s.tryStart(saga(id))
		require.NoError(s.t, err)
	}
}

// own starts a saga that w owns at revision 1. If the reply of the start is lost, Receive hands it out.
func (s *suite) own(w broker.Worker, id string) {
	s.t.Helper()
	start := saga(id)
	start.By = w
	started, err := s.tryStart(start)
	require.NoError(s.t, err)
	require.Equal(s.t, broker.Owned, started.State)
	if !started.Owned {
		require.False(s.t, s.plain, "a saga that was started by a worker is not owned by it")
		require.Equal(s.t, id, s.take(w).ID)
	}
}

// receive waits for at least one delivery.
func (s *suite) receive(w broker.Worker, room int) []broker.Delivery {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, s.h.Patience)
	defer cancel()
	deliveries, err := insist(func() ([]broker.Delivery, error) { return w.Receive(ctx, room) })
	require.NoError(s.t, err)
	require.NotEmpty(s.t, deliveries)
	return deliveries
}

// take waits for a saga, and passes over mail.
func (s *suite) take(w broker.Worker) *broker.Record {
	s.t.Helper()
	for {
		for _, d := range s.receive(w, 1) {
			require.False(s.t, d.Lost)
			if d.Saga != nil {
				require.Equal(s.t, d.ID, d.Saga.ID)
				return d.Saga
			}
		}
	}
}

// takeAll waits for sagas until it has got them all, and gives their IDs in the order in which they came.
func (s *suite) takeAll(w broker.Worker, sagas int) []string {
	s.t.Helper()
	var ids []string
	for len(ids) < sagas {
		ids = append(ids, s.take(w).ID)
	}
	return ids
}

// news waits until w has been told of mail for id with all these event IDs.
func (s *suite) news(w broker.Worker, id string, events ...string) {
	s.t.Helper()
	for told := []string(nil); !containsAll(told, events); {
		for _, d := range s.receive(w, 0) {
			require.Nil(s.t, d.Saga, "there was no room for a saga")
			if d.ID == id {
				told = append(told, eventIDs(d.Mail)...)
			}
		}
	}
}

// nothing checks that w gets no saga for a moment.
func (s *suite) nothing(w broker.Worker) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, s.h.Moment)
	defer cancel()
	for {
		deliveries, err := insist(func() ([]broker.Delivery, error) { return w.Receive(ctx, 10) })
		if err != nil {
			require.ErrorIs(s.t, err, context.DeadlineExceeded)
			return
		}
		for _, d := range deliveries {
			require.Nil(s.t, d.Saga, "saga %q was handed out", d.ID)
		}
	}
}

func (s *suite) tryCommit(w broker.Worker, t broker.Transition) (broker.Ack, error) {
	return insist(func() (broker.Ack, error) { return w.Commit(s.ctx, t) })
}

func (s *suite) commit(w broker.Worker, t broker.Transition) broker.Ack {
	s.t.Helper()
	ack, err := s.tryCommit(w, t)
	require.NoError(s.t, err)
	require.Equal(s.t, t.Rev+1, ack.Rev)
	return ack
}

func (s *suite) finish(w broker.Worker, id string, rev uint64) {
	s.t.Helper()
	s.commit(w, broker.Transition{ID: id, Rev: rev, Next: broker.Finish, Outcome: []byte("done"), Keep: time.Hour})
}

func (s *suite) leave(w broker.Worker) error {
	return insisted(func() error { return w.Leave(s.ctx) })
}

func (s *suite) tryDeliver(id string, ev broker.Event) error {
	return insisted(func() error { return s.b.Deliver(s.ctx, id, ev) })
}

// deliver sends events with these IDs.
func (s *suite) deliver(id string, events ...string) {
	s.t.Helper()
	for _, ev := range events {
		require.NoError(s.t, s.tryDeliver(id, event(ev)))
	}
}

// event is one with everything in it.
func event(id string) broker.Event {
	return broker.Event{
		ID: id, Kind: "signal", Name: "name of " + id, Data: []byte("data of " + id), At: time.Unix(1e9, 0).UTC(),
	}
}

func (s *suite) tryResolve(id string, rev uint64, decision string) error {
	return insisted(func() error { return s.b.Resolve(s.ctx, id, rev, event(decision)) })
}

func (s *suite) tryLookup(id string) (broker.Snapshot, error) {
	return insist(func() (broker.Snapshot, error) { return s.b.Lookup(s.ctx, id, true) })
}

// lookup reads a saga with its journal.
func (s *suite) lookup(id string) broker.Snapshot {
	s.t.Helper()
	shot, err := s.tryLookup(id)
	require.NoError(s.t, err)
	return shot
}

func (s *suite) state(id string) broker.State {
	s.t.Helper()
	return s.lookup(id).State
}

func (s *suite) stats() broker.Stats {
	s.t.Helper()
	stats, err := insist(func() (broker.Stats, error) { return s.b.Stats(s.ctx) })
	require.NoError(s.t, err)
	return stats
}

// list walks, and after an error goes on from where it was.
func (s *suite) list(f broker.Filter) []string {
	s.t.Helper()
	var ids []string
	err := insisted(func() error {
		for shot, err := range s.b.List(s.ctx, f) {
			if err != nil {
				return err
			}
			ids = append(ids, shot.ID)
			f.After = shot.ID
		}
		return nil
	})
	require.NoError(s.t, err)
	return ids
}

// elapse lets time pass.
func (s *suite) elapse(d time.Duration) {
	time.Sleep(d)
	if s.h.Virtual {
		synctest.Wait()
	}
}

// later does something after a moment, when the caller has begun to wait.
func (s *suite) later(do func()) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(s.h.Moment)
		do()
	}()
	return done
}

// settle lets what runs come to rest, as far as that can be known.
func (s *suite) settle() {
	if s.h.Virtual {
		synctest.Wait()
		return
	}
	time.Sleep(s.h.Moment / 10)
}

// eventually waits for a condition.
func (s *suite) eventually(holds func() bool, what string) {
	s.t.Helper()
	for begin := time.Now(); !holds(); time.Sleep(s.h.Patience / 1000) {
		require.Less(s.t, time.Since(begin), s.h.Patience, what)
	}
}

func eventIDs(events []broker.Event) []string {
	var ids []string
	for _, ev := range events {
		ids = append(ids, ev.ID)
	}
	return ids
}

func containsAll(all, some []string) bool {
	return !slices.ContainsFunc(some, func(x string) bool { return !slices.Contains(all, x) })
}

// entries are facts of a journal with these paths.
func entries(paths ...string) []broker.Entry {
	var entries []broker.Entry
	for _, path := range paths {
		entries = append(entries, broker.Entry{Path: path, Data: []byte(fmt.Sprintf("data of %s", path))})
	}
	return entries
}
