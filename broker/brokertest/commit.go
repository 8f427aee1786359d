package brokertest

import (
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
)

func commitCases() []testCase {
	cases := []testCase{
		{name: "commit/the journal grows", run: journalGrows},
		{name: "commit/a memo is replaced", run: memoIsReplaced},
		{name: "commit/a stale commit", run: staleCommit},
		{name: "commit/a fenced commit", run: fencedCommit},
		{name: "commit/a refused commit leaves no trace", run: refusedCommit},
		{name: "commit/messages are sent with a commit, once", run: messages},
		{name: "commit/messages to sagas in every state", run: messagesToAll},
		{name: "commit/an event that is sent twice", run: sameEvent},
		{name: "commit/a child that exists stays as it is", run: existingChild},
	}
	for next, name := range ways() {
		cases = append(cases, testCase{
			name: "commit/a resent commit is acknowledged/" + name, run: resentCommit(broker.Next(next)),
		})
	}
	return cases
}

// ways are the names of broker.Next.
func ways() []string {
	return []string{"keep", "park", "hold", "bury", "finish", "give back", "reject"}
}

func journalGrows(s *suite) {
	w := s.worker()
	s.own(w, "a")
	s.commit(w, broker.Transition{ID: "a", Rev: 1, Append: entries("one", "two")})
	s.commit(w, broker.Transition{ID: "a", Rev: 2})
	s.commit(w, broker.Transition{ID: "a", Rev: 3, Append: append(entries("three"), broker.Entry{Path: "empty"})})
	shot := s.lookup("a")
	assert.EqualValues(s.t, 4, shot.Rev)
	require.Len(s.t, shot.Journal, 4)
	assert.Equal(s.t, entries("one", "two", "three"), shot.Journal[:3])
	assert.Equal(s.t, "empty", shot.Journal[3].Path)
	assert.Empty(s.t, shot.Journal[3].Data)

	s.commit(w, broker.Transition{ID: "a", Rev: 4, Next: broker.GiveBack, Append: entries("four")})
	record := s.take(w)
	assert.EqualValues(s.t, 5, record.Rev)
	require.Len(s.t, record.Journal, 5)
	assert.Equal(s.t, entries("four"), record.Journal[4:])
	assert.Equal(s.t, saga("a").Record, record.Record)
}

// memoIsReplaced takes a saga and its memo through every way on.
func memoIsReplaced(s *suite) {
	w := s.worker()
	s.own(w, "a")
	require.Empty(s.t, s.lookup("a").Memo)
	memo := []byte("one")
	s.commit(w, broker.Transition{ID: "a", Rev: 1, Memo: memo})
	copy(memo, "---")
	assert.Equal(s.t, "one", string(s.lookup("a").Memo))
	s.commit(w, broker.Transition{ID: "a", Rev: 2, Append: entries("p")})
	assert.Equal(s.t, "one", string(s.lookup("a").Memo), "nil lets it stay")
	again := broker.Transition{ID: "a", Rev: 3, Next: broker.GiveBack, Memo: []byte("two, longer")}
	s.commit(w, again)
	s.commit(w, again)
	record := s.take(w)
	assert.Equal(s.t, "two, longer", string(record.Memo))
	assert.Equal(s.t, entries("p"), record.Journal)
	brief, err := insist(func() (broker.Snapshot, error) { return s.b.Lookup(s.ctx, "a", false) })
	require.NoError(s.t, err)
	assert.Empty(s.t, brief.Memo)

	_, err = s.tryCommit(w, broker.Transition{ID: "a", Rev: 2, Memo: []byte("stale")})
	require.ErrorIs(s.t, err, broker.ErrStale)
	var mail []string
	for rev, next := range []broker.Next{broker.Park, broker.Hold} {
		name := ways()[next]
		s.commit(w, broker.Transition{ID: "a", Rev: 4 + uint64(rev), Next: next, Outcome: []byte("o"), Memo: []byte(name), Consume: mail})
		s.deliver("a", name)
		mail = []string{name}
		assert.Equal(s.t, name, string(s.take(w).Memo))
	}
	s.commit(w, broker.Transition{ID: "a", Rev: 6, Memo: []byte{}})
	assert.Empty(s.t, s.lookup("a").Memo)
	s.commit(w, broker.Transition{ID: "a", Rev: 7, Memo: []byte("last")})
	s.commit(w, broker.Transition{ID: "a", Rev: 8, Next: broker.Finish, Keep: time.Hour})
	assert.Empty(s.t, s.lookup("a").Memo)
}

// resentCommit commits a transition twice, as a worker does that got no reply, whatever the saga did meanwhile.
func resentCommit(next broker.Next) func(*suite) {
	return func(s *suite) {
		w, other := s.worker(), s.join(broker.Member{Name: "other", Build: "other"})
		s.own(w, "a")
		transition := broker.Transition{
			ID: "a", Rev: 1, Next: next, Append: entries("p"), Outcome: []byte("outcome"), Keep: time.Hour,
			Send: []broker.Message{{ID: "m", To: "b", Event: new(event("e"))}},
		}
		first := s.commit(w, transition)
		assert.Equal(s.t, broker.Ack{Rev: 2, Owned: next == broker.Keep}, first)
		before := s.lookup("a")
		assert.Equal(s.t, first, s.commit(w, transition))
		assert.Equal(s.t, before, s.lookup("a"))

		_, err := s.tryCommit(other, transition)
		assert.ErrorIs(s.t, err, broker.ErrStale, "a repeat by another worker")
		s.start("b")
		assert.Equal(s.t, []string{"e"}, eventIDs(s.lookup("b").Mail))
	}
}

func staleCommit(s *suite) {
	w, other := s.worker(), s.worker()
	s.own(w, "a")
	s.commit(w, broker.Transition{ID: "a", Rev: 1, Append: entries("one")})
	s.commit(w, broker.Transition{ID: "a", Rev: 2, Append: entries("two")})
	s.start("queued")
	before := s.lookup("a")
	stale := map[string]error{}
	for name, t := range map[string]broker.Transition{
		"a resent commit, overtaken by its successor": {ID: "a", Rev: 1, Append: entries("one")},
		"a revision that is not yet":                  {ID: "a", Rev: 4, Append: entries("four")},
		"a saga that nobody owns":                     {ID: "queued", Rev: 1},
		"a saga that does not exist":                  {ID: "unknown", Rev: 1},
	} {
		_, stale[name] = s.tryCommit(w, t)
	}
	_, stale["a saga of another worker"] = s.tryCommit(other, broker.Transition{ID: "a", Rev: 3, Append: entries("three")})
	for name, err := range stale {
		assert.ErrorIs(s.t, err, broker.ErrStale, name)
	}
	assert.Equal(s.t, before, s.lookup("a"))
}

func fencedCommit(s *suite) {
	dead, left, living := s.worker(), s.worker(), s.worker()
	s.own(dead, "a")
	s.own(left, "b")
	require.NoError(s.t, s.leave(left))
	_, err := s.tryCommit(left, broker.Transition{ID: "b", Rev: 1, Append: entries("late")})
	assert.ErrorIs(s.t, err, broker.ErrFenced)
	s.kill(dead)
	s.takeAll(living, 2)
	for id, w := range map[string]broker.Worker{"a": dead, "b": left} {
		_, err := s.tryCommit(w, broker.Transition{ID: id, Rev: 1, Append: entries("late")})
		assert.ErrorIs(s.t, err, broker.ErrFenced)
		shot := s.lookup(id)
		assert.EqualValues(s.t, 1, shot.Rev)
		assert.Empty(s.t, shot.Journal)
	}
}

func refusedCommit(s *suite) {
	w := s.worker()
	s.own(w, "a")
	s.commit(w, broker.Transition{ID: "a", Rev: 1})
	s.deliver("a", "e")
	before := s.lookup("a")
	child := saga("child")
	refused := broker.Transition{
		ID: "a", Rev: 3, Append: entries("p"), Consume: []string{"e"}, Next: broker.Finish, Outcome: []byte("no"), Keep: time.Hour,
		Send: []broker.Message{{ID: "1", To: "child", Start: &child}, {ID: "2", To: "other", Event: new(event("x"))}},
	}
	_, err := s.tryCommit(w, refused)
	require.ErrorIs(s.t, err, broker.ErrStale)
	refused.Rev = 2
	refused.Send = append(refused.Send, broker.Message{ID: "3", To: "neither start nor event"})
	_, err = s.tryCommit(w, refused)
	require.Error(s.t, err)

	assert.Equal(s.t, before, s.lookup("a"))
	_, err = s.tryLookup("child")
	assert.ErrorIs(s.t, err, broker.ErrUnknown)
	s.start("other")
	assert.Empty(s.t, s.lookup("other").Mail)
}

func messages(s *suite) {
	w := s.worker()
	s.own(w, "parent")
	child, ignored := saga("child"), saga("with by")
	ignored.By = brokerWorker(s)
	transition := broker.Transition{ID: "parent", Rev: 1, Next: broker.Park, Send: []broker.Message{
		{ID: "1", To: "child", Start: &child},
		{ID: "2", To: "child", Event: new(event("to the child"))},
		{ID: "3", To: "with by", Start: &ignored},
	}}
	s.commit(w, transition)
	s.commit(w, transition)

	first := s.take(w)
	assert.Equal(s.t, saga("child"), first.Start)
	assert.EqualValues(s.t, 1, first.Rev)
	assert.Equal(s.t, []broker.Event{event("to the child")}, first.Mail)
	assert.Equal(s.t, saga("with by"), s.take(w).Start)
	s.nothing(w)

	s.commit(w, broker.Transition{
		ID: "child", Rev: 1, Next: broker.Finish, Consume: []string{"to the child"}, Keep: time.Hour,
		Send: []broker.Message{{ID: "4", To: "parent", Event: new(event("to the parent"))}},
	})
	woken := s.take(w)
	assert.Equal(s.t, "parent", woken.ID)
	assert.Equal(s.t, []string{"to the parent"}, eventIDs(woken.Mail))
}

// brokerWorker joins a worker that the broker itself knows, without a wrapper.
func brokerWorker(s *suite) broker.Worker {
	w, err := s.bare.Join(s.ctx, broker.Member{Name: "bare", Build: "bare", Lease: s.h.Lease})
	require.NoError(s.t, err)
	return w
}

func messagesToAll(s *suite) {
	w, keeper := s.worker(), s.worker()
	for id, next := range map[string]broker.Next{
		"parked": broker.Park, "held": broker.Hold, "buried": broker.Bury, "finished": broker.Finish, "owned": broker.Keep,
	} {
		s.own(keeper, id)
		s.commit(keeper, broker.Transition{ID: id, Rev: 1, Next: next, Keep: time.Hour})
	}
	s.own(w, "sender")
	all := broker.Transition{ID: "sender", Rev: 1, Next: broker.Finish, Keep: time.Hour}
	for _, id := range []string{"parked", "held", "buried", "finished", "owned", "unborn", "sender"} {
		all.Send = append(all.Send, broker.Message{ID: id, To: id, Event: new(event("e"))})
	}
	s.commit(w, all)

	s.news(keeper, "owned", "e")
	assert.ElementsMatch(s.t, []string{"parked", "held"}, s.takeAll(w, 2))
	assert.Equal(s.t, broker.Buried, s.state("buried"))
	assert.Equal(s.t, broker.Finished, s.state("finished"))
	s.start("unborn")
	for _, id := range []string{"parked", "held", "buried", "owned", "unborn"} {
		assert.Equal(s.t, []string{"e"}, eventIDs(s.lookup(id).Mail), id)
	}
}

// sameEvent sends an event with two commits: the receiver gets it once, and nothing wakes it the second time.
func sameEvent(s *suite) {
	w := s.worker()
	s.own(w, "a")
	s.own(w, "b")
	same := []broker.Message{{ID: "m", To: "b", Event: new(event("e"))}}
	s.commit(w, broker.Transition{ID: "a", Rev: 1, Send: same})
	ack := s.commit(w, broker.Transition{ID: "b", Rev: 1})
	assert.Equal(s.t, []string{"e"}, eventIDs(ack.Mail))
	s.commit(w, broker.Transition{ID: "b", Rev: 2, Consume: []string{"e"}, Next: broker.Park})
	s.commit(w, broker.Transition{ID: "a", Rev: 2, Send: same})
	assert.Equal(s.t, broker.Parked, s.state("b"))
	s.nothing(w)
}

func existingChild(s *suite) {
	w := s.worker()
	s.own(w, "parent")
	s.own(w, "child")
	s.commit(w, broker.Transition{ID: "child", Rev: 1, Append: entries("p")})
	before := s.lookup("child")
	same, other := saga("child"), saga("child")
	other.Flow, other.Record = "other", []byte("other")
	s.commit(w, broker.Transition{ID: "parent", Rev: 1, Send: []broker.Message{
		{ID: "1", To: "child", Start: &same},
		{ID: "2", To: "child", Start: &other},
	}})
	assert.Equal(s.t, before, s.lookup("child"))
}
