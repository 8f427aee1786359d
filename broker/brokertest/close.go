package brokertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
)

func closeCases() []testCase {
	return []testCase{
		{name: "close/blocked calls end", run: closeBlocked},
		{name: "close/later calls fail", run: closedCalls},
		{name: "close/in the middle of everything", run: closeInTheMiddle},
		{name: "close/a call whose time is up", run: endedCalls},
	}
}

func closeBlocked(s *suite) {
	ended := make(chan error, 2)
	for range 2 {
		w := s.worker()
		go func() {
			_, err := insist(func() ([]broker.Delivery, error) { return w.Receive(s.ctx, 1) })
			ended <- err
		}()
	}
	s.elapse(s.h.Moment)
	require.NoError(s.t, s.b.Close())
	assert.ErrorIs(s.t, <-ended, broker.ErrClosed)
	assert.ErrorIs(s.t, <-ended, broker.ErrClosed)
	require.NoError(s.t, s.b.Close())
}

// everyCall makes each call of a broker and a worker once, and gives the errors.
func (s *suite) everyCall(ctx context.Context, w broker.Worker) map[string]error {
	errs := make(map[string]error)
	_, errs["start"] = s.bare.Start(ctx, saga("new"))
	errs["deliver"] = s.bare.Deliver(ctx, "a", event("e"))
	_, errs["lookup"] = s.bare.Lookup(ctx, "a", true)
	errs["resolve"] = s.bare.Resolve(ctx, "buried", 2, event("e"))
	for _, errs["list"] = range s.bare.List(ctx, broker.Filter{}) {
	}
	_, errs["stats"] = s.bare.Stats(ctx)
	_, errs["join"] = s.bare.Join(ctx, broker.Member{Name: "late", Build: "b", Lease: s.h.Lease})
	_, errs["receive"] = w.Receive(ctx, 1)
	_, errs["commit"] = w.Commit(ctx, broker.Transition{ID: "owned", Rev: 1})
	errs["leave"] = w.Leave(ctx)
	return errs
}

func closedCalls(s *suite) {
	w := s.worker()
	s.oneOfEach(w)
	told, _ := s.watch("parked")
	require.NoError(s.t, s.b.Close())
	for name, err := range s.everyCall(s.ctx, w) {
		assert.ErrorIs(s.t, err, broker.ErrClosed, name)
	}
	s.silent(told)
	late, stop := s.watch("finished")
	s.silent(late)
	stop()
}

func endedCalls(s *suite) {
	w := s.worker()
	s.oneOfEach(w)
	ended, cancel := context.WithCancel(s.ctx)
	cancel()
	for name, err := range s.everyCall(ended, w) {
		assert.ErrorIs(s.t, err, context.Canceled, name)
	}
}

// closeInTheMiddle closes the broker while workers work and others start sagas and send events.
func closeInTheMiddle(s *suite) {
	var group sync.WaitGroup
	for i := range 4 {
		w := s.worker()
		group.Go(func() { s.untilClosed(func(int) error { return s.work(w) }) })
		group.Go(func() {
			s.untilClosed(func(n int) error {
				_, err := s.tryStart(saga(fmt.Sprint(i, "-", n)))
				return err
			})
		})
		group.Go(func() {
			s.untilClosed(func(n int) error { return s.tryDeliver(fmt.Sprint(i, "-", n), event("e")) })
		})
	}
	s.elapse(s.h.Moment)
	assert.NoError(s.t, s.b.Close())
	group.Wait()
}

// untilClosed calls f again and again.
func (s *suite) untilClosed(f func(n int) error) {
	for n := 0; ; n++ {
		err := f(n)
		if errors.Is(err, broker.ErrClosed) {
			return
		}
		if err != nil && !errors.Is(err, broker.ErrStale) && !errors.Is(err, broker.ErrSettled) {
			assert.NoError(s.t, err)
			return
		}
		time.Sleep(s.h.Moment / 100)
	}
}

// work takes some sagas and parks or finishes them.
func (s *suite) work(w broker.Worker) error {
	got, err := insist(func() ([]broker.Delivery, error) { return w.Receive(s.ctx, 5) })
	if err != nil {
		return err
	}
	for _, d := range got {
		if d.Saga == nil {
			continue
		}
		next := broker.Park
		if len(d.Saga.Mail) > 0 {
			next = broker.Finish
		}
		t := broker.Transition{ID: d.ID, Rev: d.Saga.Rev, Next: next, Consume: eventIDs(d.Saga.Mail), Keep: time.Hour}
		if _, err := s.tryCommit(w, t); err != nil {
			return err
		}
	}
	return nil
}
