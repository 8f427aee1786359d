// Package brokertest proves that a broker keeps the contract of package broker. A broker's own test is one call:
//
//	func TestBroker(t *testing.T) {
//		brokertest.Run(t, brokertest.Harness{
//			New:     func(t *testing.T, l brokertest.Limits) broker.Broker { return inmem.New(...) },
//			Kill:    func(t *testing.T, b broker.Broker, w broker.Worker) { b.(*inmem.Broker).Kill(w) },
//			Virtual: true,
//		})
//	}
//
// # Cases
//
// Every case runs three times: plainly; with the reply of every call lost once, and the call repeated; and with every
// call made twice. In the last two a wrapper of package brokerfault stands between the case and the broker.
//
//   - start: a start is stored and handed out; a repeated start changes nothing; the ID of another saga is a conflict;
//     a worker owns what it starts; what a dead worker starts is queued; the backlog is limited; bytes are copied
//   - receive: flows and versions; oldest first; no more than room; a blocked worker wakes; workers share; each saga
//     wakes a worker that takes it; no wake-up is lost, also when the wait ends or the worker leaves that was woken
//   - commit: the journal grows; a resent commit is acknowledged, after each way on; a stale commit; a fenced commit;
//     a refused commit leaves no trace; messages are sent with a commit, once, to sagas in every state; an event that
//     two commits send; a child that exists stays as it is
//   - lease: takeover after the lease and not before; takeovers are counted; a worker that leaves gives back; a saga
//     that is given back; a rejected saga; a stranded saga; a dead worker's calls end
//   - park: by time; in the order of times; until the past; by mail; mail wins over the time; park and hold crossing
//     with mail; with mail in the commit's own message
//   - mail: for an owned saga; for the next owner; before the start; once; in order; for a finished saga; early mail
//     is kept for a time, and is limited
//   - end: watched before and after; twice and no longer; a watcher is told once; a held saga is released, or wakes; a
//     buried saga is resolved, and keeps its mail; a finished saga is forgotten
//   - read: lookup; list in order, selected, in part; statistics
//   - claims: one saga holds a key at a time, in order of start; keys are taken one after the other; a refused start leaves nothing; a saga
//     that waits and ends; what holds a key until the end; a worker that owns what it starts; a repeated start
//   - restore, of a broker.Restorer: in every state; an ID that is taken; a repeat; early mail; a large journal; watchers are told
//   - close: blocked calls end; later calls fail; in the middle of everything; a call whose time is up
//
// Besides there are a property test of random operations against a model, with seeds that can be replayed
// (-rapid.seed, -rapid.checks), and a stress test of many goroutines, for the race detector.
package brokertest

import (
	"cmp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokerfault"
)

// Harness is what the suite needs to know of a broker.
type Harness struct {
	// New makes an empty broker. The suite closes it.
	New func(t *testing.T, l Limits) broker.Broker

	// Kill ends the signs of life of w, a worker of b, as if its process had died without a word. When its sagas have
	// been taken over, calls of w fail with broker.ErrFenced; until then they may fail or be obeyed.
	Kill func(t *testing.T, b broker.Broker, w broker.Worker)

	// Virtual runs each case in a testing/synctest bubble, where waiting takes no time.
	Virtual bool

	// Lease is what workers join with: 10 s by default.
	Lease time.Duration

	// Slack is by how much a takeover may be earlier than a lease after the death, because the lease counts from
	// the last sign of life.
	Slack time.Duration

	// Spread says that the broker spreads sagas over parts of itself, so that its limits hold in each part, and a worker may own
	// sagas for a moment before Receive hands them out. The suite then leaves out the limits and the random operations, whose
	// model knows where each saga is.
	Spread bool

	// Patience is how long the suite waits for what must happen: 10 leases by default.
	Patience time.Duration

	// Moment is how long the suite watches that something does not happen: 50 ms by default.
	Moment time.Duration
}

// Limits are options of a broker that some cases need. Zero fields are the broker's defaults.
type Limits struct {
	Backlog   int           // of ready sagas
	EarlyFor  time.Duration // how long mail waits for the start of its saga
	EarlyMail int           // how many such events are kept
}

// Run runs all cases, the property test and the stress test as subtests of t, in real time side by side. At the end
// no goroutine may be left.
func Run(t *testing.T, h Harness) {
	h.Lease = cmp.Or(h.Lease, 10*time.Second)
	h.Patience = cmp.Or(h.Patience, 10*h.Lease)
	h.Moment = cmp.Or(h.Moment, 50*time.Millisecond)
	running := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, running) })
	for _, c := range cases(h) {
		if h.Spread && c.limits != (Limits{}) && c.limits.EarlyFor == 0 {
			continue
		}
		t.Run(c.name, func(t *testing.T) { c.inAllModes(t, h) })
	}
	if !h.Spread {
		t.Run("random operations", func(t *testing.T) { h.parallel(t); randomOperations(t, h) })
	}
	t.Run("random claims", func(t *testing.T) { h.parallel(t); randomClaims(t, h) })
	t.Run("stress", func(t *testing.T) { h.parallel(t); stress(t, h) })
}

// testCase is one thing that a broker must do.
type testCase struct {
	name   string
	run    func(*suite)
	limits Limits
}

func (c testCase) inAllModes(t *testing.T, h Harness) {
	h.parallel(t)
	for _, m := range modes() {
		t.Run(m.name, func(t *testing.T) { c.in(t, h, m) })
	}
}

func cases(h Harness) []testCase {
	return slices.Concat(startCases(), receiveCases(), commitCases(), leaseCases(), parkCases(), mailCases(h), endCases(),
		readCases(), claimCases(), restoreCases(), closeCases())
}

// mode is what happens to the calls of a case.
type mode struct {
	name  string
	rules []brokerfault.Rule
}

func modes() []mode {
	return []mode{
		{"plain", nil},
		{"reply lost", []brokerfault.Rule{{Try: 1, Fault: brokerfault.Lose}}},
		{"sent twice", []brokerfault.Rule{{Fault: brokerfault.Repeat}}},
	}
}

func (c testCase) in(t *testing.T, h Harness, m mode) {
	h.bubble(t, func(t *testing.T) {
		c.run(newSuite(t, t, h, c.limits, brokerfault.Options{Rules: m.rules}))
	})
}

// parallel lets tests that take real time run side by side.
func (h Harness) parallel(t *testing.T) {
	if !h.Virtual {
		t.Parallel()
	}
}

// bubble runs f in a bubble of its own if time is virtual.
func (h Harness) bubble(t *testing.T, f func(*testing.T)) {
	if h.Virtual {
		synctest.Test(t, f)
		return
	}
	f(t)
}
