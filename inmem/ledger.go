package inmem

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/skald-go/skald/broker"
)

var _ broker.Ledger = (*Broker)(nil)

// ledger is a list, until it is forgotten.
type ledger struct {
	entries []broker.LedgerEntry
	until   time.Time
}

type ledgerKey struct{ topic, key string }

// ledger gives a list, or nil. b is locked.
func (b *Bus) ledger(name ledgerKey) *ledger {
	l := b.ledgers[name]
	if l != nil && !time.Now().Before(l.until) {
		delete(b.ledgers, name)
		return nil
	}
	return l
}

// Entries implements broker.Ledger.
func (b *Broker) Entries(ctx context.Context, topic, key string) ([]broker.LedgerEntry, error) {
	if err := b.usable(ctx); err != nil {
		return nil, fmt.Errorf("inmem: entries of %q on %q: %w", key, topic, err)
	}
	b.bus.mu.Lock()
	defer b.bus.mu.Unlock()
	l := b.bus.ledger(ledgerKey{topic, key})
	if l == nil {
		return nil, nil
	}
	all := slices.Clone(l.entries)
	for i := range all {
		all[i].Data = slices.Clone(all[i].Data)
	}
	return all, nil
}

// Add implements broker.Ledger.
func (b *Broker) Add(ctx context.Context, topic, key string, after int, entry broker.LedgerEntry, keep time.Duration, events ...broker.Publication) error {
	err := b.usable(ctx)
	if err == nil {
		err = b.bus.enter(ledgerKey{topic, key}, after, entry, keep, events)
	}
	if err != nil {
		return fmt.Errorf("inmem: add %q to %q on %q: %w", entry.ID, key, topic, err)
	}
	return nil
}

func (b *Bus) enter(name ledgerKey, after int, entry broker.LedgerEntry, keep time.Duration, events []broker.Publication) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forgetLedgers()
	l := b.ledger(name)
	if l == nil {
		l = &ledger{}
	}
	if slices.ContainsFunc(l.entries, func(e broker.LedgerEntry) bool { return e.ID == entry.ID }) {
		return nil
	}
	if len(l.entries) != after {
		return broker.ErrStale
	}
	entry.Data = slices.Clone(entry.Data)
	l.entries, l.until = append(l.entries, entry), time.Now().Add(keep)
	b.ledgers[name] = l
	b.publishLocked(events)
	return nil
}

// forgetLedgers drops a few lists whose time is over, if there are any among those that it meets. b is locked.
func (b *Bus) forgetLedgers() {
	met := 0
	for name := range b.ledgers {
		if b.ledger(name); met == 4 {
			return
		}
		met++
	}
}
