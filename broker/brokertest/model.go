package brokertest

import (
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
)

// modelSaga is what a broker ought to know of a saga. The zero state is before the start.
type modelSaga struct {
	id        string
	state     broker.State
	rev       uint64
	journal   []broker.Entry
	memo      string
	mail      []string // event IDs
	seen      map[string]bool
	rejected  map[string]bool // builds
	takeovers int
	wake      time.Time
	owner     *modelWorker
	known     bool         // the owner has been told that it is
	last      *modelWorker // made the last transition
	kept      bool         // which left it the saga
}

// modelWorker is a worker and what became of it.
type modelWorker struct {
	broker.Worker
	name, build string
	gone        bool      // left
	asks        bool      // its last Receive ended with nothing; sagas may still be taken for it
	lapses      time.Time // of a dead one: nothing is taken over before
}

func newModelSaga(id string) *modelSaga {
	return &modelSaga{id: id, seen: make(map[string]bool), rejected: make(map[string]bool)}
}

func (x *modelSaga) start(by *modelWorker) {
	x.state, x.rev = broker.Ready, 1
	if by != nil && !by.gone {
		x.own(by)
	}
}

func (x *modelSaga) own(w *modelWorker) {
	x.state, x.owner, x.known = broker.Owned, w, false
}

func (x *modelSaga) waiting() bool { return x.state == broker.Parked || x.state == broker.Held }

// free says that a worker may take the saga, now or when its time has come.
func (x *modelSaga) free() bool {
	return x.state == broker.Ready || x.waiting() || x.state == broker.Owned && !x.owner.lapses.IsZero()
}

func (x *modelSaga) ready() { x.state, x.owner = broker.Ready, nil }

func (x *modelSaga) deliver(ev string) {
	if x.state == broker.Finished || x.seen[ev] {
		return
	}
	x.seen[ev] = true
	x.mail = append(x.mail, ev)
	if x.waiting() {
		x.ready()
	}
}

func (x *modelSaga) allSeen(events []string) bool {
	return !slices.ContainsFunc(events, func(ev string) bool { return !x.seen[ev] })
}

// settle lets the saga become ready, if that is what was seen and its time has come.
func (x *modelSaga) settle(seen broker.State) {
	switch {
	case seen != broker.Ready:
	case x.waiting() && !x.wake.IsZero() && !time.Now().Before(x.wake):
		x.ready()
	case x.state == broker.Owned && !x.owner.lapses.IsZero() && !time.Now().Before(x.owner.lapses):
		x.ready()
		x.takeovers++
	}
}

// commit answers what a broker ought to, and does it.
func (x *modelSaga) commit(w *modelWorker, t broker.Transition) (broker.Ack, error) {
	switch {
	case w.gone:
		return broker.Ack{}, broker.ErrFenced
	case x.owner == w && x.rev == t.Rev:
		x.apply(t)
	case x.last != w || x.rev != t.Rev+1:
		return broker.Ack{}, broker.ErrStale
	}
	return broker.Ack{Rev: x.rev, Owned: x.kept}, nil
}

func (x *modelSaga) apply(t broker.Transition) {
	x.rev++
	x.journal = append(x.journal, t.Append...)
	if t.Memo != nil {
		x.memo = string(t.Memo)
	}
	x.mail = slices.DeleteFunc(x.mail, func(ev string) bool { return slices.Contains(t.Consume, ev) })
	x.last, x.takeovers = x.owner, 0
	x.move(t)
	x.kept = x.state == broker.Owned
}

func (x *modelSaga) move(t broker.Transition) {
	switch t.Next {
	case broker.Park:
		x.park(broker.Parked, t.Until)
	case broker.Hold:
		x.park(broker.Held, t.Until)
	case broker.Bury:
		x.state, x.owner = broker.Buried, nil
	case broker.Finish:
		x.state, x.owner, x.mail = broker.Finished, nil, nil
	case broker.Reject:
		x.rejected[x.owner.build] = true
		x.ready()
	case broker.GiveBack:
		x.ready()
	}
}

func (x *modelSaga) park(state broker.State, until time.Time) {
	if len(x.mail) == 0 {
		x.state, x.owner, x.wake = state, nil, until
	}
}

// equal checks what a broker says of the saga.
func (x *modelSaga) equal(t tester, r broker.Record) {
	t.Helper()
	require.Equal(t, saga(x.id), r.Start)
	require.Equal(t, x.rev, r.Rev, "revision of %q", x.id)
	require.Equal(t, x.takeovers, r.Takeovers, "takeovers of %q", x.id)
	x.equalMail(t, r.Mail)
	require.Equal(t, len(x.journal), len(r.Journal), "journal of %q", x.id)
	require.Equal(t, x.memo, string(r.Memo), "memo of %q", x.id)
	for i := range x.journal {
		require.Equal(t, x.journal[i], r.Journal[i], "journal of %q", x.id)
	}
}

func (x *modelSaga) equalMail(t tester, mail []broker.Event) {
	t.Helper()
	got := eventIDs(mail)
	require.True(t, slices.Equal(x.mail, got), "mail of %q is %q, want %q", x.id, got, x.mail)
}
