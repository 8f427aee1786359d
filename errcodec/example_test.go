package errcodec_test

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/skald-go/skald/errcodec"
	"github.com/vmihailenco/msgpack/v5"
)

var ErrSoldOut = errors.New("shop: sold out")

// TooFewPoints is an error with fields.
type TooFewPoints struct{ Have, Need int }

func (e *TooFewPoints) Error() string { return fmt.Sprintf("%d of %d points", e.Have, e.Need) }

// OrderError wraps what went wrong with an order.
type OrderError struct {
	Order string
	Err   error
}

func (e *OrderError) Error() string { return "order " + e.Order + ": " + e.Err.Error() }
func (e *OrderError) Unwrap() error { return e.Err }

// Errors is what an application registers, once.
var Errors = errcodec.New(
	errcodec.Sentinel("shop.sold-out", ErrSoldOut),

	errcodec.Type("shop.too-few-points", func(enc *msgpack.Encoder, e *TooFewPoints) error {
		return enc.EncodeMulti(e.Have, e.Need)
	}, func(dec *msgpack.Decoder) (*TooFewPoints, error) {
		e := new(TooFewPoints)
		return e, dec.DecodeMulti(&e.Have, &e.Need)
	}),

	errcodec.Wrapper("shop.order", func(enc *msgpack.Encoder, e *OrderError) error {
		return enc.EncodeString(e.Order)
	}, func(dec *msgpack.Decoder, cause error) (*OrderError, error) {
		order, err := dec.DecodeString()
		return &OrderError{order, cause}, err
	}),
)

func Example() {
	err := &OrderError{"order-42", fmt.Errorf("capsules: %w", errors.Join(ErrSoldOut, &TooFewPoints{999, 1000}))}

	data := Errors.Encode(err) // in the process of the participant
	got := Errors.Decode(data) // in the process of the caller

	fmt.Println(got)
	fmt.Println(errors.Is(got, ErrSoldOut))
	points, _ := errors.AsType[*TooFewPoints](got)
	fmt.Println(points.Need)
	// Output:
	// order order-42: capsules: shop: sold out
	// 999 of 1000 points
	// true
	// 1000
}

func ExampleSentinel() {
	codec := errcodec.New(errcodec.Sentinel("shop.sold-out", ErrSoldOut))
	got := codec.Decode(codec.Encode(ErrSoldOut))
	fmt.Println(got == ErrSoldOut)
	// Output: true
}

// unknown is not registered anywhere.
type unknown struct{}

func (unknown) Error() string { return "a surprise" }

func ExampleOpaque() {
	got := Errors.Decode(Errors.Encode(fmt.Errorf("pay: %w", unknown{})))
	fmt.Println(got)
	opaque, _ := errors.AsType[*errcodec.Opaque](got)
	fmt.Println(opaque.Why())
	// Output:
	// pay: a surprise
	// errcodec_test.unknown is not registered where it was made
}

func ExampleRedact() {
	card := regexp.MustCompile(`\d{12}(\d{4})`)
	codec := Errors.With(errcodec.Redact(func(text string) string {
		return card.ReplaceAllString(text, "…$1")
	}))
	got := codec.Decode(codec.Encode(errors.New("card 4111111111111111 declined")))
	fmt.Println(got)
	// Output: card …1111 declined
}

func ExampleCodec_With() {
	errLate := errors.New("courier: late")
	codec := Errors.With(errcodec.Sentinel("courier.late", errLate))
	fmt.Println(errors.Is(codec.Decode(codec.Encode(errLate)), errLate))
	// Output: true
}

func ExampleLike() {
	hidden := fmt.Errorf("%w", ErrSoldOut) // its type is not exported
	codec := errcodec.New(errcodec.Like("fmt.wrap", hidden, func(enc *msgpack.Encoder, err error) error {
		return enc.EncodeString(err.Error())
	}, func(dec *msgpack.Decoder, cause error) (error, error) {
		text, err := dec.DecodeString()
		return &OrderError{text, cause}, err
	}))
	fmt.Println(codec.Decode(codec.Encode(fmt.Errorf("capsules: %w", errors.New("none")))))
	// Output: order capsules: none: none
}
