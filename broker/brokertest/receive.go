package brokertest

import (
	"context"
	"fmt"
	"sync"
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
	assert.Equal(s.t, []string{"0", "1", "2", "3"}, s.takeAll(w, 4))
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
	time.AfterFunc(s.h.Moment, func() { s.start("a") })
	assert.Equal(s.t, "a", s.take(w).ID)
	time.AfterFunc(s.h.Moment, func() { s.deliver("a", "e") })
	s.news(w, "a", "e")
}

// sharing lets workers take sagas one by one, while others start them.
func sharing(s *suite) {
	const sagas, workers = 60, 3
	var mu sync.Mutex
	taken := make(map[string]int)
	shares := make([]int, workers)
	ctx, cancel := context.WithTimeout(s.ctx, s.h.Patience)
	defer cancel()
	var group sync.WaitGroup
	for i := range workers {
		w := s.worker()
		group.Go(func() {
			for {
				got, err := insist(func() ([]broker.Delivery, error) { return w.Receive(ctx, 2) })
				if err != nil {
					return
				}
				mu.Lock()
				shares[i] += len(got)
				for _, d := range got {
					taken[d.ID]++
				}
				if len(taken) == sagas {
					cancel()
				}
				mu.Unlock()
			}
		})
	}
	for i := range sagas {
		s.start(fmt.Sprint(i))
		s.elapse(time.Millisecond)
	}
	group.Wait()
	assert.Len(s.t, taken, sagas)
	for id, times := range taken {
		assert.Equal(s.t, 1, times, "saga %s", id)
	}
	for i, share := range shares {
		assert.GreaterOrEqual(s.t, share, sagas/workers/10, "share of worker %d", i)
	}
}

func endedWait(s *suite) {
	w := s.worker()
	for i := range 20 {
		ctx, cancel := context.WithCancel(s.ctx)
		time.AfterFunc(s.h.Moment/10, cancel)
		time.AfterFunc(s.h.Moment/10, func() { s.start(fmt.Sprint(i)) })
		got, err := insist(func() ([]broker.Delivery, error) { return w.Receive(ctx, 1) })
		if err != nil {
			require.ErrorIs(s.t, err, context.Canceled)
			got = s.receive(w, 1)
		}
		assert.Equal(s.t, fmt.Sprint(i), got[0].ID)
	}
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
