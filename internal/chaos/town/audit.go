package town

import (
	"context"
	"fmt"
)

// Effect is a row of the log.
type Effect struct {
	Key, Saga, Path string
	Undo, Applied   bool
	Verdict         Verdict
	Calls           int
	Worker          string
	At              int64 // ms since 1970
}

// Effects gives the log of a saga, of its children, and of those that another service runs for it, in order of time.
func (t *Town) Effects(ctx context.Context, saga, service string) (effects []Effect, err error) {
	rows, err := t.db.QueryContext(ctx, `select key, saga, path, undo, applied, verdict, calls, worker, at from effect
		where saga = ?1 or (saga > ?1 || '/' and saga < ?1 || '0') or (saga > ?2 || '~' || ?1 || '/' and saga < ?2 || '~' || ?1 || '0')
		order by at, key`, saga, service)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e Effect
		if err := rows.Scan(&e.Key, &e.Saga, &e.Path, &e.Undo, &e.Applied, &e.Verdict, &e.Calls, &e.Worker, &e.At); err != nil {
			return nil, err
		}
		effects = append(effects, e)
	}
	return effects, rows.Err()
}

// Repeats counts the calls that changed nothing because their key was known, and those of sleepers whose step had been undone before.
func (t *Town) Repeats(ctx context.Context) (repeats, late int, err error) {
	err = t.db.QueryRowContext(ctx, `select coalesce(sum(calls - 1), 0), coalesce(sum(verdict = 'late'), 0) from effect`).Scan(&repeats, &late)
	return repeats, late, err
}

// Audit says what is wrong with the town when no saga runs: the sums are no longer what the citizens were given, the till is not
// empty, or a pet is still about to be bought.
func (t *Town) Audit(ctx context.Context, citizens, pets, money, points int) (wrong []string, err error) {
	for _, want := range []struct {
		what, query string
		n           int
	}{
		{"money in all", `select sum(amount) from purse where ledger = 'money'`, citizens * money},
		{"points in all", `select sum(amount) from purse where ledger = 'points'`, citizens * points},
		{"money in the till", `select amount from purse where ledger = 'money' and name = 'till'`, 0},
		{"points in the till", `select amount from purse where ledger = 'points' and name = 'till'`, 0},
		{"pets", `select count(*) from pet where owner like 'citizen-%'`, pets},
		{"pets about to be bought", `select count(*) from pet where buyer <> ''`, 0},
	} {
		var got int
		if err := t.db.QueryRowContext(ctx, want.query).Scan(&got); err != nil {
			return nil, fmt.Errorf("town: audit of %s: %w", want.what, err)
		}
		if got != want.n {
			wrong = append(wrong, fmt.Sprintf("%s: %d, not %d", want.what, got, want.n))
		}
	}
	return wrong, nil
}
