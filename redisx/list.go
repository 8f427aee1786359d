package redisx

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/skald-go/skald/broker"
)

const (
	scanned = 1000 // keys or fields that the server looks at for one answer
	looked  = 100  // sagas that are read at once
)

// List implements broker.Broker. It reads the names of all sagas that f may select before it gives the first: it is for people.
// Finished sagas are found by a walk over all keys of the server.
func (b *Broker) List(ctx context.Context, f broker.Filter) iter.Seq2[broker.Snapshot, error] {
	return func(yield func(broker.Snapshot, error) bool) {
		if err := b.walk(ctx, f, func(s broker.Snapshot) bool { return yield(s, nil) }); err != nil {
			yield(broker.Snapshot{}, fmt.Errorf("redisx: list: %w", err))
		}
	}
}

func (b *Broker) walk(ctx context.Context, f broker.Filter, yield func(broker.Snapshot) bool) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	ids, err := ask(ctx, b, func(ctx context.Context) ([]string, error) { return b.ids(ctx, f) })
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(ids, looked) {
		if err := b.usable(ctx); err != nil {
			return err
		}
		shots, err := ask(ctx, b, func(ctx context.Context) ([]*broker.Snapshot, error) { return b.look(ctx, chunk) })
		if err != nil {
			return err
		}
		for _, s := range shots {
			if s != nil && matches(f, s.State, s.Flow) && !yield(*s) {
				return nil
			}
		}
	}
	return nil
}

func matches(f broker.Filter, state broker.State, flow string) bool {
	return (f.State == 0 || f.State == state) && (f.Flow == "" || f.Flow == flow)
}

// look reads sagas of all partitions, in the order of their IDs.
func (b *Broker) look(ctx context.Context, ids []string) ([]*broker.Snapshot, error) {
	found := make(map[string]*broker.Snapshot, len(ids))
	for p, own := range b.byPartition(ids) {
		shots, err := p.look(ctx, own, false)
		if err != nil {
			return nil, err
		}
		for i, id := range own {
			found[id] = shots[i]
		}
	}
	shots := make([]*broker.Snapshot, len(ids))
	for i, id := range ids {
		shots[i] = found[id]
	}
	return shots, nil
}

// ids gives the IDs that f may select, in order.
func (b *Broker) ids(ctx context.Context, f broker.Filter) ([]string, error) {
	var ids []string
	for _, p := range b.parts {
		found, err := p.ids(ctx, f)
		if err != nil {
			return nil, err
		}
		ids = append(ids, found...)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// ids gives the IDs that f may select, in any order, some of them twice.
func (p *partition) ids(ctx context.Context, f broker.Filter) ([]string, error) {
	var ids []string
	if f.State == broker.Buried { // they are few, and known
		buried, err := p.b.client.SMembers(ctx, p.prefix+"dl").Result()
		return slices.DeleteFunc(buried, func(id string) bool { return id <= f.After }), err
	}
	if f.State != broker.Finished {
		err := scan(ctx, func(cursor uint64) *redis.ScanCmd {
			return p.b.client.HScan(ctx, p.prefix+"m", cursor, "", scanned)
		}, func(found []string) error {
			for i := 0; i+1 < len(found); i += 2 {
				if l, _, err := parseLine(found[i+1]); err == nil && found[i] > f.After && matches(f, l.state, l.served.Flow) {
					ids = append(ids, found[i])
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if f.State == 0 || f.State == broker.Finished {
		results, err := p.results(ctx, f.After)
		if err != nil {
			return nil, err
		}
		ids = append(ids, results...)
	}
	return ids, nil
}

// results gives the IDs of finished sagas after one.
func (p *partition) results(ctx context.Context, after string) ([]string, error) {
	var client redis.Cmdable = p.b.client
	if cluster, ok := p.b.client.(*redis.ClusterClient); ok {
		node, err := cluster.MasterForKey(ctx, p.keys[0])
		if err != nil {
			return nil, err
		}
		client = node
	}
	prefix := p.prefix + "r:"
	var ids []string
	err := scan(ctx, func(cursor uint64) *redis.ScanCmd {
		return client.Scan(ctx, cursor, escapeGlob(prefix)+"*", scanned)
	}, func(found []string) error {
		for _, key := range found {
			if id := strings.TrimPrefix(key, prefix); id > after {
				ids = append(ids, id)
			}
		}
		return nil
	})
	return ids, err
}

// scan follows a cursor to its end.
func scan(ctx context.Context, step func(cursor uint64) *redis.ScanCmd, found func([]string) error) error {
	for cursor := uint64(0); ; {
		page, next, err := step(cursor).Result()
		if err != nil {
			return err
		}
		if err := found(page); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return ctx.Err()
		}
	}
}

// Stats implements broker.Broker. Finished counts some sagas up to a 64th of their Transition.Keep longer than they are kept,
// and at least up to a second.
func (b *Broker) Stats(ctx context.Context) (broker.Stats, error) {
	stats, err := b.stats(ctx)
	if err != nil {
		return broker.Stats{}, fmt.Errorf("redisx: count sagas: %w", err)
	}
	return stats, nil
}

func (b *Broker) stats(ctx context.Context) (broker.Stats, error) {
	if err := b.usable(ctx); err != nil {
		return broker.Stats{}, err
	}
	return ask(ctx, b, func(ctx context.Context) (broker.Stats, error) {
		var all broker.Stats
		for _, p := range b.parts {
			stats, err := p.stats(ctx)
			if err != nil {
				return all, err
			}
			all = sum(all, stats)
		}
		return all, nil
	})
}

func sum(x, y broker.Stats) broker.Stats {
	return broker.Stats{
		Ready: x.Ready + y.Ready, Owned: x.Owned + y.Owned, Parked: x.Parked + y.Parked, Held: x.Held + y.Held,
		Buried: x.Buried + y.Buried, Finished: x.Finished + y.Finished, Stranded: x.Stranded + y.Stranded,
		Workers: max(x.Workers, y.Workers), Oldest: max(x.Oldest, y.Oldest),
	}
}

func (p *partition) stats(ctx context.Context) (broker.Stats, error) {
	v, err := p.list(ctx, 8, countScript)
	if err != nil {
		return broker.Stats{}, err
	}
	stats := broker.Stats{
		Owned: int(number(v[0])), Parked: int(number(v[1])), Held: int(number(v[2])), Buried: int(number(v[3])),
		Finished: int(number(v[4])), Workers: int(number(v[5])),
	}
	workers, lanes := parseProfiles(values(v[6])), values(v[7])
	for i := 0; i+2 < len(lanes); i += 3 {
		served, rejected, err := parseLane(text(lanes[i]))
		if err != nil {
			return broker.Stats{}, err
		}
		ready := int(number(lanes[i+1]))
		stats.Ready += ready
		if !workers.take(served, rejected) {
			stats.Stranded += ready
		}
		stats.Oldest = max(stats.Oldest, time.Duration(number(lanes[i+2]))*time.Millisecond)
	}
	return stats, nil
}
