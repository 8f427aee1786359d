// Package database opens the database of a service: a file of SQLite, or a schema of PostgreSQL.
package database

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/skald-go/skald/barrier"
)

// Open opens the database of a service, and makes its tables and those of its barriers if there are none. where is a directory, for
// SQLite, or the URL of a PostgreSQL database.
func Open(ctx context.Context, where, service, tables string) (*sql.DB, error) {
	open := openFile
	if strings.HasPrefix(where, "postgres://") || strings.HasPrefix(where, "postgresql://") {
		open = openSchema
	}
	db, dialect, err := open(ctx, where, service)
	if err != nil {
		return nil, fmt.Errorf("database of %s: %w", service, err)
	}
	if err := migrate(ctx, db, dialect, tables); err != nil {
		db.Close()
		return nil, fmt.Errorf("tables of %s: %w", service, err)
	}
	return db, nil
}

func migrate(ctx context.Context, db *sql.DB, dialect barrier.Dialect, tables string) error {
	if err := barrier.Migrate(ctx, db, dialect); err != nil {
		return err
	}
	_, err := db.ExecContext(ctx, tables)
	return err
}

// openFile opens a file in dir. Transactions take their lock when they begin: two that read first and write then could not both go on.
func openFile(_ context.Context, dir, service string) (*sql.DB, barrier.Dialect, error) {
	file := url.URL{Path: filepath.ToSlash(filepath.Join(dir, service+".db"))}
	db, err := sql.Open("sqlite", "file:"+file.EscapedPath()+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)")
	return db, barrier.SQLite, err
}

// openSchema makes a schema with the name of the service, and opens the database so that it is the one that is used.
func openSchema(ctx context.Context, source, service string) (*sql.DB, barrier.Dialect, error) {
	if err := makeSchema(ctx, source, service); err != nil {
		return nil, "", err
	}
	u, err := url.Parse(source)
	if err != nil {
		return nil, "", err
	}
	q := u.Query()
	q.Set("search_path", service)
	u.RawQuery = q.Encode()
	db, err := sql.Open("pgx", u.String())
	return db, barrier.PostgreSQL, err
}

func makeSchema(ctx context.Context, source, service string) error {
	db, err := sql.Open("pgx", source)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+service)
	return err
}
