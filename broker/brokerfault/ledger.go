package brokerfault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skald-go/skald/broker"
)

var _ broker.Ledger = (*Broker)(nil)

func (b *Broker) ledger() (broker.Ledger, error) {
	if l, ok := b.Broker.(broker.Ledger); ok {
		return l, nil
	}
	return nil, fmt.Errorf("brokerfault: a %T has no ledger: %w", b.Broker, errors.ErrUnsupported)
}

// Entries implements broker.Ledger.
func (b *Broker) Entries(ctx context.Context, topic, key string) ([]broker.LedgerEntry, error) {
	l, err := b.ledger()
	if err != nil {
		return nil, err
	}
	return call(ctx, b, operation[[]broker.LedgerEntry]{
		method: Entries, id: key, do: func() ([]broker.LedgerEntry, error) { return l.Entries(ctx, topic, key) },
	})
}

// Add implements broker.Ledger.
func (b *Broker) Add(ctx context.Context, topic, key string, after int, entry broker.LedgerEntry, keep time.Duration, events ...broker.Publication) error {
	l, err := b.ledger()
	if err != nil {
		return err
	}
	_, err = call(ctx, b, operation[none]{
		method: Add, id: key + entry.ID, do: func() (none, error) { return none{}, l.Add(ctx, topic, key, after, entry, keep, events...) },
	})
	return err
}
