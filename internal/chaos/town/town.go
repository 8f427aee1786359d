// Package town is where the sagas of the chaos tests have their effects: purses of money and points, and pets. All of it is in an SQLite
// database, outside of Redis, together with a log of the effects: one row for each step that was done or undone, by its idempotency key.
// A call changes the town and writes its row in one transaction; a repeat of a key changes nothing and is counted.
package town

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// ErrDown is what the town answers now and then instead of doing its work, or after having done it.
var ErrDown = errors.New("town: out of order")

// Town is the participants of the sagas. Its methods may be called concurrently.
type Town struct {
	db   *sql.DB
	odds Odds

	mu    sync.Mutex
	calls map[string]int // by key, to be out of order now and then
}

// Odds say how often calls go wrong, of 1000 each. What happens to which call follows from the seed.
type Odds struct {
	Seed     uint64
	Before   int // ErrDown instead of the work
	After    int // ErrDown after the work
	Slow     int // it takes up to Slowness
	Slowness time.Duration
}

const schema = `
create table purse (ledger text, name text, amount integer not null, primary key (ledger, name)) without rowid;
create table pet (name text primary key, owner text not null, buyer text not null default '') without rowid;
create table effect (key text primary key, saga text not null, path text not null, undo integer not null, applied integer not null,
	verdict text not null, op text not null, calls integer not null default 1, worker text not null, at integer not null) without rowid;
create index effects on effect (saga);`

// Till holds money and points between the steps of a saga. It is empty when no saga runs.
const Till = "till"

// Found makes a town in a new database file.
func Found(file string, odds Odds) (*Town, error) {
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=busy_timeout(60000)")
	if err != nil {
		return nil, fmt.Errorf("town: open %s: %w", file, err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(schema); err != nil {
		return nil, errors.Join(fmt.Errorf("town: make the tables of %s: %w", file, err), db.Close())
	}
	return &Town{db: db, odds: odds, calls: make(map[string]int)}, nil
}

// Close closes the database.
func (t *Town) Close() error { return t.db.Close() }

// DB is the database, for others who log beside the town.
func (t *Town) DB() *sql.DB { return t.db }

// Settle gives every citizen money and points, and pets to own.
func (t *Town) Settle(citizens, pets, money, points int) error {
	return t.within(context.Background(), func(tx *sql.Tx) error {
		for n := range citizens {
			if _, err := tx.Exec(`insert into purse values ('money', ?1, ?2), ('points', ?1, ?3)`, Citizen(n), money, points); err != nil {
				return err
			}
		}
		for n := range pets {
			if _, err := tx.Exec(`insert into pet (name, owner) values (?, ?)`, Pet(n), Citizen(n%citizens)); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`insert into purse values ('money', ?1, 0), ('points', ?1, 0), ('points', 'courier', 0)`, Till)
		return err
	})
}

// Citizen names one.
func Citizen(n int) string { return fmt.Sprintf("citizen-%d", n) }

// Pet names one.
func Pet(n int) string { return fmt.Sprintf("pet-%d", n) }

// Owner tells who owns a pet.
func (t *Town) Owner(ctx context.Context, pet string) (owner string, err error) {
	err = t.db.QueryRowContext(ctx, `select owner from pet where name = ?`, pet).Scan(&owner)
	return owner, err
}

// Ask does what c wants, once, or says again what it said the first time. ErrDown leaves open whether it was done.
func (t *Town) Ask(ctx context.Context, c Call) (Verdict, error) {
	before, after, pause := t.roll(c.Key)
	if before {
		return "", ErrDown
	}
	if pause > 0 {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	var v Verdict
	err := t.within(context.WithoutCancel(ctx), func(tx *sql.Tx) (err error) {
		if c.Undo {
			v, err = Done, undo(tx, c)
		} else {
			v, err = do(tx, c)
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("town: %s: %w", c.Key, err)
	}
	if after {
		return "", ErrDown
	}
	return v, nil
}

// roll decides whether a call goes wrong.
func (t *Town) roll(key string) (before, after bool, pause time.Duration) {
	t.mu.Lock()
	t.calls[key]++
	n := t.calls[key]
	t.mu.Unlock()
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s %d", t.odds.Seed, key, n)
	dice := h.Sum64()
	one, two, three := int(dice%1000), int(dice/1000%1000), int(dice/1e6%1000)
	if three < t.odds.Slow {
		pause = t.odds.Slowness * time.Duration(dice/1e9%100) / 100
	}
	return one < t.odds.Before, two < t.odds.After, pause
}

func (t *Town) within(ctx context.Context, work func(*sql.Tx) error) error {
	tx, err := t.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := work(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// known gives the verdict of a key that was called before, and counts the repeat.
func known(tx *sql.Tx, key string) (v Verdict, ok bool, err error) {
	err = tx.QueryRow(`update effect set calls = calls + 1 where key = ? returning verdict`, key).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	return v, err == nil, err
}

func do(tx *sql.Tx, c Call) (Verdict, error) {
	if v, ok, err := known(tx, c.Key); ok || err != nil {
		return v, err
	}
	var tombs int
	if err := tx.QueryRow(`select count(*) from effect where key = ?`, c.undone()).Scan(&tombs); err != nil {
		return "", err
	}
	v := Late
	if tombs == 0 {
		var err error
		if v, err = apply(tx, c.Op, c.Saga); err != nil {
			return "", err
		}
	}
	return v, write(tx, c, v, v == Done, c.Op)
}

// undo takes back what was done. If nothing was, its row sees to it that nothing will be.
func undo(tx *sql.Tx, c Call) error {
	if _, ok, err := known(tx, c.Key); ok || err != nil {
		return err
	}
	var text string
	var op Op
	err := tx.QueryRow(`select op from effect where key = ? and applied`, c.done()).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return write(tx, c, Done, false, op)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), &op); err != nil {
		return err
	}
	if err := revert(tx, op, c.Saga); err != nil {
		return err
	}
	return write(tx, c, Done, true, op)
}

func write(tx *sql.Tx, c Call, v Verdict, applied bool, op Op) error {
	text, err := json.Marshal(op)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`insert into effect (key, saga, path, undo, applied, verdict, op, worker, at) values (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		c.Key, c.Saga, c.Path, c.Undo, applied, v, string(text), c.Worker, time.Now().UnixMilli())
	return err
}

// root is the saga that a citizen knows: children belong to it.
func root(saga string) string {
	id, _, _ := strings.Cut(saga, "/")
	return id
}

func apply(tx *sql.Tx, op Op, saga string) (Verdict, error) {
	if op.Ledger == "" {
		return applyPet(tx, op, root(saga))
	}
	taken, err := change(tx, `update purse set amount = amount - ?1 where ledger = ?2 and name = ?3 and amount >= ?1`, op.Amount, op.Ledger, op.From)
	if err != nil || !taken {
		return Poor, err
	}
	return Done, give(tx, op.Ledger, op.To, op.Amount)
}

func applyPet(tx *sql.Tx, op Op, saga string) (Verdict, error) {
	query, args := `update pet set owner = ?, buyer = ? where name = ? and owner = ? and buyer = ''`, []any{op.To, saga, op.Pet, op.From}
	if op.To == "" {
		query, args = `update pet set buyer = '' where name = ? and owner = ? and buyer = ?`, []any{op.Pet, op.From, saga}
	}
	moved, err := change(tx, query, args...)
	if err != nil || !moved {
		return Taken, err
	}
	return Done, nil
}

// revert takes an op back, also into debt.
func revert(tx *sql.Tx, op Op, saga string) error {
	switch {
	case op.Ledger != "":
		if err := give(tx, op.Ledger, op.To, -op.Amount); err != nil {
			return err
		}
		return give(tx, op.Ledger, op.From, op.Amount)
	case op.To == "":
		return must(tx, `update pet set buyer = ? where name = ? and owner = ? and buyer = ''`, root(saga), op.Pet, op.From)
	default:
		return must(tx, `update pet set owner = ?, buyer = '' where name = ? and owner = ? and buyer = ?`, op.From, op.Pet, op.To, root(saga))
	}
}

func give(tx *sql.Tx, ledger, name string, amount int) error {
	return must(tx, `update purse set amount = amount + ? where ledger = ? and name = ?`, amount, ledger, name)
}

func change(tx *sql.Tx, query string, args ...any) (bool, error) {
	result, err := tx.Exec(query, args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

func must(tx *sql.Tx, query string, args ...any) error {
	changed, err := change(tx, query, args...)
	if err == nil && !changed {
		err = fmt.Errorf("no row for %s with %v", query, args)
	}
	return err
}
