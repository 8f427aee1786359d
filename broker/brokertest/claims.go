package brokertest

import (
	"errors"
	"slices"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
)

func claimCases() []testCase {
	return []testCase{
		{name: "claims/one saga after the other holds a key", run: oneAfterTheOther},
		{name: "claims/keys are taken in order", run: keysInOrder},
		{name: "claims/a refused start leaves nothing", run: refusedStart},
		{name: "claims/a start that is refused or exists", run: refusedOrExists},
		{name: "claims/a saga that waits and ends", run: waitsAndEnds},
		{name: "claims/a key is held until the end", run: heldUntilTheEnd},
		{name: "claims/a worker owns what it starts", run: ownedClaims},
		{name: "claims/a repeated start claims once", run: claimsOnce},
		{name: "claims/an id that is used again", run: claimsAgain},
		{name: "claims/a saga that another one starts", run: startedClaims},
		{name: "claims/mistakes", run: wrongClaims},
	}
}

// claiming is a start with claims.
func claiming(id string, keys ...string) broker.Start {
	start := saga(id)
	start.Claims = keys
	return start
}

// claim starts sagas with the same claims, one after the other.
func (s *suite) claim(keys []string, ids ...string) {
	s.t.Helper()
	for _, id := range ids {
		_, err := s.tryStart(claiming(id, keys...))
		require.NoError(s.t, err)
	}
}

func (s *suite) claimants(key string) []string {
	s.t.Helper()
	ids, err := s.b.Claimants(s.ctx, key, 10)
	require.NoError(s.t, err)
	return ids
}

// claimed waits until a key is claimed by these sagas, the holder first.
func (s *suite) claimed(key string, ids ...string) {
	s.t.Helper()
	var got []string
	s.eventually(func() bool { got = s.claimants(key); return slices.Equal(got, ids) }, key)
}

// begin takes a saga and, if it waits, parks it until it holds what it claims. It gives its revision then.
func (s *suite) begin(w broker.Worker, id string) uint64 {
	s.t.Helper()
	for {
		r := s.take(w)
		require.Equal(s.t, id, r.ID)
		granted := !r.Waits
		for _, ev := range r.Mail {
			granted = granted || ev.Kind == broker.Granted
		}
		if granted {
			return r.Rev
		}
		s.park(w, r.ID, r.Rev)
	}
}

// park parks a saga that waits.
func (s *suite) park(w broker.Worker, id string, rev uint64) {
	s.t.Helper()
	ack := s.commit(w, broker.Transition{ID: id, Rev: rev, Next: broker.Park})
	require.False(s.t, ack.Owned)
}

func oneAfterTheOther(s *suite) {
	w := s.worker()
	started, err := s.tryStart(claiming("a", "k"))
	require.NoError(s.t, err)
	assert.True(s.t, !started.Waits || s.h.Spread)
	rev := s.begin(w, "a")
	started, err = s.tryStart(claiming("b", "k"))
	require.NoError(s.t, err)
	assert.True(s.t, started.Waits || started.Existed)
	s.claim([]string{"k"}, "c")
	s.claimed("k", "a", "b", "c")
	for range 2 {
		r := s.take(w)
		require.True(s.t, r.Waits)
		require.Empty(s.t, r.Mail)
		s.park(w, r.ID, r.Rev)
	}
	s.nothing(w)
	assert.True(s.t, s.lookup("b").Waits)
	assert.True(s.t, !s.lookup("a").Waits || s.h.Spread)

	s.finish(w, "a", rev)
	s.claimed("k", "b", "c")
	require.EqualValues(s.t, 2, s.begin(w, "b"))
	s.nothing(w)
	s.finish(w, "b", 2)
	s.finish(w, "c", s.begin(w, "c"))
	s.claimed("k")
	s.claim([]string{"k"}, "d")
	s.begin(w, "d")
}

// keysInOrder has "b" wait for the first of its keys, so that it does not hold the second.
func keysInOrder(s *suite) {
	w := s.worker()
	s.claim([]string{"k1"}, "a")
	s.claimed("k1", "a")
	s.claim([]string{"k1", "k2", "k3"}, "b")
	s.claim([]string{"k2"}, "c")
	s.claim([]string{"k3"}, "d")
	s.claimed("k1", "a", "b")
	s.claimed("k2", "c")
	s.claimed("k3", "d")
	revs := map[string]uint64{}
	for range 4 {
		r := s.take(w)
		if revs[r.ID] = r.Rev; r.ID == "b" {
			s.park(w, "b", 1)
		}
	}
	s.finish(w, "a", revs["a"])
	s.claimed("k1", "b")
	s.claimed("k2", "c", "b")
	s.finish(w, "d", s.granted(w, "d", revs["d"]))
	s.claimed("k3")
	s.nothing(w)
	s.finish(w, "c", s.granted(w, "c", revs["c"]))
	rev := s.begin(w, "b")
	for _, key := range []string{"k1", "k2", "k3"} {
		s.claimed(key, "b")
	}
	s.finish(w, "b", rev)
	for _, key := range []string{"k1", "k2", "k3"} {
		s.claimed(key)
	}
}

// granted gives the revision of an owned saga once it holds what it claims: where that takes a while, it parks.
func (s *suite) granted(w broker.Worker, id string, rev uint64) uint64 {
	s.t.Helper()
	shot := s.lookup(id)
	if !shot.Waits {
		return rev
	}
	ack := s.commit(w, broker.Transition{ID: id, Rev: rev, Next: broker.Park})
	if ack.Owned {
		require.Equal(s.t, []string{broker.Granted}, eventIDs(ack.Mail))
		return ack.Rev
	}
	return s.begin(w, id)
}

func refusedStart(s *suite) {
	s.claim([]string{"k2"}, "holder")
	s.claimed("k2", "holder")
	refused := claiming("b", "k1", "k2", "k3")
	refused.Refuse = true
	_, err := s.tryStart(refused)
	require.ErrorIs(s.t, err, broker.ErrLocked)
	var locked *broker.LockedError
	require.ErrorAs(s.t, err, &locked)
	assert.Equal(s.t, broker.LockedError{Key: "k2", Holder: "holder"}, *locked)
	_, err = s.tryLookup("b")
	assert.ErrorIs(s.t, err, broker.ErrUnknown)
	s.claimed("k1")
	s.claimed("k2", "holder")
	s.claimed("k3")
}

func refusedOrExists(s *suite) {
	w := s.worker()
	first, second := claiming("a", "k1", "k2"), claiming("b", "k2", "k3")
	first.Refuse, second.Refuse = true, true
	started, err := s.tryStart(first)
	require.NoError(s.t, err)
	require.False(s.t, started.Waits)
	assert.False(s.t, s.take(w).Waits)
	_, err = s.tryStart(second)
	require.ErrorIs(s.t, err, broker.ErrLocked)
	s.claimed("k3")
	s.finish(w, "a", 1)
	_, err = s.tryStart(second)
	require.NoError(s.t, err)
	s.claimed("k2", "b")
	started, err = s.tryStart(first) // it has ended, and needs nothing
	require.NoError(s.t, err)
	assert.True(s.t, started.Existed)
	assert.Equal(s.t, broker.Finished, started.State)
	second.Digest[31]++
	_, err = s.tryStart(second)
	assert.ErrorIs(s.t, err, broker.ErrConflict)
	s.claimed("k1")
	s.claimed("k2", "b")
}

func waitsAndEnds(s *suite) {
	w := s.worker()
	s.claim([]string{"k1", "k2"}, "a")
	s.claimed("k2", "a")
	rev := s.begin(w, "a")
	s.claim([]string{"k2", "k3"}, "b", "c")
	s.claimed("k2", "a", "b", "c")
	for range 2 {
		r := s.take(w)
		s.park(w, r.ID, r.Rev)
	}
	s.deliver("b", "cancel")
	r := s.take(w)
	require.Equal(s.t, "b", r.ID)
	s.finish(w, "b", r.Rev)
	s.claimed("k2", "a", "c")
	s.claimed("k3")
	s.nothing(w)
	s.finish(w, "a", rev)
	s.finish(w, "c", s.begin(w, "c"))
	s.claimed("k2")
}

func heldUntilTheEnd(s *suite) {
	w := s.worker()
	s.claim([]string{"k"}, "a")
	s.claimed("k", "a")
	rev := s.begin(w, "a")
	s.claim([]string{"k"}, "b")
	r := s.take(w)
	s.park(w, "b", r.Rev)
	s.commit(w, broker.Transition{ID: "a", Rev: rev, Next: broker.Park})
	s.deliver("a", "e")
	r = s.take(w)
	s.commit(w, broker.Transition{ID: "a", Rev: r.Rev, Next: broker.GiveBack, Consume: eventIDs(r.Mail)})
	r = s.take(w)
	require.Equal(s.t, "a", r.ID)
	s.commit(w, broker.Transition{ID: "a", Rev: r.Rev, Next: broker.Hold})
	s.deliver("a", "f")
	r = s.take(w)
	s.commit(w, broker.Transition{ID: "a", Rev: r.Rev, Next: broker.Bury, Outcome: []byte("dead")})
	s.nothing(w)
	s.claimed("k", "a", "b")
	require.NoError(s.t, s.tryResolve("a", r.Rev+1, "go on"))
	require.Equal(s.t, "a", s.take(w).ID)

	dead, living := w, s.worker()
	s.kill(dead)
	r = s.take(living)
	require.Equal(s.t, "a", r.ID)
	s.claimed("k", "a", "b")
	s.finish(living, "a", r.Rev)
	s.finish(living, "b", s.begin(living, "b"))
	s.claimed("k")
}

func ownedClaims(s *suite) {
	w := s.worker()
	for _, id := range []string{"a", "b"} {
		start := claiming(id, "k")
		start.By = w
		started, err := s.tryStart(start)
		require.NoError(s.t, err)
		require.Equal(s.t, broker.Owned, started.State)
		if !started.Owned {
			require.False(s.t, s.plain)
			require.Equal(s.t, id, s.take(w).ID)
		} else if id == "b" {
			require.True(s.t, started.Waits)
		}
	}
	s.claimed("k", "a", "b")
	s.finish(w, "a", s.granted(w, "a", 1))
	s.claimed("k", "b")
	s.news(w, "b", broker.Granted)
	ack := s.commit(w, broker.Transition{ID: "b", Rev: 1, Next: broker.Park})
	require.True(s.t, ack.Owned)
	assert.Equal(s.t, []string{broker.Granted}, eventIDs(ack.Mail))
	assert.Equal(s.t, broker.Granted, ack.Mail[0].Kind)
	s.finish(w, "b", 2)
	s.claimed("k")
}

func claimsOnce(s *suite) {
	w := s.worker()
	for range 2 {
		s.claim([]string{"k"}, "a", "b")
	}
	s.claimed("k", "a", "b")
	s.finish(w, "a", s.begin(w, "a"))
	s.claim([]string{"k"}, "a")
	s.claimed("k", "b")
	s.finish(w, "b", s.begin(w, "b"))
	s.claim([]string{"k"}, "a", "b")
	s.claimed("k")
}

// claimsAgain uses an ID again that was forgotten while it waited.
func claimsAgain(s *suite) {
	w := s.worker()
	s.claim([]string{"k"}, "a")
	s.claimed("k", "a")
	rev := s.begin(w, "a")
	s.claim([]string{"k"}, "b")
	r := s.take(w)
	_, err := s.tryCommit(w, broker.Transition{ID: "b", Rev: r.Rev, Next: broker.Finish, Keep: time.Millisecond})
	require.True(s.t, err == nil || errors.Is(err, broker.ErrStale), "a repeat may come when it is forgotten: %v", err)
	s.claimed("k", "a")
	s.eventually(func() bool { _, err := s.tryLookup("b"); return err != nil }, "b is forgotten")
	s.claim([]string{"k"}, "b")
	s.claimed("k", "a", "b")
	r = s.take(w)
	require.Empty(s.t, r.Mail)
	s.park(w, "b", r.Rev)
	s.nothing(w)
	s.finish(w, "a", rev)
	s.finish(w, "b", s.begin(w, "b"))
}

func startedClaims(s *suite) {
	w := s.worker()
	s.claim([]string{"k"}, "a")
	s.claimed("k", "a")
	rev := s.begin(w, "a")
	s.own(w, "parent")
	child := claiming("child", "k", "l")
	s.commit(w, broker.Transition{ID: "parent", Rev: 1, Next: broker.Finish, Keep: time.Hour, Send: []broker.Message{{ID: "m", To: "child", Start: &child}}})
	s.claimed("k", "a", "child")
	r := s.take(w)
	require.True(s.t, r.Waits)
	s.park(w, "child", r.Rev)
	s.finish(w, "a", rev)
	rev = s.begin(w, "child")
	s.claimed("l", "child")
	s.finish(w, "child", rev)
	s.claimed("k")
	s.claimed("l")
}

func wrongClaims(s *suite) {
	w := s.worker()
	for _, keys := range [][]string{{"k", "k"}, {"k2", "k1"}} {
		_, err := s.tryStart(claiming("a", keys...))
		assert.Error(s.t, err)
	}
	s.own(w, "parent")
	child := claiming("child", "k")
	child.Refuse = true
	_, err := s.tryCommit(w, broker.Transition{ID: "parent", Rev: 1, Send: []broker.Message{{ID: "m", To: "child", Start: &child}}})
	assert.Error(s.t, err)
	s.claimed("k")
	if r, ok := s.bare.(broker.Restorer); ok {
		shot := broker.Snapshot{State: broker.Ready}
		shot.Start, shot.Rev = claiming("a", "k"), 1
		assert.Error(s.t, r.Restore(s.ctx, shot, "call"))
	}
	_, err = s.tryLookup("a")
	assert.ErrorIs(s.t, err, broker.ErrUnknown)
}
