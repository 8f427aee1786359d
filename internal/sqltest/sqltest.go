// Package sqltest opens real databases for tests: SQLite in a file, PostgreSQL on a server of its own. It is a module of its own, so that those who use Skald do not
// have the drivers. Its folders hold the tests of packages barrier and outbox that need them.
package sqltest

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/skald-go/skald/internal/postgresserver"
)

// Kind is a kind of database.
type Kind struct {
	Name string
	// Driver and Source are for sql.Open; every call of Source makes a new and empty database.
	Driver string
	Source func(testing.TB) string
	// Isolation is that of transactions, where it is not the database's default.
	Isolation string
}

// SQLite is in a file, with a writer that waits for the other.
var SQLite = Kind{Name: "sqlite", Driver: "sqlite", Source: func(t testing.TB) string {
	file := url.URL{Path: filepath.Join(t.TempDir(), "test.db")} // the name of a test may have a # in it
	return "file:" + file.EscapedPath() + "?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=busy_timeout(60000)"
}}

// PostgreSQL is a database on the server of this process's tests.
var PostgreSQL = Kind{Name: "postgres", Driver: "pgx", Source: func(t testing.TB) string { return shared.create(t) }}

// With is PostgreSQL whose transactions have another level of isolation.
func (k Kind) With(isolation string) Kind {
	source := k.Source
	k.Isolation = isolation
	k.Source = func(t testing.TB) string {
		return source(t) + "&default_transaction_isolation=" + url.PathEscape(isolation)
	}
	return k
}

// Title names the kind in tests.
func (k Kind) Title() string { return strings.TrimSpace(k.Name + " " + k.Isolation) }

// Each runs test on all kinds of databases.
func Each(t *testing.T, test func(t *testing.T, k Kind)) {
	for _, k := range []Kind{SQLite, PostgreSQL} {
		t.Run(k.Name, func(t *testing.T) { test(t, k) })
	}
}

// Open opens a new and empty database, which is closed when the test ends.
func (k Kind) Open(t testing.TB) *sql.DB { return k.Connect(t, k.Source(t)) }

// Connect opens a database that there is.
func (k Kind) Connect(t testing.TB, source string) *sql.DB {
	db, err := sql.Open(k.Driver, source)
	require.NoError(t, err)
	db.SetMaxOpenConns(16)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}

// Close ends the server of this process's tests, if one was started. A TestMain calls it.
func Close() error {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil {
		return nil
	}
	return shared.server.Close()
}

var shared server

type server struct {
	mu     sync.Mutex
	server *postgresserver.Server
	number atomic.Int64
}

func (s *server) get(t testing.TB) *postgresserver.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		var err error
		s.server, err = postgresserver.Start(ctx)
		require.NoError(t, err)
	}
	return s.server
}

func (s *server) create(t testing.TB) string {
	server := s.get(t)
	admin, err := sql.Open("pgx", server.URL("postgres"))
	require.NoError(t, err)
	defer admin.Close()
	name := fmt.Sprint("test_", s.number.Add(1))
	_, err = admin.Exec("CREATE DATABASE " + name)
	require.NoError(t, err)
	return server.URL(name)
}
