package flow

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// table finds the runs of this process by the IDs of their sagas.
type table struct {
	seed   maphash.Seed
	count  atomic.Int64
	shards [32]struct {
		mu   sync.Mutex
		runs map[string]*run
	}
}

func newTable() *table {
	t := &table{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].runs = map[string]*run{}
	}
	return t
}

func (t *table) shard(id string) int {
	return int(maphash.String(t.seed, id) % uint64(len(t.shards)))
}

func (t *table) get(id string) *run {
	s := &t.shards[t.shard(id)]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs[id]
}

// add enters r, unless its saga has a run already or there are as many as limit.
func (t *table) add(r *run, limit int) bool {
	s := &t.shards[t.shard(r.id)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runs[r.id] != nil || !t.countUp(int64(limit)) {
		return false
	}
	s.runs[r.id] = r
	return true
}

// countUp never counts beyond the limit, not even for a moment: the receiver would believe that there is no room.
func (t *table) countUp(limit int64) bool {
	for {
		n := t.count.Load()
		if n >= limit {
			return false
		}
		if t.count.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// replace enters r, and gives the run whose place it takes.
func (t *table) replace(r *run) (old *run) {
	s := &t.shards[t.shard(r.id)]
	s.mu.Lock()
	defer s.mu.Unlock()
	old = s.runs[r.id]
	s.runs[r.id] = r
	if old == nil {
		t.count.Add(1)
	}
	return old
}

// remove takes r out, and says how many are left, if it was in.
func (t *table) remove(r *run) (left int, ok bool) {
	s := &t.shards[t.shard(r.id)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runs[r.id] != r {
		return 0, false
	}
	delete(s.runs, r.id)
	return int(t.count.Add(-1)), true
}

// all gives every run that is in now.
func (t *table) all() (runs []*run) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for _, r := range s.runs {
			runs = append(runs, r)
		}
		s.mu.Unlock()
	}
	return runs
}
