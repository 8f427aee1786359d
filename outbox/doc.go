// Package outbox starts sagas from database transactions. A saga that is started beside a business change may be lost, if the process dies between the two,
// or be started for a change that is rolled back. Start writes the start as a row into a table of the same database instead, in the same transaction; a Relay
// starts the sagas of the rows that are committed:
//
//	tx, err := db.BeginTx(ctx, nil)
//	… the business change, on tx …
//	id, err := outbox.Start(ctx, tx, Order, request, flow.ID("order-42"))
//	err = tx.Commit()
//	relay.Wake() // a hint: the relay would find the row by itself, a little later
//
// A row is deleted when its saga is durable. Because a start with the same ID and input is the same saga, a relay that dies anywhere leaves nothing lost
// and nothing started twice: another one starts what it had claimed once more. Rows with one key, see Keyed, are started in the order in which they were
// written. A row that cannot be started, such as one whose ID belongs to another saga, is set aside with its error after a few attempts, and stops nobody: see
// Table.Stuck.
//
// It works with PostgreSQL and SQLite through database/sql, with any driver.
package outbox
