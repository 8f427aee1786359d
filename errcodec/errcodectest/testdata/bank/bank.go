// Package bank has errors that are registered, and errors that are not.
package bank

import (
	"errors"
	"fmt"
	"io"

	"github.com/skald-go/skald/errcodec"
	"github.com/vmihailenco/msgpack/v5"
)

const closed = "closed"

var (
	ErrDeclined               = errors.New("bank: declined")
	ErrForgotten              = errors.New("bank: forgotten")
	ErrClosed, ErrOpen        = fmt.Errorf("bank: " + closed), errors.New("bank: open")
	ErrMade                   = make1("bank: made")
	ErrMadeUnregistered       = make1("bank: made as well")
	ErrTyped            error = &Known{1}
	ErrLent                   = io.EOF
	ErrLate             error
	internal            = errors.New("bank: internal")
	NotAnError          = "text"
	ErrExcepted         = errors.New("bank: excepted")
)

func make1(text string) error { return errors.New(text) }

type Known struct{ N int }

func (k *Known) Error() string { return "known" }

type UnknownError struct{}

func (UnknownError) Error() string { return internal.Error() }

type Alias = Known

type Coder interface {
	error
	Code() int
}

type hidden struct{}

func (hidden) Error() string { return "hidden" }

var Errors = errcodec.New(
	errcodec.Sentinel("bank.declined", ErrDeclined),
	errcodec.Sentinel("bank.closed", ErrClosed),
	errcodec.Sentinel("bank.made", ErrMade),
	errcodec.Type("bank.known", func(enc *msgpack.Encoder, k *Known) error {
		return enc.EncodeInt(int64(k.N))
	}, func(dec *msgpack.Decoder) (*Known, error) {
		n, err := dec.DecodeInt()
		return &Known{n}, err
	}),
)
