package sqltest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ErrDead is the error of every call of a process that has died.
var ErrDead = errors.New("the process is dead")

// Process is one whose calls are counted, and which dies at one of them: before the call does anything, or after it has, so that its answer is lost.
type Process struct {
	mu    sync.Mutex
	calls int
	at    int
	after bool
	dead  bool
}

// NewProcess makes a process that dies at its call number at, counted from 0; a negative number is never.
func NewProcess(at int, after bool) *Process { return &Process{at: at, after: after} }

// Dead says whether the process has died.
func (p *Process) Dead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// Call makes a call of the process.
func (p *Process) Call(do func() error) error {
	p.mu.Lock()
	if p.dead {
		p.mu.Unlock()
		return ErrDead
	}
	last := p.calls == p.at
	p.calls++
	p.dead = last
	p.mu.Unlock()
	if last && !p.after {
		return ErrDead
	}
	err := do()
	if p.Dead() {
		return ErrDead
	}
	return err
}

// ConnectAs opens a database that there is for a process: every statement and every commit is a call.
func (k Kind) ConnectAs(t testing.TB, source string, p *Process) *sql.DB {
	plain, err := sql.Open(k.Driver, source)
	require.NoError(t, err)
	defer plain.Close()
	db := sql.OpenDB(connector{source, plain.Driver(), p})
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}

type connector struct {
	source  string
	driver  driver.Driver
	process *Process
}

func (c connector) Driver() driver.Driver { return c.driver }

func (c connector) Connect(context.Context) (driver.Conn, error) {
	inner, err := c.driver.Open(c.source)
	if err != nil {
		return nil, err
	}
	return &conn{inner, c.process}, nil
}

// conn passes on what the drivers of the tests implement.
type conn struct {
	driver.Conn
	process *Process
}

func (c *conn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.Conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (result driver.Result, err error) {
	err = c.process.Call(func() (err error) {
		result, err = c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
		return err
	})
	return result, err
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (rows driver.Rows, err error) {
	err = c.process.Call(func() (err error) {
		rows, err = c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
		return err
	})
	if err != nil && rows != nil { // the answer is lost, and its statement has run
		for values := make([]driver.Value, len(rows.Columns())); rows.Next(values) == nil; {
		}
		rows.Close()
		return nil, err
	}
	return rows, err
}

func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (tx driver.Tx, err error) {
	err = c.process.Call(func() (err error) {
		tx, err = c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
		return err
	})
	if err != nil && tx != nil {
		tx.Rollback()
	}
	return &transaction{tx, c.process}, err
}

type transaction struct {
	driver.Tx
	process *Process
}

func (t *transaction) Commit() error {
	done := false
	err := t.process.Call(func() error { done = true; return t.Tx.Commit() })
	if !done {
		t.Tx.Rollback() // as the server does when the connection is gone
	}
	return err
}
