package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/skald-go/skald/flow"
)

// claimed is a row that is this relay's until its lease ends.
type claimed struct {
	id               int64
	name             string
	version          int
	saga             string
	payload, headers []byte
	at               int64         // when it was claimed
	tried            sql.NullInt64 // when the first start was made that nobody knows the end of, before this claim
	attempts         int           // that were refused
}

// claim takes up to limit rows that are due, and of those with one key the first. The tried time is set for whoever comes next, in case that this relay dies. Rows that
// another relay is claiming are passed over in PostgreSQL; in SQLite one claims after the other.
func (r *Relay) claim(ctx context.Context, claim string, limit int) ([]claimed, error) {
	table, _ := r.opts.Table.table()
	now := time.Now()
	args := []any{claim, now.Add(r.opts.Lease).UnixMilli(), now.UnixMilli(), stateWaiting, kindStart}
	locking := ""
	if r.opts.Dialect == PostgreSQL {
		locking = " FOR UPDATE OF r SKIP LOCKED"
	}
	flows, args := r.among(args)
	query := fmt.Sprintf(`WITH picked AS MATERIALIZED (
  SELECT r.id AS picked_id FROM %[1]s r
  WHERE r.state = $4 AND r.kind = $5 AND r.due <= $3 AND (%[2]s)
  AND NOT EXISTS (SELECT 1 FROM %[1]s e WHERE e.order_key = r.order_key AND e.id < r.id AND e.state = $4)
  ORDER BY r.id LIMIT %[3]d%[4]s)
UPDATE %[1]s SET claim = $1, due = $2, tried = COALESCE(tried, $3) FROM picked WHERE id = picked_id
RETURNING id, name, version, saga, payload, headers, tried, attempts`, table, flows, limit, locking)
	rows, err := r.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("outbox: claim rows of %s: %w", table, err)
	}
	all, err := scan(rows, now.UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("outbox: claim rows of %s: %w", table, err)
	}
	return all, nil
}

// among is the condition that a row is of a flow that the relay serves.
func (r *Relay) among(args []any) (string, []any) {
	var conditions []string
	for _, s := range r.flows {
		args = append(args, s.name, s.version)
		conditions = append(conditions, fmt.Sprintf("r.name = $%d AND r.version = $%d", len(args)-1, len(args)))
	}
	return strings.Join(conditions, " OR "), args
}

func scan(rows *sql.Rows, now int64) (all []claimed, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		c := claimed{at: now}
		if err := rows.Scan(&c.id, &c.name, &c.version, &c.saga, &c.payload, &c.headers, &c.tried, &c.attempts); err != nil {
			return nil, err
		}
		c.tried.Valid = c.tried.Int64 != now // else it is this claim's
		all = append(all, c)
	}
	return all, rows.Err()
}

// release lets a row go whose saga was not started, or of which nobody knows: it is due again after a while, or set aside.
func (r *Relay) release(ctx context.Context, claim string, c claimed, why error) error {
	table, _ := r.opts.Table.table()
	now := time.Now()
	state, due, attempts, tried := stateWaiting, now, c.attempts, c.tried
	switch {
	case errors.Is(why, context.Canceled): // the relay ends, and another one goes on at once
		tried = c.since()
	case hopeless(why):
		attempts++
		due = now.Add(min(time.Second<<min(attempts, 10), time.Minute))
	case errors.Is(why, flow.ErrOverloaded), errors.Is(why, flow.ErrEnded): // certainly not started
		due = now.Add(time.Second)
	default:
		tried = c.since()
		due = now.Add(min(max(now.Sub(time.UnixMilli(tried.Int64)), 100*time.Millisecond), 30*time.Second)) // which doubles
	}
	if attempts >= r.opts.Attempts || errors.Is(why, errForgotten) {
		state = stateStuck
	}
	n, err := affected(r.db.ExecContext(ctx, "UPDATE "+table+
		" SET claim = NULL, state = $1, due = $2, attempts = $3, tried = $4, error = $5 WHERE id = $6 AND claim = $7",
		state, due.UnixMilli(), attempts, tried, why.Error(), c.id, claim))
	if err != nil {
		return fmt.Errorf("outbox: release a row of %s: %w", table, err)
	}
	if state == stateStuck && n == 1 {
		r.opts.Logger.Error("outbox: a start is set aside", "row", c.id, "flow", c.name, "saga", c.saga, "error", why)
	}
	return nil
}

// since is when the first start was made that nobody knows the end of, with this claim's.
func (c claimed) since() sql.NullInt64 {
	if c.tried.Valid {
		return c.tried
	}
	return sql.NullInt64{Int64: c.at, Valid: true}
}

// delete forgets rows whose sagas are durable, whoever has claimed them meanwhile.
func (r *Relay) delete(ctx context.Context, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	table, _ := r.opts.Table.table()
	if _, err := r.db.ExecContext(ctx, "DELETE FROM "+table+" WHERE id IN ("+list(ids)+")"); err != nil {
		return fmt.Errorf("outbox: delete rows of %s whose sagas are started: %w", table, err)
	}
	return nil
}

// sweep sets rows aside that have waited for too long for somebody who serves their flow.
func (r *Relay) sweep(ctx context.Context) error {
	table, _ := r.opts.Table.table()
	why := fmt.Sprintf("outbox: no relay has served this flow for %v", r.opts.Unserved)
	args := []any{stateStuck, why, stateWaiting, kindStart, time.Now().Add(-r.opts.Unserved).UnixMilli()}
	flows, args := r.among(args)
	n, err := affected(r.db.ExecContext(ctx, "UPDATE "+table+" AS r SET state = $1, error = $2 WHERE r.state = $3 AND r.kind = $4 AND r.written < $5"+
		" AND r.claim IS NULL AND r.attempts = 0 AND NOT ("+flows+")", args...))
	if err != nil {
		return fmt.Errorf("outbox: look for rows of %s that nobody serves: %w", table, err)
	}
	if n > 0 {
		r.opts.Logger.Error("outbox: starts are set aside whose flows no relay serves", "rows", n)
	}
	return nil
}

func affected(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
