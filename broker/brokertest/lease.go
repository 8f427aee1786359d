package brokertest

import (
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
)

func leaseCases() []testCase {
	return []testCase{
		{name: "lease/takeover after the lease and not before", run: takeover},
		{name: "lease/takeovers are counted", run: takeoversCounted},
		{name: "lease/a worker that leaves gives back", run: leaving},
		{name: "lease/a saga that is given back", run: givenBack},
		{name: "lease/a rejected saga", run: rejected},
		{name: "lease/a stranded saga", run: stranded},
		{name: "lease/a dead worker's calls end", run: deadCalls},
	}
}

func takeover(s *suite) {
	dead, living := s.worker(), s.worker()
	s.own(dead, "a")
	s.deliver("a", "e")
	s.commit(dead, broker.Transition{ID: "a", Rev: 1, Append: entries("p")})
	killed := time.Now()
	s.kill(dead)

	record := s.take(living)
	assert.GreaterOrEqual(s.t, time.Since(killed), s.h.Lease-s.h.Slack)
	assert.EqualValues(s.t, 2, record.Rev)
	assert.Equal(s.t, 1, record.Takeovers)
	assert.Equal(s.t, entries("p"), record.Journal)
	assert.Equal(s.t, []string{"e"}, eventIDs(record.Mail))
	s.commit(living, broker.Transition{ID: "a", Rev: 2})
}

func takeoversCounted(s *suite) {
	first, second, third := s.worker(), s.worker(), s.worker()
	s.own(first, "a")
	s.kill(first)
	assert.Equal(s.t, 1, s.take(second).Takeovers)
	s.kill(second)
	record := s.take(third)
	assert.Equal(s.t, 2, record.Takeovers)
	assert.EqualValues(s.t, 1, record.Rev)
	s.commit(third, broker.Transition{ID: "a", Rev: 1})
	assert.Zero(s.t, s.lookup("a").Takeovers)
	s.commit(third, broker.Transition{ID: "a", Rev: 2, Next: broker.GiveBack})
	assert.Zero(s.t, s.take(third).Takeovers)
}

func leaving(s *suite) {
	leaver, other := s.worker(), s.worker()
	s.own(leaver, "a")
	s.commit(leaver, broker.Transition{ID: "a", Rev: 1, Append: entries("p")})
	s.own(leaver, "b")
	begin := time.Now()
	require.NoError(s.t, s.leave(leaver))
	require.NoError(s.t, s.leave(leaver))

	assert.ElementsMatch(s.t, []string{"a", "b"}, s.takeAll(other, 2))
	if s.h.Virtual {
		assert.Zero(s.t, time.Since(begin))
	}
	shot := s.lookup("a")
	assert.Zero(s.t, shot.Takeovers)
	assert.EqualValues(s.t, 2, shot.Rev)
	assert.Equal(s.t, 1, s.stats().Workers)
}

func givenBack(s *suite) {
	w := s.worker()
	s.own(w, "a")
	s.start("b")
	s.commit(w, broker.Transition{ID: "a", Rev: 1, Next: broker.GiveBack, Append: entries("p")})
	assert.Equal(s.t, broker.Ready, s.state("a"))
	_, err := s.tryCommit(w, broker.Transition{ID: "a", Rev: 2})
	assert.ErrorIs(s.t, err, broker.ErrStale)

	assert.Equal(s.t, "b", s.take(w).ID)
	again := s.take(w)
	assert.Equal(s.t, "a", again.ID)
	assert.EqualValues(s.t, 2, again.Rev)
	s.commit(w, broker.Transition{ID: "a", Rev: 2})
}

func rejected(s *suite) {
	old, sameBuild := s.join(broker.Member{Build: "1"}), s.join(broker.Member{Build: "1"})
	s.own(old, "a")
	s.commit(old, broker.Transition{ID: "a", Rev: 1, Next: broker.Reject})
	s.nothing(old)
	s.nothing(sameBuild)
	assert.True(s.t, s.lookup("a").Stranded)

	younger := s.join(broker.Member{Build: "2"})
	record := s.take(younger)
	assert.EqualValues(s.t, 2, record.Rev)
	s.commit(younger, broker.Transition{ID: "a", Rev: 2, Next: broker.Reject})
	s.nothing(younger)
	s.nothing(old)
	assert.Equal(s.t, 1, s.stats().Stranded)

	youngest := s.join(broker.Member{Build: "3"})
	assert.Zero(s.t, s.stats().Stranded)
	s.take(youngest)
	s.commit(youngest, broker.Transition{ID: "a", Rev: 3, Next: broker.GiveBack, Append: entries("p")})
	s.nothing(old)
	assert.Equal(s.t, "a", s.take(youngest).ID)
}

func stranded(s *suite) {
	s.start("a")
	assert.True(s.t, s.lookup("a").Stranded)
	assert.Equal(s.t, broker.Stats{Ready: 1, Stranded: 1}, withoutOldest(s.stats()))
	s.join(broker.Member{Flows: []broker.Served{{Flow: "order", Version: 2}}})
	assert.True(s.t, s.lookup("a").Stranded)
	w := s.worker()
	assert.False(s.t, s.lookup("a").Stranded)
	assert.Equal(s.t, broker.Stats{Ready: 1, Workers: 2}, withoutOldest(s.stats()))
	require.NoError(s.t, s.leave(w))
	assert.True(s.t, s.lookup("a").Stranded)
	s.take(s.worker())
	assert.False(s.t, s.lookup("a").Stranded)
}

func withoutOldest(stats broker.Stats) broker.Stats {
	stats.Oldest = 0
	return stats
}

// takeOver kills a worker and waits until living has got a saga from it.
func (s *suite) takeOver(dead, living broker.Worker) {
	s.t.Helper()
	s.own(dead, "taken over")
	s.kill(dead)
	require.Equal(s.t, "taken over", s.take(living).ID)
}

func deadCalls(s *suite) {
	dead, left, living := s.worker(), s.worker(), s.worker()
	s.own(dead, "a")
	ended := make(chan error, 2)
	for _, w := range []broker.Worker{dead, left} {
		go func() {
			got, err := insist(func() ([]broker.Delivery, error) { return w.Receive(s.ctx, 1) })
			for s.h.Spread && err == nil && got[0].Lost { // a part may notice before the others
				got, err = insist(func() ([]broker.Delivery, error) { return w.Receive(s.ctx, 1) })
			}
			ended <- err
		}()
	}
	s.settle()
	s.kill(dead)
	require.NoError(s.t, s.leave(left))
	assert.Equal(s.t, "a", s.take(living).ID)
	assert.ErrorIs(s.t, <-ended, broker.ErrFenced)
	assert.ErrorIs(s.t, <-ended, broker.ErrFenced)
	for _, w := range []broker.Worker{dead, left} {
		_, err := insist(func() ([]broker.Delivery, error) { return w.Receive(s.ctx, 1) })
		assert.ErrorIs(s.t, err, broker.ErrFenced)
	}
	assert.ErrorIs(s.t, s.leave(dead), broker.ErrFenced)
}
