package inmem

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/skald-go/skald/broker"
)

// Lookup implements broker.Broker.
func (b *Broker) Lookup(ctx context.Context, id string, journal bool) (broker.Snapshot, error) {
	if err := b.usable(ctx); err != nil {
		return broker.Snapshot{}, fmt.Errorf("inmem: look up %q: %w", id, err)
	}
	shot, ok := b.lookup(id, journal)
	if !ok {
		return broker.Snapshot{}, fmt.Errorf("inmem: look up %q: %w", id, broker.ErrUnknown)
	}
	return shot, nil
}

func (b *Broker) lookup(id string, journal bool) (broker.Snapshot, bool) {
	sh := b.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := b.find(id)
	if s == nil || s.state == unborn {
		return broker.Snapshot{}, false
	}
	return b.snapshot(s, journal), true
}

// List implements broker.Broker.
func (b *Broker) List(ctx context.Context, f broker.Filter) iter.Seq2[broker.Snapshot, error] {
	return func(yield func(broker.Snapshot, error) bool) {
		for _, id := range b.ids(f) {
			if err := b.usable(ctx); err != nil {
				yield(broker.Snapshot{}, fmt.Errorf("inmem: list: %w", err))
				return
			}
			if shot, ok := b.lookup(id, false); ok && matches(f, shot.State, shot.Flow) && !yield(shot, nil) {
				return
			}
		}
		if err := b.usable(ctx); err != nil {
			yield(broker.Snapshot{}, fmt.Errorf("inmem: list: %w", err))
		}
	}
}

// ids gives the IDs that f selects, in order.
func (b *Broker) ids(f broker.Filter) []string {
	b.tidyKept()
	var ids []string
	for i := range b.shards {
		ids = append(ids, b.shards[i].ids(f)...)
	}
	slices.Sort(ids)
	return ids
}

func (sh *shard) ids(f broker.Filter) []string {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	var ids []string
	for id, s := range sh.sagas {
		if s.state != unborn && id > f.After && matches(f, s.state, s.Flow) {
			ids = append(ids, id)
		}
	}
	return ids
}

func matches(f broker.Filter, state broker.State, flow string) bool {
	return (f.State == 0 || f.State == state) && (f.Flow == "" || f.Flow == flow)
}

// Stats implements broker.Broker.
func (b *Broker) Stats(ctx context.Context) (broker.Stats, error) {
	if err := b.usable(ctx); err != nil {
		return broker.Stats{}, fmt.Errorf("inmem: count sagas: %w", err)
	}
	b.tidyKept()
	var states [broker.Finished + 1]int
	for i := range b.shards {
		b.shards[i].count(&states)
	}
	stats := broker.Stats{
		Ready: states[broker.Ready], Owned: states[broker.Owned], Parked: states[broker.Parked],
		Held: states[broker.Held], Buried: states[broker.Buried], Finished: states[broker.Finished],
	}
	b.queue.count(&stats)
	return stats, nil
}

func (sh *shard) count(states *[broker.Finished + 1]int) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for state, sagas := range sh.states {
		states[state] += sagas
	}
}
