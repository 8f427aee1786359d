package redisx

import (
	"context"
	"fmt"
	"slices"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/skald-go/skald/broker"
)

// Lookup implements broker.Broker.
func (b *Broker) Lookup(ctx context.Context, id string, journal bool) (broker.Snapshot, error) {
	if err := b.usable(ctx); err != nil {
		return broker.Snapshot{}, failed("look up", id, err)
	}
	shots, err := ask(ctx, b, func(ctx context.Context) ([]*broker.Snapshot, error) {
		return b.partition(id).look(ctx, []string{id}, journal)
	})
	switch {
	case err != nil:
		return broker.Snapshot{}, failed("look up", id, err)
	case shots[0] == nil:
		return broker.Snapshot{}, failed("look up", id, broker.ErrUnknown)
	}
	return *shots[0], nil
}

// look reads sagas; those that do not exist are nil. Nobody is told of an end that a failover may take back: where writes are confirmed, so is
// an end that is read.
func (p *partition) look(ctx context.Context, ids []string, journal bool) ([]*broker.Snapshot, error) {
	args := make([]any, 0, 1+len(ids))
	args = append(args, flag(journal))
	for i := range ids {
		args = append(args, &ids[i])
	}
	shots, err := p.lookOnce(ctx, ids, journal, args, false)
	if p.b.opts.Durability != (Durability{}) && slices.ContainsFunc(shots, ended) {
		return p.lookOnce(ctx, ids, journal, args, true)
	}
	return shots, err
}

func ended(s *broker.Snapshot) bool { return s != nil && s.State >= broker.Held }

func (p *partition) lookOnce(ctx context.Context, ids []string, journal bool, args []any, confirm bool) ([]*broker.Snapshot, error) {
	raw, err := p.insist(ctx, lookScript, args, confirm)
	reply, err := listOf(1+len(ids), raw, err)
	if err != nil {
		return nil, err
	}
	workers := parseProfiles(values(reply[len(ids)]))
	shots := make([]*broker.Snapshot, len(ids))
	for i, id := range ids {
		if stored := values(reply[i]); len(stored) > 0 {
			if shots[i], err = parseSnapshot(id, stored, journal, workers); err != nil {
				return nil, fmt.Errorf("saga %q: %w", id, err)
			}
		}
	}
	return shots, nil
}

func flag(set bool) int {
	if set {
		return 1
	}
	return 0
}

// parseResult reads what is kept of a finished saga.
func parseResult(id, result string) (broker.Snapshot, error) {
	l, outcome, err := parseCard(result)
	if err != nil {
		return broker.Snapshot{}, err
	}
	shot := broker.Snapshot{State: l.state, Since: l.since, Outcome: bytesOf(outcome)}
	shot.Start, shot.Rev, shot.Takeovers = l.start(id), l.rev, l.takeovers
	return shot, nil
}

// parseSnapshot reads what look.lua answers of a saga: its result, or its outcome so far and what is stored of it.
func parseSnapshot(id string, v []any, journal bool, workers profiles) (*broker.Snapshot, error) {
	if len(v) == 1 {
		shot, err := parseResult(id, text(v[0]))
		return &shot, err
	}
	l, record, _, err := parseRecord(values(v[1]))
	if err != nil {
		return nil, err
	}
	if !journal {
		record.Journal, record.Memo = nil, nil
	}
	shot := &broker.Snapshot{Record: *record, State: l.state, Since: l.since, Wake: l.wake, Outcome: bytesOf(text(v[0]))}
	switch l.state {
	case broker.Owned:
		shot.Owner = workers[l.owner].Name
	case broker.Ready:
		shot.Stranded = !workers.take(l.served, l.rejected)
	}
	return shot, nil
}

func bytesOf(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

// profiles are what the living workers say of themselves, by token.
type profiles map[string]profile

// parseProfiles passes over what it cannot read: a worker of another version.
func parseProfiles(v []any) profiles {
	workers := make(profiles, len(v)/2)
	for i := 0; i+1 < len(v); i += 2 {
		var p profile
		if msgpack.Unmarshal([]byte(text(v[i+1])), &p) == nil {
			workers[text(v[i])] = p
		}
	}
	return workers
}

// take tells whether one of the workers takes sagas that some builds have rejected.
func (workers profiles) take(served broker.Served, rejected []string) bool {
	name := string(appendServed(nil, served))
	for _, w := range workers {
		if slices.Contains(w.Flows, name) && !slices.Contains(rejected, w.Build) {
			return true
		}
	}
	return false
}
