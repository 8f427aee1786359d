package barrier

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Dialect is a kind of database.
type Dialect string

// The dialects that there are.
const (
	PostgreSQL Dialect = "postgres" // 12 or later
	SQLite     Dialect = "sqlite"   // 3.35 or later
)

// DefaultTable is the table of the zero SQL.
const DefaultTable = "skald_barrier"

var tableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$`)

func (s SQL) table() (string, error) {
	if s.Table == "" {
		return DefaultTable, nil
	}
	if !tableName.MatchString(s.Table) {
		return "", fmt.Errorf("%w: table %.80q: letters, digits and underscores, after a schema's name and a dot or without", ErrName, s.Table)
	}
	return s.Table, nil
}

// Schema is SQL.Schema of the zero SQL.
func Schema(d Dialect) (string, error) { return SQL{}.Schema(d) }

// Migrate is SQL.Migrate of the zero SQL.
func Migrate(ctx context.Context, db *sql.DB, d Dialect) error { return SQL{}.Migrate(ctx, db, d) }

// Prune is SQL.Prune of the zero SQL.
func Prune(ctx context.Context, db *sql.DB, olderThan time.Duration) (int64, error) {
	return SQL{}.Prune(ctx, db, olderThan)
}

// Schema is the SQL that makes the table and its index, for a migration. It may be executed twice.
func (s SQL) Schema(d Dialect) (string, error) {
	table, err := s.table()
	if err != nil {
		return "", err
	}
	schema, name, qualified := strings.Cut(table, ".")
	index := name + "_at"
	switch {
	case !qualified:
		index = table + "_at"
	case d == SQLite: // where the index is qualified, and the table of an index is not
		return fmt.Sprintf(schemaText, table, "BLOB", " WITHOUT ROWID", schema+"."+index, name), nil
	}
	switch d {
	case PostgreSQL:
		return fmt.Sprintf(schemaText, table, "BYTEA", "", index, table), nil
	case SQLite:
		return fmt.Sprintf(schemaText, table, "BLOB", " WITHOUT ROWID", index, table), nil
	default:
		return "", fmt.Errorf("barrier: there is no schema for the dialect %q: PostgreSQL and SQLite are known", d)
	}
}

const schemaText = `CREATE TABLE IF NOT EXISTS %s (
  effect TEXT PRIMARY KEY,
  state  TEXT NOT NULL,
  result %s,
  at     BIGINT NOT NULL
)%s;
CREATE INDEX IF NOT EXISTS %s ON %s (at);
`

// Migrate makes the table and its index if they do not exist. Several processes may do it at once.
func (s SQL) Migrate(ctx context.Context, db *sql.DB, d Dialect) error {
	text, err := s.Schema(d)
	if err != nil {
		return err
	}
	if err := migrate(ctx, db, d, text); err != nil {
		return fmt.Errorf("barrier: make the table: %w", err)
	}
	return nil
}

func migrate(ctx context.Context, db *sql.DB, d Dialect, text string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if d == PostgreSQL { // IF NOT EXISTS is not safe against another session that does the same
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(hashtext('skald_barrier'))"); err != nil {
			return err
		}
	}
	for statement := range strings.SplitSeq(strings.TrimSpace(text), ";\n") {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// pruned is how many rows one statement of Prune deletes, so that none holds locks for long.
const pruned = 1000

// Prune deletes records in which nothing has happened for that long, in small batches, and returns how many. It may run beside everything else, and be
// interrupted. What is deleted is forgotten: a late attempt has its effect again, and an undo takes its action for one that never happened. So olderThan is
// longer than a saga can live, its retries, its waiting and its time as a dead letter included.
func (s SQL) Prune(ctx context.Context, db *sql.DB, olderThan time.Duration) (deleted int64, err error) {
	table, err := s.table()
	if err != nil {
		return 0, err
	}
	if olderThan <= 0 {
		return 0, errors.New("barrier: prune: olderThan is not positive: records of sagas that live would be deleted")
	}
	before := time.Now().Add(-olderThan).UnixMilli()
	query := fmt.Sprintf("DELETE FROM %s WHERE effect IN (SELECT effect FROM %s WHERE at < $1 ORDER BY at LIMIT %d) AND at < $1", table, table, pruned)
	for {
		var n int64
		err := patiently(ctx, func() error {
			result, err := db.ExecContext(ctx, query, before)
			if err == nil {
				n, err = result.RowsAffected()
			}
			return err
		})
		if err != nil {
			return deleted, fmt.Errorf("barrier: prune %s: %w", table, err)
		}
		deleted += n
		if n < pruned {
			return deleted, nil
		}
	}
}
