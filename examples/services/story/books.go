package story

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/skald-go/skald/examples/services/process"
)

// ledger is the figures of all services.
type ledger map[string]process.Books

func (f *fleet) ledger(ctx context.Context) (ledger, error) {
	l := ledger{}
	for _, name := range Names {
		b, err := f.books(ctx, name)
		if err != nil {
			return nil, err
		}
		l[name] = b
	}
	return l, nil
}

// check says what is wrong after a number of orders that were confirmed: every service has to have had its effect for each of them, once, and
// for no other.
func (l ledger) check(before ledger, confirmed int64) error {
	var errs []error
	for name := range maps.Keys(l) {
		if got := l[name].Times - before[name].Times; got != confirmed {
			errs = append(errs, fmt.Errorf("%s has had %d effects for %d confirmed orders", name, got, confirmed))
		}
	}
	for _, name := range []string{"stock", "payments"} {
		if now, then := l[name].Here+l[name].Gone, before[name].Here+before[name].Gone; now != then {
			errs = append(errs, fmt.Errorf("%s had %d in all and has %d", name, then, now))
		}
	}
	if open := l["orders"].Here; open != 0 {
		errs = append(errs, fmt.Errorf("%d orders are still open", open))
	}
	if pieces := l["shipping"].Gone; pieces != l["stock"].Gone || pieces != l["orders"].Gone {
		errs = append(errs, fmt.Errorf("%d pieces were ordered, %d reserved and %d sent", l["orders"].Gone, l["stock"].Gone, pieces))
	}
	return errors.Join(errs...)
}
