package barrier

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"
)

// tries is how often a transaction is begun that fails because of others.
const tries = 5

// patiently calls try again, after a short and growing pause, while it fails because of another transaction.
func patiently(ctx context.Context, try func() error) error {
	err := try()
	for n := 1; n < tries && busy(err); n++ {
		most := 5 * time.Millisecond << n
		timer := time.NewTimer(rand.N(most))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
		err = try()
	}
	return err
}

// busy says that a transaction failed because of another, and may work when it is tried again. Drivers are known by the methods of their errors:
// those of PostgreSQL tell the SQLSTATE, those of SQLite a result code, and one tells it in words only.
func busy(err error) bool {
	if err == nil || Settled(err) {
		return false
	}
	if errors.Is(err, errBusy) {
		return true
	}
	if e, found := errors.AsType[interface {
		error
		SQLState() string
	}](err); found {
		const serialization, deadlock = "40001", "40P01"
		return e.SQLState() == serialization || e.SQLState() == deadlock
	}
	if e, found := errors.AsType[interface {
		error
		Code() int
	}](err); found {
		const busy, locked = 5, 6 // the low byte; the others say why
		return e.Code()&0xff == busy || e.Code()&0xff == locked
	}
	return strings.HasPrefix(innermost(err).Error(), "database is locked")
}

// innermost follows single causes to their end.
func innermost(err error) error {
	for cause := errors.Unwrap(err); cause != nil; cause = errors.Unwrap(err) {
		err = cause
	}
	return err
}
