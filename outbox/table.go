package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/skald-go/skald/flow"
)

// ErrName says that something cannot be the name of a table.
var ErrName = errors.New("outbox: not a name")

// DefaultTable is the table of the zero Table.
const DefaultTable = "skald_outbox"

// kindStart is the kind of rows that start a saga. There is no other kind yet; a relay leaves kinds alone that it does not know.
const kindStart = "start"

// The states of a row.
const (
	stateWaiting = "waiting" // for a relay, or for one that has claimed it
	stateStuck   = "stuck"   // for a person
)

// Table says how starts are written. The zero value works, and is what the functions of this package use. It is a plain value, and its methods may be called
// concurrently. Writers and relays of one table need the same Codec and Propagators.
type Table struct {
	// Name of the table in the database, "skald_outbox" unless set, and "schema.table" where it is not in the search path.
	Name string
	// Codec is how inputs are written. Nil is flow.MsgPack; with a cipher of flow.Cipher nothing of them is readable in the table.
	Codec flow.Codec
	// Propagators carry values of the context of Start, such as a trace or a user, to the saga: those of the engine.
	Propagators []flow.Propagator

	key string
}

// Statements is a transaction that is open: *sql.Tx, or a *sql.Conn on which BEGIN was executed.
type Statements interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Start is Table.Start of the zero Table.
func Start[I, O any](ctx context.Context, tx Statements, f flow.Flow[I, O], in I, opts ...flow.StartOption) (id string, err error) {
	return Table{}.Start(ctx, tx, f, in, opts...)
}

// Keyed is Table.Keyed of the zero Table.
func Keyed(key string) Table { return Table{}.Keyed(key) }

// Keyed is the same table for rows of which one is started after the other, in the order in which they were written: those with this key. Transactions that
// write rows with one key at the same time need a lock of their own to have an order, such as that of the row that they change. A row that is set aside
// lets the next ones pass. The empty key is none.
func (t Table) Keyed(key string) Table {
	t.key = key
	return t
}

// Start writes that a saga of f is to be started, and returns its ID. The saga is started by a Relay if tx is committed, soon after, and never if it is
// rolled back. The errors are flow.ErrID, flow.ErrZero and flow.ErrPayload, and those of the database.
func (t Table) Start[I, O any](ctx context.Context, tx Statements, f flow.Flow[I, O], in I, opts ...flow.StartOption) (id string, err error) {
	planned, err := f.Planned(opts...)
	if err != nil {
		return "", fmt.Errorf("outbox: %w", err)
	}
	payload, err := t.codec().Marshal(in)
	if err != nil {
		return "", fmt.Errorf("outbox: start saga %q of %q: %w: %w", planned.ID, planned.Flow, flow.ErrPayload, err)
	}
	if err := t.write(ctx, tx, planned, payload); err != nil {
		return "", fmt.Errorf("outbox: start saga %q of %q: %w", planned.ID, planned.Flow, err)
	}
	return planned.ID, nil
}

func (t Table) write(ctx context.Context, tx Statements, p flow.Planned, payload []byte) error {
	if _, is := tx.(*sql.DB); is {
		return errors.New("a *sql.DB is no transaction: pass on what its BeginTx returns")
	}
	table, err := t.table()
	if err != nil {
		return err
	}
	headers := p.Headers
	if headers == nil {
		headers = flow.Headers{}
	}
	for _, propagator := range t.Propagators {
		propagator.Inject(ctx, headers)
	}
	text, err := flow.MsgPack().Marshal(headers)
	if err != nil {
		return err
	}
	now := time.Now().UnixMilli()
	key := sql.NullString{String: t.key, Valid: t.key != ""}
	_, err = tx.ExecContext(ctx, "INSERT INTO "+table+
		" (kind, name, version, saga, order_key, payload, headers, state, written, due) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
		kindStart, p.Flow, p.Version, p.ID, key, payload, text, stateWaiting, now, now)
	return err
}

func (t Table) codec() flow.Codec {
	if t.Codec == nil {
		return flow.MsgPack()
	}
	return t.Codec
}

var tableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$`)

func (t Table) table() (string, error) {
	if t.Name == "" {
		return DefaultTable, nil
	}
	if !tableName.MatchString(t.Name) {
		return "", fmt.Errorf("%w: table %.80q: letters, digits and underscores, after a schema's name and a dot or without", ErrName, t.Name)
	}
	return t.Name, nil
}

// list writes numbers for an IN.
func list(ids []int64) string {
	var b strings.Builder
	for i, id := range ids {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, id)
	}
	return b.String()
}
