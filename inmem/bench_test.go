package inmem_test

import (
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/inmem"
)

// BenchmarkSaga is what an engine asks of its broker for a saga of three steps that it starts itself:
// 300 bytes of header and input, 100 bytes for each recorded step, 100 bytes of outcome.
func BenchmarkSaga(b *testing.B) {
	b.Run("one", func(b *testing.B) {
		w := newWorkload(b)
		ids := orderIDs(b.N)
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			w.run(b, ids[i])
		}
	})
	b.Run("parallel", func(b *testing.B) {
		w := newWorkload(b)
		ids := orderIDs(b.N)
		var next atomic.Int64
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				w.run(b, ids[next.Add(1)-1])
			}
		})
	})
}

type workload struct {
	broker  *inmem.Broker
	worker  broker.Worker
	record  []byte
	entries []broker.Entry
	outcome []byte
}

func newWorkload(b testing.TB) *workload {
	store := inmem.New()
	b.Cleanup(func() { store.Close() })
	worker, err := store.Join(b.Context(), broker.Member{Flows: []broker.Served{order}, Lease: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	return &workload{
		broker: store, worker: worker,
		record:  make([]byte, 300),
		entries: []broker.Entry{{Path: "reserve", Data: make([]byte, 100)}},
		outcome: make([]byte, 100),
	}
}

func (w *workload) start(b testing.TB, id string) {
	started, err := w.broker.Start(b.Context(), broker.Start{ID: id, Served: order, Record: w.record, By: w.worker})
	if err != nil || !started.Owned {
		b.Fatal(started, err)
	}
}

func (w *workload) run(b testing.TB, id string) {
	w.start(b, id)
	w.commit(b, broker.Transition{ID: id, Rev: 1, Append: w.entries})
	w.commit(b, broker.Transition{ID: id, Rev: 2, Append: w.entries})
	w.commit(b, broker.Transition{
		ID: id, Rev: 3, Append: w.entries, Next: broker.Finish, Outcome: w.outcome, Keep: time.Minute,
	})
}

func (w *workload) commit(b testing.TB, t broker.Transition) {
	if _, err := w.worker.Commit(b.Context(), t); err != nil {
		b.Fatal(err)
	}
}

func orderIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = "order-" + strconv.Itoa(i)
	}
	return ids
}

// BenchmarkQueue is a saga that is queued, received by the one worker there is, and finished at once.
func BenchmarkQueue(b *testing.B) {
	w := newWorkload(b)
	ids := orderIDs(b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for _, id := range ids {
		start := broker.Start{ID: id, Served: order, Record: w.record}
		if _, err := w.broker.Start(b.Context(), start); err != nil {
			b.Fatal(err)
		}
		got, err := w.worker.Receive(b.Context(), 1)
		if err != nil || len(got) != 1 {
			b.Fatal(got, err)
		}
		w.commit(b, broker.Transition{ID: id, Rev: 1, Next: broker.Finish, Outcome: w.outcome, Keep: time.Minute})
	}
}

// BenchmarkPark is a saga that parks for a time and is woken by mail, among many that are parked.
func BenchmarkPark(b *testing.B) {
	w := newWorkload(b)
	ids := orderIDs(100_000)
	for i, id := range ids {
		w.start(b, id)
		until := time.Now().Add(time.Hour + time.Duration(i*7919%len(ids))*time.Second)
		w.commit(b, broker.Transition{ID: id, Rev: 1, Next: broker.Park, Until: until})
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		id := ids[i%len(ids)]
		ev := strconv.Itoa(i)
		if err := w.broker.Deliver(b.Context(), id, broker.Event{ID: ev}); err != nil {
			b.Fatal(err)
		}
		got, err := w.worker.Receive(b.Context(), 1)
		if err != nil {
			b.Fatal(err)
		}
		w.commit(b, broker.Transition{
			ID: id, Rev: got[0].Saga.Rev, Next: broker.Park, Consume: []string{ev}, Until: time.Now().Add(time.Hour),
		})
	}
}

// The allocations of a saga are a promise, time is not: machines differ.
func TestASagaAllocatesLittle(t *testing.T) {
	w := newWorkload(t)
	ids := orderIDs(5001)
	next := 0
	allocations := testing.AllocsPerRun(5000, func() {
		w.run(t, ids[next])
		next++
	})
	assert.LessOrEqual(t, allocations, 5.0)
}
