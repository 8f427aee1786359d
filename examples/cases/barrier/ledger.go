// Package ledger moves points between accounts that are kept in a database or in Redis, with barriers that make each change happen once, whatever becomes of the
// process that makes it.
package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/skald-go/skald/barrier"
	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// InsufficientPoints refuses to take more than there is.
type InsufficientPoints struct {
	Account string
	Need    int
}

func (e *InsufficientPoints) Error() string {
	return fmt.Sprintf("account %s holds less than %d points", e.Account, e.Need)
}

// ErrDown is what one gets whose reply was lost.
var ErrDown = errors.New("connection reset")

// Errors is how refusals travel, and how barriers record them.
var Errors = errcodec.New(
	barrier.Errors(),
	errcodec.Sentinel("ledger.down", ErrDown),
	errcodec.Type("ledger.insufficient-points",
		func(enc *msgpack.Encoder, e *InsufficientPoints) error { return enc.EncodeMulti(e.Account, e.Need) },
		func(dec *msgpack.Decoder) (*InsufficientPoints, error) {
			e := new(InsufficientPoints)
			return e, dec.DecodeMulti(&e.Account, &e.Need)
		}),
)

// Transfer is points on their way.
type Transfer struct {
	From, To string
	Points   int
}

// Balances is what the accounts hold after a transfer.
type Balances struct{ From, To int }

// Ledger changes accounts, once for each step or undo that ctx is of, and writes each change into a journal, once as well.
type Ledger interface {
	// Change adds points, which may be negative, and gives the new balance. It refuses with InsufficientPoints. To undo what never happened is no change.
	Change(ctx context.Context, account string, points int) (balance int, err error)
}

// Move is the saga of a transfer. It takes the points, with the giving back as undo, and then gives them to the other account, with the taking back as undo.
func Move(l Ledger, policy func(step.Step[Transfer, int]) step.Step[Transfer, int]) flow.Flow[Transfer, Balances] {
	take := step.New("take", func(ctx context.Context, t Transfer) (int, error) { return l.Change(ctx, t.From, -t.Points) }).
		Compensate(func(ctx context.Context, e step.Effect[Transfer, int]) error {
			_, err := l.Change(ctx, e.In.From, e.In.Points)
			return err
		})
	give := step.New("give", func(ctx context.Context, t Transfer) (int, error) { return l.Change(ctx, t.To, t.Points) }).
		Compensate(func(ctx context.Context, e step.Effect[Transfer, int]) error {
			_, err := l.Change(ctx, e.In.To, -e.In.Points)
			return err
		})
	type taken struct {
		Transfer Transfer
		From     int
	}
	return flow.New[Transfer]("move").
		Also(policy(take), func(t Transfer, from int) taken { return taken{t, from} }).
		Use(policy(give), func(t taken) Transfer { return t.Transfer }, func(t taken, to int) Balances { return Balances{t.From, to} })
}
