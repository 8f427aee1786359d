package brokertest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
)

func busPublishCases() []busCase {
	return []busCase{
		{name: "publish/each group gets each event", run: eachGroup},
		{name: "publish/a repeat", run: publishAgain},
		{name: "publish/a repeat that comes late", run: publishLate, limits: BusLimits{Memory: time.Second}},
		{name: "publish/bytes are copied", run: publishCopies},
		{name: "publish/before anybody listens", run: lateGroups},
		{name: "publish/wakes who waits", run: publishWakes},
		{name: "publish/what makes no sense", run: publishNonsense},
	}
}

func eachGroup(s *busSuite) {
	sub := s.join("one", reads("a"), reads("b"))
	other := s.join("two", reads("c"))
	s.publish(news("news", "e1", ""), news("news", "e2", "k"), news("other", "e3", ""))
	var want, got []string
	for _, g := range []string{"a", "b"} {
		want = append(want, g+" e1", g+" e2")
	}
	for _, a := range s.take(sub, 4) {
		got = append(got, a.Group+" "+a.ID)
		assert.Equal(s.t, []byte("data of "+a.ID), a.Data)
		assert.Equal(s.t, "news", a.Topic)
		assert.Equal(s.t, 1, a.Attempt)
		assert.Equal(s.t, map[string]string{"e1": "", "e2": "k"}[a.ID], a.Key)
	}
	assert.ElementsMatch(s.t, want, got)
	assert.ElementsMatch(s.t, []string{"e1", "e2"}, idsOf(s.take(other, 2)))
	s.nothing(sub)
}

func publishAgain(s *busSuite) {
	sub := s.join("one", reads("a"), broker.Read{Topic: "other", Group: "a", Room: 10})
	for range 2 {
		s.publish(news("news", "e1", "k"))
	}
	got := s.take(sub, 1)
	s.settle(sub, broker.Done, got...)
	s.publish(news("news", "e1", "k"), news("news", "e1", "k"))
	s.nothing(sub)
	s.publish(news("other", "e1", ""))
	assert.Equal(s.t, "other", s.take(sub, 1)[0].Topic)
}

func publishLate(s *busSuite) {
	sub := s.join("one", reads("a"))
	s.publishAll("news", "e1")
	s.take(sub, 1)
	s.elapse(300 * time.Millisecond)
	s.publishAll("news", "e1")
	s.nothing(sub)
	s.elapse(2500 * time.Millisecond)
	s.publishAll("news", "e1")
	s.take(sub, 1)
}

func publishCopies(s *busSuite) {
	sub := s.join("one", reads("a"), reads("b"))
	ev := news("news", "e1", "")
	s.publish(ev)
	copy(ev.Data, "xxxx")
	for _, a := range s.take(sub, 2) {
		assert.Equal(s.t, "data of e1", string(a.Data))
		copy(a.Data, "yyyy")
	}
}

func lateGroups(s *busSuite) {
	s.publishAll("news", "e1", "e2")
	first := s.join("one", reads("a"))
	assert.ElementsMatch(s.t, []string{"e1", "e2"}, idsOf(s.take(first, 2)))
	now := s.join("two", broker.Read{Topic: "news", Group: "b", Room: 10, New: true})
	s.nothing(now)
	s.publishAll("news", "e3")
	assert.Equal(s.t, []string{"e3"}, idsOf(s.take(now, 1)))
	again := s.join("three", broker.Read{Topic: "news", Group: "b", Room: 10})
	s.nothing(again)
}

func publishWakes(s *busSuite) {
	sub := s.join("one", reads("a"))
	done := make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(s.h.Moment)
		_ = insisted(func() error { return s.b.Publish(s.ctx, news("news", "e1", "")) })
	}()
	assert.Equal(s.t, []string{"e1"}, idsOf(s.take(sub, 1)))
	<-done
}

func publishNonsense(s *busSuite) {
	assert.Error(s.t, s.b.Publish(s.ctx, news("", "e1", "")))
	assert.Error(s.t, s.b.Publish(s.ctx, news("news", "", "")))
	for _, bad := range []broker.Subscription{
		{}, {Reads: []broker.Read{{Topic: "news", Group: "a"}}}, {Reads: []broker.Read{{Topic: "news", Room: 1}}},
		{Reads: []broker.Read{reads("a"), reads("a")}}, {Lease: -1, Reads: []broker.Read{reads("a")}},
	} {
		_, err := s.trySubscribe(bad)
		assert.Error(s.t, err, "%+v", bad)
	}
}

func busOrderCases() []busCase {
	return []busCase{
		{name: "order/one of a key at a time", run: oneOfAKey},
		{name: "order/a dead event holds up nobody", run: deadOfAKey},
		{name: "order/an event that waits holds up its key only", run: waitingOfAKey},
		{name: "order/of each group", run: orderOfGroups},
		{name: "order/two subscribers", run: orderOfTwo},
	}
}

func oneOfAKey(s *busSuite) {
	sub := s.join("one", reads("a"))
	s.publishKeyed("news", "x", 1, 3)
	s.publishKeyed("news", "y", 1, 1)
	got := s.take(sub, 2)
	assert.ElementsMatch(s.t, []string{"x1", "y1"}, idsOf(got))
	s.nothing(sub)
	at := slices.IndexFunc(got, func(a broker.Arrival) bool { return a.ID == "x1" })
	s.settle(sub, broker.Done, got[at])
	next := s.take(sub, 1)
	assert.Equal(s.t, []string{"x2"}, idsOf(next))
	s.publishKeyed("news", "x", 4, 4)
	s.nothing(sub)
	for _, want := range []string{"x3", "x4"} {
		s.settle(sub, broker.Done, next...)
		next = s.take(sub, 1)
		assert.Equal(s.t, []string{want}, idsOf(next))
	}
	s.settle(sub, broker.Done, next...)
	s.publishKeyed("news", "x", 5, 5)
	assert.Equal(s.t, []string{"x5"}, idsOf(s.take(sub, 1)))
}

func deadOfAKey(s *busSuite) {
	sub := s.join("one", reads("a"))
	s.publishKeyed("news", "x", 1, 3)
	s.settle(sub, broker.Dead, s.take(sub, 1)...)
	second := s.take(sub, 1)
	assert.Equal(s.t, []string{"x2"}, idsOf(second))
	dead := s.dead("a")
	require.Len(s.t, dead, 1)
	s.decided(func() error { return s.b.Relive(s.ctx, "news", "a", dead[0].Ref) })
	s.nothing(sub)
	s.settle(sub, broker.Done, second...)
	third := s.take(sub, 1)
	assert.Equal(s.t, []string{"x3"}, idsOf(third), "what lives again comes after what was open")
	s.settle(sub, broker.Done, third...)
	again := s.take(sub, 1)
	assert.Equal(s.t, []string{"x1"}, idsOf(again))
	assert.Equal(s.t, 1, again[0].Attempt)
}

func waitingOfAKey(s *busSuite) {
	sub := s.join("one", reads("a"))
	s.publishKeyed("news", "x", 1, 2)
	first := s.take(sub, 1)
	begun := time.Now()
	require.NoError(s.t, s.trySettle(sub, broker.Again, 2*s.h.Moment, first...))
	s.publishKeyed("news", "y", 1, 1)
	assert.Equal(s.t, []string{"y1"}, idsOf(s.take(sub, 1)))
	again := s.take(sub, 1)
	assert.Equal(s.t, []string{"x1"}, idsOf(again))
	assert.GreaterOrEqual(s.t, time.Since(begun), 2*s.h.Moment, "came too early")
	s.settle(sub, broker.Done, again...)
	assert.Equal(s.t, []string{"x2"}, idsOf(s.take(sub, 1)))
}

func orderOfGroups(s *busSuite) {
	a, b := s.join("one", reads("a")), s.join("two", reads("b"))
	s.publishKeyed("news", "x", 1, 2)
	s.take(a, 1)
	s.settle(b, broker.Done, s.take(b, 1)...)
	assert.Equal(s.t, []string{"x2"}, idsOf(s.take(b, 1)), "groups do not wait for each other")
	s.nothing(a)
}

func orderOfTwo(s *busSuite) {
	one, two := s.join("one", reads("a")), s.join("two", reads("a"))
	s.publishKeyed("news", "x", 1, 2)
	owner, first := s.eitherTakes("x1", one, two)
	s.nothing(one)
	s.nothing(two)
	s.settle(owner, broker.Done, first)
	s.eitherTakes("x2", one, two)
}

// eitherTakes waits until one of two subscribers gets an event.
func (s *busSuite) eitherTakes(id string, subs ...broker.Subscriber) (broker.Subscriber, broker.Arrival) {
	s.t.Helper()
	for begun := time.Now(); time.Since(begun) < s.h.Patience; {
		for _, sub := range subs {
			ctx, cancel := context.WithTimeout(s.ctx, s.h.Moment)
			got, err := insist(func() ([]broker.Arrival, error) { return sub.Receive(ctx) })
			cancel()
			if err == nil {
				require.Equal(s.t, []string{id}, idsOf(got))
				return sub, got[0]
			}
			require.ErrorIs(s.t, err, context.DeadlineExceeded)
		}
	}
	require.Fail(s.t, "nobody was given the event", id)
	return nil, broker.Arrival{}
}

func busSettleCases() []busCase {
	return []busCase{
		{name: "settle/again", run: settleAgain},
		{name: "settle/later and return do not count", run: settleUncounted},
		{name: "settle/dead, and what a person decides", run: settleDead},
		{name: "settle/a repeat", run: settleRepeated},
		{name: "settle/makes room", run: settleMakesRoom},
	}
}

func settleAgain(s *busSuite) {
	sub := s.join("one", reads("a"))
	s.publishAll("news", "e1")
	for attempt := 1; attempt <= 3; attempt++ {
		got := s.take(sub, 1)
		assert.Equal(s.t, attempt, got[0].Attempt)
		assert.Equal(s.t, "data of e1", string(got[0].Data))
		require.NoError(s.t, s.trySettle(sub, broker.Again, time.Duration(attempt-1)*s.h.Moment, got...))
	}
	assert.Equal(s.t, 1, s.group("a").Open)
}

func settleUncounted(s *busSuite) {
	sub := s.join("one", reads("a"))
	s.publishAll("news", "e1")
	for _, fate := range []broker.Fate{broker.Later, broker.Return, broker.Again} {
		got := s.take(sub, 1)
		assert.Equal(s.t, 1, got[0].Attempt)
		require.NoError(s.t, s.trySettle(sub, fate, s.h.Moment, got...))
	}
	assert.Equal(s.t, 2, s.take(sub, 1)[0].Attempt)
}

func settleDead(s *busSuite) {
	sub := s.join("one", reads("a"), reads("b"))
	s.publish(news("news", "e1", "k"), news("news", "e2", ""))
	for _, a := range s.take(sub, 4) {
		fate := broker.Done
		if a.Group == "a" {
			fate = broker.Dead
		}
		s.settle(sub, fate, a)
	}
	dead := s.dead("a")
	require.Len(s.t, dead, 2)
	assert.Empty(s.t, s.dead("b"))
	d := dead[slices.IndexFunc(dead, func(d broker.DeadEvent) bool { return d.ID == "e1" })]
	assert.Equal(s.t, news("news", "e1", "k"), d.Publication)
	assert.Equal(s.t, "why e1", string(d.Reason))
	assert.Equal(s.t, 1, d.Attempts)
	assert.Equal(s.t, "a", d.Group)
	assert.WithinDuration(s.t, time.Now(), d.At, time.Minute)
	assert.Equal(s.t, 2, s.group("a").Dead)
	assert.Zero(s.t, s.group("a").Open)
	s.nothing(sub)
	s.decided(func() error { return s.b.Relive(s.ctx, "news", "a", d.Ref) })
	again := s.take(sub, 1)
	assert.Equal(s.t, news("news", "e1", "k"), again[0].Publication)
	assert.Equal(s.t, 1, again[0].Attempt)
	s.settle(sub, broker.Done, again...)
	assert.ErrorIs(s.t, s.b.Relive(s.ctx, "news", "a", d.Ref), broker.ErrNoEvent)
	last := s.dead("a")
	require.Len(s.t, last, 1)
	s.decided(func() error { return s.b.Drop(s.ctx, "news", "a", last[0].Ref) })
	assert.Empty(s.t, s.dead("a"))
	assert.ErrorIs(s.t, s.b.Drop(s.ctx, "news", "a", last[0].Ref), broker.ErrNoEvent)
	s.nothing(sub)
}

func settleRepeated(s *busSuite) {
	sub := s.join("one", reads("a"))
	s.publishKeyed("news", "x", 1, 2)
	first := s.take(sub, 1)
	s.settle(sub, broker.Later, first...)
	second := s.take(sub, 1)
	require.Equal(s.t, "x1", second[0].ID)
	s.settle(sub, broker.Done, first...)
	s.nothing(sub)
	assert.Equal(s.t, 1, s.group("a").Open+int(s.group("a").Unread)-1, "an older handing out settles nothing")
	for range 2 {
		s.settle(sub, broker.Done, second...)
	}
	assert.Equal(s.t, "x2", s.take(sub, 1)[0].ID)
}

func settleMakesRoom(s *busSuite) {
	sub := s.join("one", broker.Read{Topic: "news", Group: "a", Room: 2})
	for n := range 5 {
		s.publishAll("news", fmt.Sprint("e", n))
	}
	open := s.take(sub, 2)
	s.nothing(sub)
	for left := 3; left > 0; left-- {
		s.settle(sub, broker.Done, open[0])
		open = append(open[1:], s.take(sub, 1)...)
	}
	s.nothing(sub)
}

func busMemberCases() []busCase {
	return []busCase{
		{name: "members/share a group", run: membersShare},
		{name: "members/one that dies", run: memberDies},
		{name: "members/one that leaves", run: memberLeaves},
		{name: "members/a call whose time is up", run: memberWaits},
		{name: "members/close", run: membersClosed},
	}
}

func membersShare(s *busSuite) {
	one := s.join("one", broker.Read{Topic: "news", Group: "a", Room: 2})
	two := s.join("two", broker.Read{Topic: "news", Group: "a", Room: 2})
	s.publishAll("news", "e1", "e2", "e3", "e4")
	assert.ElementsMatch(s.t, []string{"e1", "e2", "e3", "e4"}, idsOf(append(s.take(one, 2), s.take(two, 2)...)))
	assert.Equal(s.t, []string{"one", "two"}, s.group("a").Readers)
}

func memberDies(s *busSuite) {
	dying := s.join("dying", reads("a"))
	s.publish(news("news", "e1", "k"), news("news", "e2", "k"))
	had := s.take(dying, 1)
	other := s.join("other", reads("a"))
	s.nothing(other)
	begun := time.Now()
	s.own(dying)
	got := s.take(other, 1)
	assert.Equal(s.t, "e1", got[0].ID)
	assert.Equal(s.t, 2, got[0].Attempt)
	took := time.Since(begun)
	assert.GreaterOrEqual(s.t, took, s.h.Lease-s.h.Slack, "taken over too early")
	if s.h.Virtual {
		assert.LessOrEqual(s.t, took, s.h.Lease+time.Second)
	}
	assert.ErrorIs(s.t, s.trySettle(dying, broker.Done, 0, had...), broker.ErrFenced)
	_, err := insist(func() ([]broker.Arrival, error) { return dying.Receive(s.ctx) })
	assert.ErrorIs(s.t, err, broker.ErrFenced)
	s.nothing(other)
	s.settle(other, broker.Done, got...)
	assert.Equal(s.t, "e2", s.take(other, 1)[0].ID)
	assert.Equal(s.t, []string{"other"}, s.group("a").Readers)
}

func memberLeaves(s *busSuite) {
	leaving := s.join("leaving", reads("a"))
	s.publish(news("news", "e1", "k"), news("news", "e2", "k"))
	s.take(leaving, 1)
	for range 2 {
		require.NoError(s.t, s.leave(leaving))
	}
	_, err := insist(func() ([]broker.Arrival, error) { return leaving.Receive(s.ctx) })
	assert.ErrorIs(s.t, err, broker.ErrFenced)
	other := s.join("other", reads("a"))
	got := s.take(other, 1)
	assert.Equal(s.t, "e1", got[0].ID)
	assert.Equal(s.t, 1, got[0].Attempt)
}

func memberWaits(s *busSuite) {
	sub := s.join("one", reads("a"))
	s.nothing(sub)
	over, cancel := context.WithCancel(s.ctx)
	cancel()
	for _, err := range []error{
		s.b.Publish(over, news("news", "e1", "")), sub.Settle(over), sub.Leave(over), s.b.Forget(over, "news", "a"), s.b.Drop(over, "news", "a", "1"),
	} {
		assert.ErrorIs(s.t, err, context.Canceled)
	}
	_, err := s.b.Groups(over, "news")
	assert.ErrorIs(s.t, err, context.Canceled)
	_, err = s.b.Subscribe(over, broker.Subscription{Lease: s.h.Lease, Reads: []broker.Read{reads("a")}})
	assert.ErrorIs(s.t, err, context.Canceled)
}

func membersClosed(s *busSuite) {
	sub := s.join("one", reads("a"))
	ended := make(chan error, 1)
	go func() {
		_, err := insist(func() ([]broker.Arrival, error) { return sub.Receive(s.ctx) })
		ended <- err
	}()
	s.elapse(s.h.Moment)
	require.NoError(s.t, s.b.Close())
	assert.ErrorIs(s.t, <-ended, broker.ErrClosed)
	assert.ErrorIs(s.t, s.b.Publish(s.ctx, news("news", "e1", "")), broker.ErrClosed)
	assert.ErrorIs(s.t, sub.Settle(s.ctx), broker.ErrClosed)
	_, err := s.b.Groups(s.ctx, "news")
	assert.ErrorIs(s.t, err, broker.ErrClosed)
}

func busKeepCases() []busCase {
	return []busCase{
		{name: "keep/a slow group loses nothing", run: slowGroup},
		{name: "keep/no more than so many", run: keepMost, limits: BusLimits{Most: 5}},
		{name: "keep/no longer than so long", run: keepAge, limits: BusLimits{Age: 300 * time.Millisecond}},
		{name: "keep/groups are counted and forgotten", run: groupsForgotten},
		{name: "keep/far more than one look", run: manyEvents},
	}
}

func slowGroup(s *busSuite) {
	fast, slow := s.join("fast", reads("a")), s.join("slow", reads("b"))
	require.NoError(s.t, s.leave(slow))
	var want []string
	for n := range 20 {
		id := fmt.Sprint("e", n)
		want = append(want, id)
		s.publishAll("news", id)
		s.settle(fast, broker.Done, s.take(fast, 1)...)
	}
	s.elapse(2 * s.h.Moment)
	assert.EqualValues(s.t, 20, s.group("b").Unread)
	slow = s.join("slow", reads("b"))
	assert.ElementsMatch(s.t, want, idsOf(s.take(slow, 20)))
	assert.Zero(s.t, s.group("b").Lost)
}

// lossOf receives until a loss is told, and gives it with the events that came.
func (s *busSuite) lossOf(sub broker.Subscriber) (lost uint64, ids []string) {
	s.t.Helper()
	for lost == 0 {
		for _, a := range s.receive(sub) {
			if a.Lost > 0 {
				assert.Equal(s.t, "news", a.Topic)
				assert.Equal(s.t, "a", a.Group)
				lost += a.Lost
				continue
			}
			ids = append(ids, a.ID)
		}
	}
	return lost, ids
}

func keepMost(s *busSuite) {
	sub := s.join("one", reads("a"))
	require.NoError(s.t, s.leave(sub))
	s.publishAll("news", "e1", "e2", "e3", "e4", "e5", "e6", "e7")
	sub = s.join("one", reads("a"))
	lost, ids := s.lossOf(sub)
	assert.EqualValues(s.t, 2, lost)
	for len(ids) < 5 {
		ids = append(ids, idsOf(s.receive(sub))...)
	}
	assert.ElementsMatch(s.t, []string{"e3", "e4", "e5", "e6", "e7"}, ids)
	g := s.group("a")
	assert.EqualValues(s.t, 2, g.Lost)
	assert.WithinDuration(s.t, time.Now(), g.LostAt, time.Minute)
	s.nothing(sub)
}

func keepAge(s *busSuite) {
	sub := s.join("one", reads("a"))
	require.NoError(s.t, s.leave(sub))
	s.publishAll("news", "e1", "e2")
	s.elapse(400 * time.Millisecond)
	s.publishAll("news", "e3")
	sub = s.join("one", reads("a"))
	lost, ids := s.lossOf(sub)
	for len(ids) == 0 {
		ids = append(ids, idsOf(s.receive(sub))...)
	}
	assert.EqualValues(s.t, 2, lost)
	assert.Equal(s.t, []string{"e3"}, ids)
}

func groupsForgotten(s *busSuite) {
	sub := s.join("one", reads("a"), reads("b"))
	s.publish(news("news", "e1", "k"), news("news", "e2", "k"), news("news", "e3", ""))
	s.settle(sub, broker.Dead, s.take(sub, 4)[0])
	assert.ErrorIs(s.t, insisted(func() error { return s.b.Forget(s.ctx, "news", "a") }), broker.ErrRead)
	require.NoError(s.t, s.leave(sub))
	for range 2 {
		require.NoError(s.t, insisted(func() error { return s.b.Forget(s.ctx, "news", "a") }))
	}
	assert.Equal(s.t, broker.Group{}, s.group("a"))
	assert.Empty(s.t, s.dead("a"))
	b := s.group("b")
	assert.EqualValues(s.t, 3, int(b.Unread)+b.Open+b.Dead)
	assert.Empty(s.t, b.Readers)
}

func manyEvents(s *busSuite) {
	sub := s.join("one", broker.Read{Topic: "news", Group: "a", Room: 1000})
	var batch []broker.Publication
	for n := range 700 {
		key := ""
		if n%2 == 0 {
			key = fmt.Sprint("k", n%20)
		}
		batch = append(batch, news("news", fmt.Sprint("e", n), key))
	}
	s.publish(batch...)
	got := 0
	last := map[string]int{}
	for got < len(batch) {
		arrivals := s.receive(sub)
		for _, a := range arrivals {
			var n int
			_, err := fmt.Sscanf(a.ID, "e%d", &n)
			require.NoError(s.t, err)
			if a.Key != "" {
				assert.Greater(s.t, n+1, last[a.Key], "out of order")
				last[a.Key] = n + 1
			}
		}
		got += len(arrivals)
		s.settle(sub, broker.Done, arrivals...)
	}
	assert.Equal(s.t, len(batch), got)
	assert.Zero(s.t, s.group("a").Open)
	assert.Zero(s.t, s.group("a").Unread)
	s.nothing(sub)
}
