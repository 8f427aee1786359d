// Package barrier makes the effect of a step happen exactly once. A step runs at least once: its process may die between the effect and the
// record of it, its reply may be lost, and a slow attempt may arrive after the saga has gone back. A barrier is a record that stands beside
// the effect, in the same database, and is written in the same transaction:
//
//	func (b Bank) Charge(ctx context.Context, o Order) (Payment, error) {
//		return barrier.Tx(ctx, b.DB, func(tx *sql.Tx) (Payment, error) {
//			… statements on tx …
//		})
//	}
//
// Its key is that of the step's attempt, step.InfoFrom(ctx): do and undo of a step meet at the same record. What holds, for SQL as for Redis:
//
//   - A repeat of an action, or of an undo, has no effect and gets what the first got: the result, or the refusal.
//   - An undo whose action has not happened is recorded and has no effect.
//   - An action that comes after its undo is refused with ErrUndone and has no effect.
//   - An error that is no refusal leaves nothing behind, neither an effect nor a record: the next attempt starts from nothing.
//
// A step with several effects gives each a barrier of its own name, see Named.
//
// # What it costs
//
// SQL needs a table, see Schema, and two statements around those of the effect. Redis needs a key beside those of the effect, and no command
// more. Records are kept until they are pruned or their TTL ends, which has to be later than the last attempt of their saga: a saga that waits as a
// dead letter for a month needs records of more than a month. An undo that finds no record takes its action for one that never happened.
package barrier
