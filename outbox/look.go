package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Stats tells how far the relays of a table are behind.
type Stats struct {
	Waiting int           // rows that are to be started
	Stuck   int           // rows that are set aside
	Lag     time.Duration // since the oldest waiting row was written; 0 if there is none
}

// Row is a start that is written and not made.
type Row struct {
	ID       int64
	Flow     string
	Version  int
	Saga     string
	Key      string // of Keyed
	Written  time.Time
	Attempts int    // that were refused
	Error    string // of the last attempt
}

// Stats counts the rows.
func (t Table) Stats(ctx context.Context, db *sql.DB) (s Stats, err error) {
	table, err := t.table()
	if err != nil {
		return s, err
	}
	var oldest sql.NullInt64
	err = db.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM "+table+" WHERE state = $1), (SELECT count(*) FROM "+table+" WHERE state = $2),"+
		" (SELECT min(written) FROM "+table+" WHERE state = $1)", stateWaiting, stateStuck).Scan(&s.Waiting, &s.Stuck, &oldest)
	if err != nil {
		return s, fmt.Errorf("outbox: count the rows of %s: %w", table, err)
	}
	if oldest.Valid {
		s.Lag = max(time.Since(time.UnixMilli(oldest.Int64)), 0)
	}
	return s, nil
}

// Stuck lists rows that are set aside, the oldest first.
func (t Table) Stuck(ctx context.Context, db *sql.DB, limit int) ([]Row, error) {
	table, err := t.table()
	if err != nil {
		return nil, err
	}
	all, err := t.rows(ctx, db, "SELECT id, name, version, saga, COALESCE(order_key, ''), written, attempts, COALESCE(error, '') FROM "+table+
		" WHERE state = $1 ORDER BY id LIMIT $2", stateStuck, limit)
	if err != nil {
		return nil, fmt.Errorf("outbox: list the rows of %s: %w", table, err)
	}
	return all, nil
}

func (t Table) rows(ctx context.Context, db *sql.DB, query string, args ...any) (all []Row, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r Row
		var written int64
		if err := rows.Scan(&r.ID, &r.Flow, &r.Version, &r.Saga, &r.Key, &written, &r.Attempts, &r.Error); err != nil {
			return nil, err
		}
		r.Written = time.UnixMilli(written)
		all = append(all, r)
	}
	return all, rows.Err()
}

// Requeue has rows that were set aside started after all, as if they had just been written. Of a row that was set aside because its saga may have been
// forgotten, make sure first that it was not started. It returns how many rows there were.
func (t Table) Requeue(ctx context.Context, db *sql.DB, ids ...int64) (int64, error) {
	return t.change(ctx, db, "requeue", ids, func(table string) (string, []any) {
		return "UPDATE " + table + " SET state = $1, due = $2, written = $2, attempts = 0, tried = NULL, error = NULL WHERE state = $3 AND id IN (" + list(ids) + ")",
			[]any{stateWaiting, time.Now().UnixMilli(), stateStuck}
	})
}

// Discard deletes rows that were set aside: their sagas are never started. It returns how many rows there were.
func (t Table) Discard(ctx context.Context, db *sql.DB, ids ...int64) (int64, error) {
	return t.change(ctx, db, "discard", ids, func(table string) (string, []any) {
		return "DELETE FROM " + table + " WHERE state = $1 AND id IN (" + list(ids) + ")", []any{stateStuck}
	})
}

func (t Table) change(ctx context.Context, db *sql.DB, what string, ids []int64, query func(table string) (string, []any)) (int64, error) {
	table, err := t.table()
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	text, args := query(table)
	n, err := affected(db.ExecContext(ctx, text, args...))
	if err != nil {
		return 0, fmt.Errorf("outbox: %s rows of %s: %w", what, table, err)
	}
	return n, nil
}
