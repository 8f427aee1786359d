package brokertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokerfault"
)

const (
	stressWorkers = 6
	stressSagas   = 200
	stressLength  = 8 // entries of a journal when its saga finishes; one of them is the event
)

// stress runs many sagas on many goroutines, while calls fail and workers die, and checks that each saga finishes with
// each of its entries once. It is for the race detector.
func stress(t *testing.T, h Harness) {
	h.bubble(t, func(t *testing.T) {
		s := newSuite(t, t, h, Limits{}, brokerfault.Options{
			Logf: t.Logf,
			Odds: brokerfault.Odds{
				brokerfault.Lose: 0.03, brokerfault.Fail: 0.03, brokerfault.Repeat: 0.05, brokerfault.Reorder: 0.1,
			},
		})
		x := &stressed{s: s}
		ctx, cancel := context.WithTimeout(t.Context(), 10*h.Patience)
		defer cancel()
		var group sync.WaitGroup
		for range stressWorkers {
			group.Go(func() { x.work(ctx) })
		}
		group.Go(func() { x.startAll(ctx) })
		for i := range stressSagas {
			x.await(fmt.Sprint(i))
		}
		cancel()
		group.Wait()
		assert.Equal(t, stressSagas, s.stats().Finished)
	})
}

// stressed is a broker under stress.
type stressed struct {
	s      *suite
	deaths sync.Map // IDs of sagas that have killed their worker
}

// startAll starts sagas and sends each an event, some of them before the start.
func (x *stressed) startAll(ctx context.Context) {
	for i := range stressSagas {
		id := fmt.Sprint(i)
		if i%3 == 0 {
			assert.NoError(x.s.t, x.s.tryDeliver(id, event("e")))
		}
		_, err := x.s.tryStart(saga(id))
		assert.NoError(x.s.t, err)
		if i%3 != 0 {
			assert.NoError(x.s.t, x.s.tryDeliver(id, event("e")))
		}
	}
}

// await waits until a watcher is told that a saga has finished.
func (x *stressed) await(id string) {
	told, stop := x.s.watch(id)
	defer stop()
	require.Equal(x.s.t, broker.Finished, x.s.hear(told).State)
}

// work joins and works until ctx ends. When its worker dies, it joins anew.
func (x *stressed) work(ctx context.Context) {
	member := broker.Member{Name: "w", Build: "b", Flows: []broker.Served{order()}, Lease: x.s.h.Lease}
	for ctx.Err() == nil {
		w, err := insist(func() (broker.Worker, error) { return x.s.b.Join(ctx, member) })
		for err == nil {
			err = x.receive(ctx, w)
		}
		assert.True(x.s.t, errors.Is(err, broker.ErrFenced) || ctx.Err() != nil, err)
	}
}

func (x *stressed) receive(ctx context.Context, w broker.Worker) error {
	got, err := insist(func() ([]broker.Delivery, error) { return w.Receive(ctx, 10) })
	if err != nil {
		return err
	}
	var group sync.WaitGroup
	for _, d := range got {
		if d.Saga != nil {
			group.Go(func() { x.run(w, d.Saga) })
		}
	}
	group.Wait()
	return nil
}

// run takes a saga as far as it can. Every tenth kills its worker on the way.
func (x *stressed) run(w broker.Worker, r *broker.Record) {
	rev, mail := r.Rev, r.Mail
	var paths []string
	for _, e := range r.Journal {
		paths = append(paths, e.Path)
	}
	for {
		t := next(paths, mail)
		t.ID, t.Rev = r.ID, rev
		x.assertJournal(r.ID)
		ack, err := x.s.tryCommit(w, t)
		if _, died := x.deaths.LoadOrStore(r.ID, true); r.ID[len(r.ID)-1] == '7' && !died {
			x.s.kill(w)
		}
		if err != nil || !ack.Owned {
			return
		}
		rev, mail = ack.Rev, ack.Mail
		for _, e := range t.Append {
			paths = append(paths, e.Path)
		}
	}
}

// next appends an entry, or waits for the event in the middle, and now and then gives back.
func next(paths []string, mail []broker.Event) broker.Transition {
	heard := slices.Contains(paths, "event")
	switch {
	case len(mail) > 0 && !heard:
		return broker.Transition{Consume: eventIDs(mail), Append: entries("event")}
	case len(paths) == stressLength:
		return broker.Transition{Next: broker.Finish, Keep: 1000 * time.Hour}
	case len(paths) == stressLength/2 && !heard:
		return broker.Transition{Next: broker.Park}
	case len(paths) == stressLength/4:
		return broker.Transition{Next: broker.GiveBack, Append: entries(fmt.Sprint(len(paths)))}
	}
	return broker.Transition{Append: entries(fmt.Sprint(len(paths)))}
}

// assertJournal checks that each entry stands in its place, and that the event stands once.
func (x *stressed) assertJournal(id string) {
	shot, err := x.s.tryLookup(id)
	if !assert.NoError(x.s.t, err) {
		return
	}
	events := 0
	for i, e := range shot.Journal {
		if e.Path == "event" {
			events++
		} else {
			assert.Equal(x.s.t, fmt.Sprint(i), e.Path, "entry of %q", id)
		}
	}
	assert.LessOrEqual(x.s.t, events, 1)
	assert.LessOrEqual(x.s.t, len(shot.Journal), stressLength)
}
