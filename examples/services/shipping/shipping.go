// Package shipping is the service that sends parcels. It writes labels, and tears them up.
package shipping

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/skald-go/skald/barrier"
	"github.com/skald-go/skald/examples/services/contract"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// Tables are what shipping keeps.
const Tables = `CREATE TABLE IF NOT EXISTS parcel (number TEXT PRIMARY KEY, address TEXT NOT NULL, pieces BIGINT NOT NULL);`

// Books are the figures that tell whether everything is right.
const Books = `SELECT 0, COALESCE(SUM(pieces), 0), COUNT(*) FROM parcel`

// Shipping is the service.
type Shipping struct {
	DB    *sql.DB
	guard barrier.SQL
}

// New makes the service.
func New(db *sql.DB) *Shipping { return &Shipping{db, barrier.SQL{Errors: contract.Errors}} }

// Flow is what other services know as contract.Ship.
func (s *Shipping) Flow() flow.Flow[contract.Parcel, contract.Label] {
	label := step.New("write-label", s.label).Compensate(s.tear).Retry(step.Retry{Attempts: 10, Delay: 50 * time.Millisecond})
	return flow.New[contract.Parcel]("ship").Then(label)
}

func (s *Shipping) label(ctx context.Context, p contract.Parcel) (contract.Label, error) {
	return s.guard.Tx(ctx, s.DB, func(tx *sql.Tx) (contract.Label, error) {
		label := contract.Label{Number: step.InfoFrom(ctx).Saga}
		if strings.TrimSpace(p.Address) == "" || strings.HasPrefix(p.Address, "the moon") {
			return label, step.Refused(contract.ErrNowhere)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO parcel VALUES ($1, $2, $3)`, label.Number, p.Address, p.Count)
		return label, err
	})
}

func (s *Shipping) tear(ctx context.Context, _ step.Effect[contract.Parcel, contract.Label]) error {
	return s.guard.ExecTx(ctx, s.DB, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM parcel WHERE number = $1`, step.InfoFrom(ctx).Saga)
		return err
	})
}
