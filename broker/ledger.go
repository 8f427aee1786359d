package broker

import (
	"context"
	"time"
)

// Ledger is a Bus that also keeps short lists, to which several processes add, each entry together with the events that tell of it. flow.Open asks
// for it. A list is of a topic and named by a key.
type Ledger interface {
	// Entries gives a list, in order; nothing if there is none, or none any more.
	Entries(ctx context.Context, topic, key string) ([]LedgerEntry, error)

	// Add adds entry to a list that has as many entries as after says, publishes events, whose Topic and Key are those of the list, and keeps the list for keep
	// from now on: all or nothing. ErrStale says that the list has another number of entries: read it again. An entry whose ID the list has was
	// added before: that is acknowledged, and changes nothing.
	Add(ctx context.Context, topic, key string, after int, entry LedgerEntry, keep time.Duration, events ...Publication) error
}

// LedgerEntry is one entry of a list.
type LedgerEntry struct {
	ID   string // once in a list
	Data []byte
}
