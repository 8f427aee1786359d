package redisx

import (
	"context"
	"fmt"
	"time"

	"github.com/skald-go/skald/broker"
)

var _ broker.Ledger = (*Broker)(nil)

// ledgerIn gives the partition of a list: that of events with its key.
func (b *Broker) ledgerIn(key string) *partition {
	return b.parts[eventPartition(broker.Publication{Key: key}, len(b.parts))]
}

// Entries implements broker.Ledger.
func (b *Broker) Entries(ctx context.Context, topic, key string) ([]broker.LedgerEntry, error) {
	home := b.home
	err := home.usable(ctx)
	var stored []string
	if err == nil {
		stored, err = ask(ctx, home, func(ctx context.Context) (list []string, err error) {
			err = home.persist(ctx, func() error {
				list, err = home.client.LRange(ctx, home.ledgerIn(key).prefix+"el:"+topic+"/"+key, 0, -1).Result()
				return err
			})
			return list, err
		})
	}
	var all []broker.LedgerEntry
	for _, s := range stored {
		id, data, ok := cutText(s)
		if !ok {
			err = errReply
		}
		all = append(all, broker.LedgerEntry{ID: id, Data: []byte(data)})
	}
	if err != nil {
		return nil, fmt.Errorf("redisx: entries of %q on %q: %w", key, topic, err)
	}
	return all, nil
}

// Add implements broker.Ledger.
func (b *Broker) Add(ctx context.Context, topic, key string, after int, entry broker.LedgerEntry, keep time.Duration, events ...broker.Publication) error {
	err := b.home.usable(ctx)
	if err == nil {
		err = b.home.add(ctx, topic, key, after, entry, keep, events)
	}
	if err != nil {
		return fmt.Errorf("redisx: add %q to %q on %q: %w", entry.ID, key, topic, err)
	}
	return nil
}

func (b *Broker) add(ctx context.Context, topic, key string, after int, entry broker.LedgerEntry, keep time.Duration, events []broker.Publication) error {
	if !soundName(topic) || key == "" {
		return errEvent
	}
	args := append(b.opts.Bus.words(), topic, key, after, max(1, ceilMillis(keep)), entry.ID, entry.Data, topic, len(events))
	if len(events) == 0 {
		args = args[:len(args)-2]
	}
	for _, ev := range events {
		args = append(args, ev.ID, appendPublication(nil, ev))
	}
	p := b.ledgerIn(key)
	added, err := ask(ctx, b, func(ctx context.Context) (any, error) {
		return p.insist(ctx, busAdd, args, b.opts.Durability != (Durability{}))
	})
	switch {
	case err != nil:
		return err
	case number(added) == 0:
		return broker.ErrStale
	}
	return nil
}
