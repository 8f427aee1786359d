// Package transfer moves money between accounts at two banks.
package transfer

import (
	"context"
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/examples/internal/partner"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// ErrClosed refuses money from and to an account that is closed.
var ErrClosed = errors.New("account is closed")

// InsufficientBalance refuses to take more than there is.
type InsufficientBalance struct {
	Account       string
	Balance, Need int
}

func (e *InsufficientBalance) Error() string {
	return fmt.Sprintf("account %s holds %d, and %d is asked for", e.Account, e.Balance, e.Need)
}

// Errors is how the refusals travel.
var Errors = errcodec.New(
	partner.Errors,
	errcodec.Sentinel("bank.closed", ErrClosed),
	errcodec.Type("bank.insufficient-balance",
		func(enc *msgpack.Encoder, e *InsufficientBalance) error {
			return enc.EncodeMulti(e.Account, e.Balance, e.Need)
		},
		func(dec *msgpack.Decoder) (*InsufficientBalance, error) {
			e := new(InsufficientBalance)
			return e, dec.DecodeMulti(&e.Account, &e.Balance, &e.Need)
		}),
)

// Transfer moves an amount. A negative one moves it the other way.
type Transfer struct {
	From, To string
	Amount   int
}

// Balances is what both accounts hold after it.
type Balances struct{ From, To int }

// Banks are the two banks, with all their accounts.
type Banks struct {
	*partner.Partners
	Accounts map[string]int
	Closed   map[string]bool
	Retry    step.Retry // of bookings and of their undos
}

// move is the work of a bank. Money that is given back is taken even if the account gets below zero.
func (b *Banks) move(account string, amount int, back bool) (int, error) {
	balance := b.Accounts[account] + amount
	switch {
	case b.Closed[account]:
		return 0, fmt.Errorf("%s: %w", account, ErrClosed)
	case balance < 0 && !back:
		return 0, step.Refused(&InsufficientBalance{Account: account, Balance: b.Accounts[account], Need: -amount})
	}
	b.Accounts[account] = balance
	return balance, nil
}

// Entry is one side of a transfer.
type Entry struct {
	Account string
	Amount  int
}

// Book is a step that changes an account's balance.
func (b *Banks) Book(name string) step.Step[Entry, int] {
	book := func(ctx context.Context, e Entry) (int, error) {
		return b.Do(ctx, func() (int, error) { return b.move(e.Account, e.Amount, false) })
	}
	back := func(ctx context.Context, e step.Effect[Entry, int]) error {
		return b.Undo(ctx, e.Known, func() error {
			_, err := b.move(e.In.Account, -e.In.Amount, true)
			return err
		})
	}
	return step.New(name, book).Compensate(back).Refuses(ErrClosed).
		Retry(b.Retry).RetryUndo(b.Retry)
}

func (t Transfer) debit() Entry  { return Entry{t.From, -t.Amount} }
func (t Transfer) credit() Entry { return Entry{t.To, t.Amount} }

// moved is a transfer on its way.
type moved struct {
	Transfer Transfer
	From     int
}

// OneByOne takes the money at one bank, then gives it at the other.
func (b *Banks) OneByOne() flow.Flow[Transfer, Balances] {
	return flow.New[Transfer]("transfer").
		Use(b.Book("debit"), Transfer.debit, func(t Transfer, from int) moved { return moved{t, from} }).
		Use(b.Book("credit"), func(m moved) Entry { return m.Transfer.credit() }, func(m moved, to int) Balances { return Balances{m.From, to} })
}

// SideBySide books both entries at once, then audits.
func (b *Banks) SideBySide() flow.Flow[Transfer, Balances] {
	side := func(name string, entry func(Transfer) Entry) flow.Flow[Transfer, int] {
		return flow.New[Transfer](name).Map(entry).Then(b.Book("book"))
	}
	audit := step.Do("audit", func(ctx context.Context, _ Balances) error {
		_, err := b.Do(ctx, func() (bool, error) { return true, nil })
		return err
	}).ReadOnly()
	return flow.New[Transfer]("transfer-at-once").
		Both("legs", side("from", Transfer.debit), side("to", Transfer.credit), func(_ Transfer, from, to int) Balances { return Balances{from, to} }).
		Then(audit)
}
