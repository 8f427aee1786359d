package flow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
)

// Exported is a saga as a broker had it, with the children that it has begun and that have not ended: it cannot go on without
// them. Export takes one, Write makes a file of it, ReadExport reads that, and Import stores it in a broker.
type Exported struct {
	At    time.Time         // when it was taken
	Sagas []broker.Snapshot // the saga itself, then what it has begun, parents before children
}

// ID is that of the saga.
func (x Exported) ID() string {
	if len(x.Sagas) == 0 {
		return ""
	}
	return x.Sagas[0].ID
}

// exportReads is how often a saga with children is read until two reads are alike.
const exportReads = 20

// Export reads a saga that has not ended, with its children; given a child, it reads the saga that it belongs to. It changes nothing.
//
// The saga may run meanwhile: what is read is how it stood at one moment. If it has children and all of them move too fast to be read at
// one moment, the error says so: try again when it waits or is a dead letter. ErrUnknown says that there is no such saga, ErrSettled
// that it has ended, so that there is nothing to go on with.
func Export(ctx context.Context, b broker.Broker, id string) (Exported, error) {
	if b == nil {
		return Exported{}, fmt.Errorf("flow: export saga %q: %w: the broker is nil", id, ErrZero)
	}
	root, _, _ := strings.Cut(id, "/")
	var before []broker.Snapshot
	for range exportReads {
		now, err := exported(ctx, b, root)
		switch {
		case err != nil:
			return Exported{}, fmt.Errorf("flow: export saga %q: %w", root, translate(err))
		case len(now) == 1, slices.EqualFunc(before, now, unmoved):
			return Exported{At: time.Now().UTC(), Sagas: now}, nil
		}
		before = now
	}
	return Exported{}, fmt.Errorf("flow: export saga %q: it and its children moved on while they were read: "+
		"export it when it waits or is a dead letter, or when no engine runs", root)
}

// unmoved says that a saga has not changed between two reads.
func unmoved(a, b broker.Snapshot) bool {
	return a.ID == b.ID && a.State == b.State && a.Rev == b.Rev && a.Takeovers == b.Takeovers &&
		slices.EqualFunc(a.Mail, b.Mail, func(x, y broker.Event) bool { return x.ID == y.ID })
}

// exported reads a saga and its children once.
func exported(ctx context.Context, b broker.Broker, id string) ([]broker.Snapshot, error) {
	s, err := b.Lookup(ctx, id, true)
	switch {
	case err != nil:
		return nil, err
	case s.State == broker.Finished:
		return nil, fmt.Errorf("it has ended: %w", ErrSettled)
	}
	s.By = nil
	all := []broker.Snapshot{s}
	for _, child := range childrenOf(s) {
		kids, err := exported(ctx, b, child)
		if errors.Is(err, broker.ErrUnknown) || errors.Is(err, ErrSettled) {
			continue // its parent has heard of its end
		}
		if err != nil {
			return nil, err
		}
		all = append(all, kids...)
	}
	return all, nil
}

// childrenOf gives the IDs of the children that a saga has begun.
func childrenOf(s broker.Snapshot) (ids []string) {
	header, err := saga.DecodeHeader(s.Record.Record)
	if err != nil {
		return nil
	}
	for _, entry := range s.Journal {
		if f, err := saga.DecodeFact(entry, header.Started); err == nil && f.Kind == saga.Begun {
			ids = append(ids, s.ID+"/"+f.Path)
		}
	}
	return ids
}

// Import stores an exported saga in a broker, as it was: input, journal, mail, revision and the times at which it wakes. A dead letter is a
// dead letter there, and a saga that was running goes on when an engine serves its flow and version. What ran when it was exported counts
// as interrupted by the death of its worker: its outcome is unknown, and it is tried again or undone.
//
// An export is a copy. If the first one goes on too, its effects happen twice: import it where they are meant to happen, and not beside
// the first.
//
// A saga with locks or a key (Flow.Lock, Flow.KeyedBy) cannot be imported: they keep other sagas away from what it works on where it is, and a
// copy would hold them twice, or nowhere. The error says so, with errors.ErrUnsupported.
//
// ErrConflict says that the ID exists: nothing was changed. Where the saga has children, they are stored before it; an Import that broke off
// between them is completed by another of the same export. Once it has begun to store, Import repeats what fails in passing until ctx ends. An error
// with errors.ErrUnsupported says that the broker is no broker.Restorer.
func Import(ctx context.Context, b broker.Broker, x Exported) error {
	if err := x.importTo(ctx, b); err != nil {
		return fmt.Errorf("flow: import saga %q: %w", x.ID(), translate(err))
	}
	return nil
}

func (x Exported) importTo(ctx context.Context, b broker.Broker) error {
	if b == nil {
		return fmt.Errorf("%w: the broker is nil", ErrZero)
	}
	restorer, ok := b.(broker.Restorer)
	if !ok {
		return fmt.Errorf("a %T cannot restore sagas: %w", b, errors.ErrUnsupported)
	}
	if err := x.check(); err != nil {
		return err
	}
	if claims := claimed(x.Sagas[0]); len(claims) > 0 {
		return fmt.Errorf("it claims the %v, which belongs to where it is: let it end there: %w", claims[0], errors.ErrUnsupported)
	}
	_, err := b.Lookup(ctx, x.ID(), false)
	switch {
	case err == nil:
		return fmt.Errorf("it exists there, and was not changed: %w", broker.ErrConflict)
	case !errors.Is(err, broker.ErrUnknown):
		return err
	}
	call := "import-" + x.sum()
	for _, s := range slices.Backward(x.Sagas) {
		s = interrupted(s)
		if err := insist(ctx, func() error { return restorer.Restore(ctx, s, call) }); err != nil {
			return fmt.Errorf("store %q: %w", s.ID, err)
		}
	}
	return nil
}

// interrupted is s without an owner: as a saga is whose worker has died.
func interrupted(s broker.Snapshot) broker.Snapshot {
	if s.State == broker.Owned {
		s.State, s.Takeovers = broker.Ready, max(1, s.Takeovers)
	}
	return s
}

// sum names what is exported.
func (x Exported) sum() string {
	hash := sha256.New()
	for _, s := range x.Sagas {
		hash.Write([]byte(fileOf(s).sum(x.At)))
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}
