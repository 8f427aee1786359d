package redisx

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
)

// partition is a share of the sagas, in keys of its own that are on one node of a cluster.
type partition struct {
	b      *Broker
	number int
	prefix string
	keys   []string     // the hash of workers, from which the scripts know the others
	hot    *writer      // of what most sagas are made of
	cold   *writer      // of everything else
	ahead  atomic.Int64 // ms by which the server's clock is ahead

	events *writer // of what is published

	sweeping, reading alone
	tidied            time.Time // known to the goroutine that sweeps
}

func newPartition(b *Broker, number int) *partition {
	prefix := partitionPrefix(b.opts.Namespace, number)
	p := &partition{b: b, number: number, prefix: prefix, keys: []string{prefix + "w"}}
	p.hot = newWriter(b, func() sender { return &hotBatch{p: p, ids: make(map[string]struct{})} })
	p.cold = newWriter(b, func() sender { return &coldBatch{p: p, numbers: make(map[string]int)} })
	p.events = newWriter(b, func() sender { return &eventBatch{p: p} })
	p.events.flights = 1
	return p
}

// partition gives the partition of a saga: that of its root, so that a saga and those that it starts are together.
func (b *Broker) partition(id string) *partition {
	return b.parts[partitionOf(id, len(b.parts))]
}

// part gives a partition by its number, or nil.
func (b *Broker) part(number uint16) *partition {
	if int(number) < len(b.parts) {
		return b.parts[number]
	}
	return nil
}

// byPartition groups IDs by their partitions.
func (b *Broker) byPartition(ids []string) map[*partition][]string {
	groups := make(map[*partition][]string)
	for _, id := range ids {
		p := b.partition(id)
		groups[p] = append(groups[p], id)
	}
	return groups
}

func partitionOf(id string, partitions int) int {
	if partitions == 1 {
		return 0
	}
	root, _, _ := strings.Cut(id, "/")
	return int(xxhash.Sum64String(root) % uint64(partitions))
}

// clocked notes the server's time, in ms, of an answer that has just come.
func (p *partition) clocked(now int64) {
	p.ahead.Store(now - time.Now().UnixMilli())
}

// now is the server's time in ms, as far as it is known here. It is for people; what acts at a time goes by the server's clock.
func (p *partition) now() uint64 { return p.at(time.Now()) }

// at is now for another time here.
func (p *partition) at(t time.Time) uint64 {
	return uint64(t.UnixMilli() + p.ahead.Load())
}

// write sends o, a start, with the next hot batch, and gives the line after it. It tells whether it has to go through apply.lua instead.
func (p *partition) write(ctx context.Context, o *op) (line string, cold bool, err error) {
	if err := p.do(ctx, p.hot, o); err != nil {
		return "", false, err
	}
	defer o.release()
	return o.after, o.code == saysCold, nil
}

// do sends o with the next batch of a writer and waits for the answer. If it gives an error, o may still be sent or have been applied;
// otherwise the caller releases o.
func (p *partition) do(ctx context.Context, w *writer, o *op) error {
	if err := w.do(ctx, o); err != nil {
		return p.b.passing(ctx, err)
	}
	return nil
}
