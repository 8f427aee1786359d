package contract

import (
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/skald-go/skald/barrier"
	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/errcodec/jwterr"
)

// ErrPoor says that the account has not enough money.
var ErrPoor = errors.New("payments: not enough money")

// ErrNowhere says that no carrier goes there.
var ErrNowhere = errors.New("shipping: no carrier goes there")

// SoldOut says that stock has too little.
type SoldOut struct {
	Item string
	Left int
}

func (e *SoldOut) Error() string { return fmt.Sprintf("stock: %d of %q left", e.Left, e.Item) }

// Errors are the errors that reach every service, and the client, as themselves.
var Errors = errcodec.New(
	barrier.Errors(), jwterr.Errors(),
	errcodec.Sentinel("payments.poor", ErrPoor),
	errcodec.Sentinel("shipping.nowhere", ErrNowhere),
	errcodec.Type("stock.sold-out",
		func(enc *msgpack.Encoder, e *SoldOut) error { return enc.EncodeMulti(e.Item, e.Left) },
		func(dec *msgpack.Decoder) (*SoldOut, error) {
			e := new(SoldOut)
			return e, dec.DecodeMulti(&e.Item, &e.Left)
		}),
)
