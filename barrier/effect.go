package barrier

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/step"
)

// The states of a recorded effect. There is one row for an action and its undo, so that whoever comes second finds what the first did.
const (
	stateDone    = "done"    // the action happened; the row has its result
	stateRefused = "refused" // the action did not happen; the row has the reason
	stateUndone  = "undone"  // the action happened and was undone; the row has the undo's result
	stateAgain   = "again"   // it was undone a second time, after the first undo had answered Proceed; the row has the second one's result
	stateVoid    = "void"    // the undo came first: the action never happens
)

// errBusy says that rows changed under a transaction that should have seen it.
var errBusy = errors.New("the record changed meanwhile; try again")

// effect is one attempt's view of its effect, in an open transaction.
type effect struct {
	scope
	s     SQL
	tx    Statements
	table string
}

// work is what an effect does, and takes what it did before.
type work interface {
	run() (result []byte, err error)
	recall(result []byte) error
}

func (s SQL) effect(ctx context.Context, tx Statements) (effect, error) {
	table, err := s.table()
	if err != nil {
		return effect{}, err
	}
	key, err := scopeOf(ctx, s.Name)
	return effect{scope: key, s: s, tx: tx, table: table}, err
}

func (e effect) failed(what string, err error) error {
	return fmt.Errorf("barrier: %s: %s: %w", e.scope, what, err)
}

// attempt claims the effect and does its work, or recalls what was done before. The claim comes first: a concurrent attempt waits at its row, and a
// duplicate is told from what would now fail for other reasons.
// It also says whether an error is a refusal of the work that is still to be recorded.
func (e effect) attempt(ctx context.Context, w work) (refused bool, err error) {
	mine, err := e.claim(ctx)
	if err != nil {
		return false, e.failed("claim", err)
	}
	if !mine {
		return false, e.settle(ctx, w)
	}
	result, err := w.run()
	if err != nil {
		return e.refuses(err, e.s.Refuses), err
	}
	if _, err := e.exec(ctx, "UPDATE "+e.table+" SET result = $1 WHERE effect = $2", result, e.key); err != nil {
		return false, e.failed("record the result", err)
	}
	return false, nil
}

// claim says whether this attempt is the one that has the effect.
func (e effect) claim(ctx context.Context) (mine bool, err error) {
	if !e.undo {
		return e.insert(ctx, stateDone, nil)
	}
	const rounds = 3 // each sees what the one before could not; a second one is rare
	for range rounds {
		n, err := e.exec(ctx, "UPDATE "+e.table+" SET state = $1, result = NULL, at = $2 WHERE effect = $3 AND state IN ($4, $5)",
			e.undone(), now(), e.key, stateDone, e.open())
		if err != nil || n == 1 {
			return n == 1, err
		}
		if void, err := e.insert(ctx, stateVoid, nil); err != nil || void {
			return false, errors.Join(err, e.forgotten(void && e.s.known))
		}
		if state, _, err := e.read(ctx); err != nil || state != stateDone && state != e.open() {
			return false, err
		}
	}
	return false, errBusy
}

// undone is the state that this undo leads to.
func (e effect) undone() string {
	if e.again {
		return stateAgain
	}
	return stateUndone
}

// open is the state, beside done, in which there is something for this undo to undo.
func (e effect) open() string {
	if e.again {
		return stateUndone
	}
	return stateDone
}

// settle gives what was recorded before.
func (e effect) settle(ctx context.Context, w work) error {
	state, result, err := e.read(ctx)
	switch {
	case err != nil:
		return e.failed("read what is recorded", err)
	case e.undo && state == e.undone(), !e.undo && state == stateDone:
		if err := w.recall(result); err != nil {
			return e.failed("decode the recorded result", err)
		}
		return nil
	case e.undo:
		return nil
	case state == stateRefused:
		reason, err := e.s.decodeError(result)
		if err != nil {
			return e.failed("decode the recorded refusal", err)
		}
		return step.Refused(reason)
	default:
		return e.late()
	}
}

// refuse records a refusal. It returns nil if another attempt has had the effect meanwhile.
func (e effect) refuse(ctx context.Context, reason error, w work) error {
	result, err := e.s.encodeError(unmarked(reason))
	if err != nil {
		return e.failed("encode the refusal", errors.Join(reason, err))
	}
	first, err := e.insert(ctx, stateRefused, result)
	if err != nil {
		return e.failed("record the refusal", err)
	}
	if !first {
		return e.settle(ctx, w)
	}
	if plan.MarkOf(reason) == nil {
		reason = step.Refused(reason)
	}
	return reason
}

// insert says whether there was no row. If another transaction inserts the same, it waits for that one's end.
func (e effect) insert(ctx context.Context, state string, result []byte) (bool, error) {
	n, err := e.exec(ctx, "INSERT INTO "+e.table+" (effect, state, result, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
		e.key, state, result, now())
	return n == 1, err
}

func (e effect) read(ctx context.Context) (state string, result []byte, err error) {
	row := e.tx.QueryRowContext(ctx, "SELECT state, result FROM "+e.table+" WHERE effect = $1", e.key)
	err = row.Scan(&state, &result)
	if errors.Is(err, sql.ErrNoRows) {
		err = errBusy // what was there when the row was to be inserted has been pruned
	}
	return state, result, err
}

func (e effect) exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := e.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// unmarked takes the outermost mark off a refusal: the state says what it says.
func unmarked(err error) error {
	if m, is := err.(*plan.Mark); is && m.Err != nil {
		return m.Err
	}
	return err
}

func now() int64 { return time.Now().UnixMilli() }
