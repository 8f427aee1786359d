package barrier

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/plan"
)

// SQL makes effects happen once in a PostgreSQL or SQLite database, through database/sql and any driver. The zero value works, and is what the
// functions of this package use. It is a plain value, and its methods may be called concurrently.
//
// All that share a table need the same Codec, for as long as its rows are kept.
type SQL struct {
	// Table is where effects are recorded, in the database of the effects: "skald_barrier" unless set, and "schema.table" where it is not in the search path.
	Table string
	// Name tells the barriers of one step apart; see Named.
	Name string
	// Errors is how refusals are recorded. Nil knows the standard library's; what it does not know comes back with the same text.
	Errors *errcodec.Codec
	// Codec is how results are recorded. Nil is flow.MsgPack; with a cipher of flow.Cipher nothing of results and refusals is readable in the table.
	Codec flow.Codec
	// Refuses are errors that say, under errors.Is, that there was no effect, as if they had been returned through step.Refused: those that the step's own
	// Refuses names. They are recorded, so that a repeat is refused as well.
	Refuses []error

	known bool
}

// Statements is a transaction that is open: *sql.Tx, or a *sql.Conn on which BEGIN was executed.
type Statements interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Beginner begins transactions: *sql.DB or *sql.Conn.
type Beginner interface {
	BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error)
}

// Named gives a barrier for one of several effects of a step. A name is like that of a step; what it names must stay the same.
func Named(name string) SQL { return SQL{}.Named(name) }

// Named is the same barrier for another effect of the step.
func (s SQL) Named(name string) SQL {
	s.Name = name
	return s
}

// Known is for an undo, and says with its Effect.Known whether the action is recorded as done by the engine. If it is, and there is no record of it here, the undo
// fails with ErrForgotten instead of taking the action for one that never happened: the record was pruned too early, or is in another database. Leave it out
// where an action may be done without having come to its barrier.
func (s SQL) Known(known bool) SQL {
	s.known = known
	return s
}

// Do is SQL.Do of the zero SQL.
func Do[O any](ctx context.Context, tx Statements, fn func() (O, error)) (O, error) {
	return SQL{}.Do(ctx, tx, fn)
}

// Exec is SQL.Exec of the zero SQL.
func Exec(ctx context.Context, tx Statements, fn func() error) error {
	return SQL{}.Exec(ctx, tx, fn)
}

// Tx is SQL.Tx of the zero SQL.
func Tx[O any](ctx context.Context, db Beginner, fn func(tx *sql.Tx) (O, error)) (O, error) {
	return SQL{}.Tx(ctx, db, fn)
}

// ExecTx is SQL.ExecTx of the zero SQL.
func ExecTx(ctx context.Context, db Beginner, fn func(tx *sql.Tx) error) error {
	return SQL{}.ExecTx(ctx, db, fn)
}

// Do calls fn, whose statements are on tx, unless what ctx's step does has been done before: then it returns what is recorded. It works inside a savepoint:
// whenever it returns an error, fn has changed nothing. The caller commits when the error is nil or Settled, and rolls back otherwise; Tx does both.
//
// Of two transactions with the same effect the second waits for the end of the first. So begin with Do: statements before it hold their locks meanwhile, and
// in SQLite a transaction that has read may not be able to write, unless it was begun with BEGIN IMMEDIATE.
//
// An undo whose action has not happened gives the zero O. If fn panics, the transaction is to be rolled back.
func (s SQL) Do[O any](ctx context.Context, tx Statements, fn func() (O, error)) (O, error) {
	r := result[O]{s: s, fn: fn}
	err := s.inside(ctx, tx, &r)
	return r.get(err)
}

// Exec is Do for an effect without a result, such as most undos.
func (s SQL) Exec(ctx context.Context, tx Statements, fn func() error) error {
	_, err := s.Do(ctx, tx, func() (nothing, error) { return nothing{}, fn() })
	return err
}

// Tx begins a transaction, calls fn unless what ctx's step does has been done before, and commits. If fn returns an error or panics, the transaction is
// rolled back; if the error is a refusal, that is recorded. What failed because of another transaction, a serialization failure, a deadlock or a locked
// SQLite database, is tried up to five times: fn may be called again, each time in a new transaction.
//
// An error of the commit leaves open whether it happened; the next attempt finds out. An undo whose action has not happened gives the zero O.
func (s SQL) Tx[O any](ctx context.Context, db Beginner, fn func(tx *sql.Tx) (O, error)) (O, error) {
	var r result[O]
	err := patiently(ctx, func() error {
		r = result[O]{s: s}
		return s.within(ctx, db, &r, func(tx *sql.Tx) { r.fn = func() (O, error) { return fn(tx) } })
	})
	return r.get(err)
}

// ExecTx is Tx for an effect without a result, such as most undos.
func (s SQL) ExecTx(ctx context.Context, db Beginner, fn func(tx *sql.Tx) error) error {
	_, err := s.Tx(ctx, db, func(tx *sql.Tx) (nothing, error) { return nothing{}, fn(tx) })
	return err
}

// Settled says that an error of Do or Exec is a refusal, which stands in the transaction: that is to be committed.
func Settled(err error) bool {
	m := plan.MarkOf(err)
	return m != nil && m.Class == plan.Refused
}

// inside does an effect in the caller's transaction.
func (s SQL) inside(ctx context.Context, tx Statements, w work) error {
	if _, is := tx.(Beginner); is {
		if _, conn := tx.(*sql.Conn); !conn {
			return fmt.Errorf("barrier: a %T is no transaction: pass on what its BeginTx returns, or use Tx", tx)
		}
	}
	e, err := s.effect(ctx, tx)
	if err != nil {
		return err
	}
	const savepoint = "skald_barrier"
	if _, err := tx.ExecContext(ctx, "SAVEPOINT "+savepoint); err != nil {
		return e.failed("set a savepoint", err)
	}
	refused, err := e.attempt(ctx, w)
	if err != nil {
		if _, back := tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT "+savepoint); back != nil {
			return lost(e.failed("go back to the savepoint", back), err)
		}
	}
	if refused {
		err = e.refuse(ctx, err, w)
	}
	if _, release := tx.ExecContext(ctx, "RELEASE SAVEPOINT "+savepoint); release != nil {
		return lost(e.failed("release the savepoint", release), err)
	}
	return err
}

// lost is the error of a transaction that cannot go on. What else went wrong is told, but has no say: a refusal in it is not recorded.
func lost(err, also error) error {
	if also == nil {
		return err
	}
	return fmt.Errorf("%w, after: %v", err, also)
}

// within does an effect in a transaction of its own. A refusal takes another one, as the first is rolled back with what the work did before it refused.
func (s SQL) within(ctx context.Context, db Beginner, w work, use func(*sql.Tx)) error {
	var refused bool
	err := s.commit(ctx, db, func(e effect, tx *sql.Tx) (err error) {
		use(tx)
		refused, err = e.attempt(ctx, w)
		return err
	})
	if !refused {
		return err
	}
	verdict := err
	unrecorded := s.commit(ctx, db, func(e effect, _ *sql.Tx) error {
		verdict = e.refuse(ctx, err, w)
		if verdict == nil || Settled(verdict) {
			return nil
		}
		return verdict
	})
	if unrecorded != nil {
		return fmt.Errorf("%w (it could not be recorded: %v)", err, unrecorded)
	}
	return verdict
}

// commit runs do in a transaction, and commits unless it fails.
func (s SQL) commit(ctx context.Context, db Beginner, do func(e effect, tx *sql.Tx) error) error {
	e, err := s.effect(ctx, nil)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return e.failed("begin a transaction", err)
	}
	defer tx.Rollback() // does nothing after Commit
	e.tx = tx
	if err := do(e, tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return e.failed("commit", err)
	}
	return nil
}
