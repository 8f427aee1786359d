package brokertest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
)

func receiveCases() []testCase {
	return []testCase{
		{name: "receive/flows and versions", run: filter},
		{name: "receive/oldest first", run: oldestFirst},
		{name: "receive/no more than room", run: room},
		{name: "receive/a blocked worker wakes", run: wakes},
		{name: "receive/workers share", run: sharing},
		{name: "receive/a wait that ends loses nothing", run: endedWait},
		{name: "receive/a wait that ended is over", run: endedBefore},
		{name: "receive/a wait that ends among others loses nothing", run: endedWaitAmongOthers},
		{name: "receive/a worker that leaves loses nothing", run: leavesWhileWoken},
		{name: "receive/no wake-up is lost", run: noLostWakeUp},
		{name: "receive/each saga wakes a worker that takes it", run: wakesTheRightOne},
	}
}

func filter(s *suite) {
	w := s.join(broker.Member{Name: "w", Flows: []broker.Served{{Flow: "order", Version: 1}, {Flow: "refund", Version: 3}}})
	for i, served := range []broker.Served{
		{Flow: "order", Version: 2}, {Flow: "refund", Version: 3}, {Flow: "refund", Version: 1}, {Flow: "other", Version: 1},
		{Flow: "order", Version: 1},
	} {
		start := saga(fmt.Sprint(i))
		start.Served = served
		_, err := s.tryStart(start)
		require.NoError(s.t, err)
	}
	assert.Equal(s.t, []string{"1", "4"}, s.takeAll(w, 2))
	s.nothing(w)
	assert.Equal(s.t, broker.Ready, s.state("0"))
}

func oldestFirst(s *suite) {
	w := s.join(broker.Member{Name: "w", Flows: []broker.Served{{Flow: "a"}, {Flow: "b"}}})
	for i, flow := range []string{"a", "b", "b", "a"} {
		start := saga(fmt.Sprint(i))
		start.Served = broker.Served{Flow: flow}
		_, err := s.tryStart(start)
		require.NoError(s.t, err)
		s.elapse(2 * time.Millisecond)
	}
	got := s.takeAll(w, 4)
	if s.h.Spread { // each part has an order of its own
		slices.Sort(got)
	}
	assert.Equal(s.t, []string{"0", "1", "2", "3"}, got)
}

func room(s *suite) {
	w := s.worker()
	s.start("a", "b", "c", "d")
	got := s.receive(w, 3)
	assert.LessOrEqual(s.t, len(got), 3)
	for len(got) < 4 {
		got = append(got, s.receive(w, 3)...)
	}
	s.nothing(w)
}

func wakes(s *suite) {
	w := s.worker()
	started := s.later(func() { s.start("a") })
	assert.Equal(s.t, "a", s.take(w).ID)
	<-started
	delivered := s.later(func() { s.deliver("a", "e") })
	s.news(w, "a", "e")
	<-delivered
}

// sharing lets workers take sagas one by one, while others start them.
func sharing(s *suite) {
	const sagas, workers = 60, 3
	takers := make([]*taker, workers)
	var all atomic.Int64
	var group sync.WaitGroup
	ctx, cancel := context.WithCancel(s.ctx)
	for i := range takers {
		takers[i] = &taker{w: s.worker(), all: &all}
		group.Go(func() { takers[i].take(ctx) })
	}
	for i := range sagas {
		s.start(fmt.Sprint(i))
		s.elapse(time.Millisecond)
	}
	s.eventually(func() bool { return all.Load() >= sagas }, "not all sagas are taken")
	assert.Equal(s.t, sagas, s.stats().Owned)
	cancel()
	group.Wait()
	taken := make(map[string]bool)
	for i, x := range takers {
		assert.GreaterOrEqual(s.t, len(x.ids), sagas/workers/10, "share of worker %d", i)
		for _, id := range x.ids {
			assert.False(s.t, taken[id], "%q was handed out twice", id)
			taken[id] = true
		}
	}
	assert.Len(s.t, taken, sagas)
}

// taker receives sagas.
type taker struct {
	w   broker.Worker
	ids []string
	all *atomic.Int64 // what all takers got
}

func (x *taker) take(ctx context.Context) {
	for {
		got, err := insist(func() ([]broker.Delivery, error) { return x.w.Receive(ctx, 2) })
		if err != nil {
			return
		}
		for _, d := range got {
			x.ids = append(x.ids, d.ID)
			x.all.Add(1)
		}
	}
}

func endedWait(s *suite) {
	w := s.worker()
	for i := range 10 {
		id := fmt.Sprint(i)
		ctx, cancel := context.WithCancel(s.ctx)
		started := s.later(func() {
			cancel()
			s.start(id)
		})
		got := try(ctx, w, 1)
		if len(got) == 0 {
			got = s.receive(w, 1)
		}
		assert.Equal(s.t, id, got[0].ID)
		<-started
	}
}

// endedBefore ends a wait long before a saga comes: the next wait is woken.
func endedBefore(s *suite) {
	w := s.worker()
	ctx, cancel := context.WithTimeout(s.ctx, s.h.Moment)
	defer cancel()
	_, err := insist(func() ([]broker.Delivery, error) { return w.Receive(ctx, 1) })
	require.ErrorIs(s.t, err, context.DeadlineExceeded)
	started := s.later(func() { s.start("a") })
	assert.Equal(s.t, "a", s.take(w).ID)
	<-started
}

// leavesWhileWoken lets a worker leave that a saga has just woken: the next one gets it.
func leavesWhileWoken(s *suite) {
	for i := range 10 {
		first, second := s.worker(), s.worker()
		got := make(chan []broker.Delivery, 2)
		for _, w := range []broker.Worker{first, second} {
			go func() { got <- try(s.ctx, w, 1) }()
			s.settle()
		}
		id := fmt.Sprint(i)
		s.start(id)
		require.NoError(s.t, s.leave(first))
		s.eventually(func() bool { return s.state(id) == broker.Owned }, "nobody takes the saga")
		require.NoError(s.t, s.leave(second))
		<-got
		<-got
		s.finish(s.takeFrom(id), id, 1)
	}
}

// endedWaitAmongOthers ends the wait of one worker at the moment in which a saga comes: another one gets it.
func endedWaitAmongOthers(s *suite) {
	for i := range 20 {
		first, second := s.worker(), s.worker()
		ctx, cancel := context.WithCancel(s.ctx)
		got := make(chan []broker.Delivery, 2)
		go func() { got <- try(ctx, first, 1) }()
		s.settle()
		go func() { got <- try(s.ctx, second, 1) }()
		s.settle()
		cancel()
		id := fmt.Sprint(i)
		s.start(id)
		s.eventually(func() bool { return s.state(id) == broker.Owned }, "nobody takes the saga")
		handed, answers := len(<-got), 1
		if s.plain && handed == 0 { // on a server, a saga has an owner before the answer says so
			select {
			case sagas := <-got:
				handed, answers = len(sagas), 2
			case <-time.After(s.h.Patience):
			}
		}
		require.NoError(s.t, s.leave(first))
		require.NoError(s.t, s.leave(second))
		for ; answers < 2; answers++ {
			handed += len(<-got)
		}
		assert.LessOrEqual(s.t, handed, 1)
		assert.True(s.t, handed == 1 || !s.plain, "the saga has an owner that does not know it")
		s.finish(s.takeFrom(id), id, 1)
	}
}

// try receives, and gives nothing if the wait ends.
func try(ctx context.Context, w broker.Worker, room int) []broker.Delivery {
	got, _ := insist(func() ([]broker.Delivery, error) { return w.Receive(ctx, room) })
	return got
}

// takeFrom joins a worker that takes a saga.
func (s *suite) takeFrom(id string) broker.Worker {
	s.t.Helper()
	w := s.worker()
	require.Equal(s.t, id, s.take(w).ID)
	return w
}

// wakesTheRightOne blocks workers of different flows; each gets the saga of its flow at once.
func wakesTheRightOne(s *suite) {
	const flows = 4
	got := make(chan string, flows)
	for i := range flows {
		served := broker.Served{Flow: fmt.Sprint(i)}
		w := s.join(broker.Member{Name: served.Flow, Flows: []broker.Served{served}})
		go func() { got <- s.take(w).ID }()
	}
	s.elapse(s.h.Moment)
	for i := flows - 1; i >= 0; i-- {
		start := saga(fmt.Sprint(i))
		start.Served = broker.Served{Flow: fmt.Sprint(i)}
		_, err := s.tryStart(start)
		require.NoError(s.t, err)
		assert.Equal(s.t, start.ID, <-got)
	}
}

// noLostWakeUp starts sagas of two flows, many at once, while workers wait that serve one or both. When all is quiet,
// no saga is left that a worker waits for.
func noLostWakeUp(s *suite) {
	x, y := broker.Served{Flow: "x"}, broker.Served{Flow: "y"}
	serving := [][]broker.Served{{y}, {x, y}, {x}, {y, x}, {x}}
	for round := range 20 {
		waiting := make([]chan []broker.Delivery, len(serving))
		workers := make([]broker.Worker, len(serving))
		for i, flows := range serving {
			waiting[i] = make(chan []broker.Delivery, 1)
			workers[i] = s.join(broker.Member{Flows: flows})
			go func() { waiting[i] <- try(s.ctx, workers[i], 1) }()
			s.settle()
		}
		for i, served := range [][]broker.Served{{y, x}, {x, y}, {y, x, x}, {x, x, y}}[round%4] {
			start := saga(fmt.Sprint(round, "-", i))
			start.Served = served
			_, err := s.tryStart(start)
			require.NoError(s.t, err)
		}
		s.eventually(func() bool { return s.stats().Ready == 0 }, "a saga is ready, and a worker waits for it")
		for i, w := range workers {
			require.NoError(s.t, s.leave(w))
			for _, d := range <-waiting[i] {
				assert.NotNil(s.t, d.Saga)
			}
		}
		s.finishAll(x, y)
	}
}

// finishAll takes all sagas of some flows that are ready, and finishes them.
func (s *suite) finishAll(flows ...broker.Served) {
	s.t.Helper()
	w := s.join(broker.Member{Flows: flows})
	for s.stats().Ready > 0 {
		r := s.take(w)
		s.finish(w, r.ID, r.Rev)
	}
	require.NoError(s.t, s.leave(w))
}
