package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// Dialect is a kind of database.
type Dialect string

// The dialects that there are.
const (
	PostgreSQL Dialect = "postgres" // 12 or later
	SQLite     Dialect = "sqlite"   // 3.35 or later
)

// Schema is Table.Schema of the zero Table.
func Schema(d Dialect) (string, error) { return Table{}.Schema(d) }

// Migrate is Table.Migrate of the zero Table.
func Migrate(ctx context.Context, db *sql.DB, d Dialect) error { return Table{}.Migrate(ctx, db, d) }

// Schema is the SQL that makes the table and its indexes, for a migration. It may be executed twice.
func (t Table) Schema(d Dialect) (string, error) {
	table, err := t.table()
	if err != nil {
		return "", err
	}
	var number, blob string
	switch d {
	case PostgreSQL:
		number, blob = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "BYTEA"
	case SQLite:
		number, blob = "INTEGER PRIMARY KEY AUTOINCREMENT", "BLOB"
	default:
		return "", fmt.Errorf("outbox: there is no schema for the dialect %q: PostgreSQL and SQLite are known", d)
	}
	index, on := table, table
	if schema, name, qualified := strings.Cut(table, "."); qualified {
		index = name
		if d == SQLite { // where the index is qualified, and the table of an index is not
			index, on = schema+"."+name, name
		}
	}
	return strings.NewReplacer("TABLE_NAME", table, "NUMBER", number, "BYTES", blob, "INDEX_NAME", index, "ON_TABLE", on).Replace(schemaText), nil
}

const schemaText = `CREATE TABLE IF NOT EXISTS TABLE_NAME (
  id        NUMBER,
  kind      TEXT NOT NULL,
  name      TEXT NOT NULL,
  version   BIGINT NOT NULL,
  saga      TEXT NOT NULL,
  order_key TEXT,
  payload   BYTES NOT NULL,
  headers   BYTES NOT NULL,
  state     TEXT NOT NULL,
  written   BIGINT NOT NULL,
  due       BIGINT NOT NULL,
  claim     TEXT,
  tried     BIGINT,
  attempts  BIGINT NOT NULL DEFAULT 0,
  error     TEXT
);
CREATE INDEX IF NOT EXISTS INDEX_NAME_state ON ON_TABLE (state, id);
CREATE INDEX IF NOT EXISTS INDEX_NAME_key ON ON_TABLE (order_key, id) WHERE order_key IS NOT NULL;
`

// Migrate makes the table and its indexes if they do not exist. Several processes may do it at once.
func (t Table) Migrate(ctx context.Context, db *sql.DB, d Dialect) error {
	text, err := t.Schema(d)
	if err != nil {
		return err
	}
	if err := migrate(ctx, db, d, text); err != nil {
		return fmt.Errorf("outbox: make the table: %w", err)
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
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(hashtext('skald_outbox'))"); err != nil {
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
