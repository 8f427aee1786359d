package inmem_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/inmem"
)

// BenchmarkSaga is what an engine asks of its broker for a saga of three steps that it starts itself:
// 300 bytes of header and input, 100 bytes for each recorded step, 100 bytes of outcome.
func BenchmarkSaga(b *testing.B) {
	b.Run("one", func(b *testing.B) {
		w := newWorkload(b)
		ids := ids(b.N, "")
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			w.run(b, ids[i])
		}
	})
	b.Run("parallel", func(b *testing.B) {
		w := newWorkload(b)
		ids := ids(b.N, "")
		var next counter
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				w.run(b, ids[next.add()])
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

func newWorkload(b *testing.B) *workload {
	store := inmem.New()
	b.Cleanup(func() { store.Close() })
	order := broker.Served{Flow: "order", Version: 1}
	worker, err := store.Join(b.Context(), broker.Member{Name: "w", Build: "b", Flows: []broker.Served{order}, Lease: time.Minute})
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

func (w *workload) run(b *testing.B, id string) {
	started, err := w.broker.Start(b.Context(), broker.Start{
		ID: id, Served: broker.Served{Flow: "order", Version: 1}, Record: w.record, By: w.worker,
	})
	if err != nil || !started.Owned {
		b.Fatal(started, err)
	}
	w.commit(b, broker.Transition{ID: id, Rev: 1, Append: w.entries})
	w.commit(b, broker.Transition{ID: id, Rev: 2, Append: w.entries})
	w.commit(b, broker.Transition{ID: id, Rev: 3, Append: w.entries, Next: broker.Finish, Outcome: w.outcome, Keep: time.Minute})
}

func (w *workload) commit(b *testing.B, t broker.Transition) {
	if _, err := w.worker.Commit(b.Context(), t); err != nil {
		b.Fatal(err)
	}
}

func ids(n int, prefix string) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = prefix + "order-" + strconv.Itoa(i)
	}
	return ids
}
