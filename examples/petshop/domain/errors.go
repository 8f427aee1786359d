package domain

import (
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/errcodec/jwterr"
)

// The refusals that need no more than a name.
var (
	ErrNoAccount      = errors.New("no such account")
	ErrAccountClosed  = errors.New("account is closed")
	ErrNoOffer        = errors.New("no such offer")
	ErrNotOnSale      = errors.New("offer is not on sale")
	ErrNotYourOffer   = errors.New("offer belongs to somebody else")
	ErrAlreadyOffered = errors.New("pet is on offer already")
	ErrPetExists      = errors.New("pet exists already")
	ErrNoBackdrop     = errors.New("no such backdrop")
	ErrAlreadyOwned   = errors.New("backdrop is owned already")
	ErrQuizExists     = errors.New("quiz exists already")
	ErrUndone         = errors.New("request came after its undo")
)

// NotEnoughPoints refuses a price.
type NotEnoughPoints struct {
	User       string
	Have, Need int
}

func (e *NotEnoughPoints) Error() string {
	return fmt.Sprintf("%s has %d points, the price is %d", e.User, e.Have, e.Need)
}

// NoSuchPet says that an owner does not have that pet.
type NoSuchPet struct{ Pet, Owner string }

func (e *NoSuchPet) Error() string { return fmt.Sprintf("%s has no pet %s", e.Owner, e.Pet) }

// StableFull refuses one more pet.
type StableFull struct {
	User  string
	Limit int
}

func (e *StableFull) Error() string {
	return fmt.Sprintf("the stable of %s is full with %d pets", e.User, e.Limit)
}

// SoldOut says that nothing is left.
type SoldOut struct{ What string }

func (e *SoldOut) Error() string { return e.What + " is sold out" }

// Errors is how these errors, and those of tokens, travel through sagas.
var Errors = errcodec.New(
	jwterr.Errors(),
	errcodec.Sentinel("petshop.no-account", ErrNoAccount),
	errcodec.Sentinel("petshop.account-closed", ErrAccountClosed),
	errcodec.Sentinel("petshop.no-offer", ErrNoOffer),
	errcodec.Sentinel("petshop.not-on-sale", ErrNotOnSale),
	errcodec.Sentinel("petshop.not-your-offer", ErrNotYourOffer),
	errcodec.Sentinel("petshop.already-offered", ErrAlreadyOffered),
	errcodec.Sentinel("petshop.pet-exists", ErrPetExists),
	errcodec.Sentinel("petshop.no-backdrop", ErrNoBackdrop),
	errcodec.Sentinel("petshop.already-owned", ErrAlreadyOwned),
	errcodec.Sentinel("petshop.quiz-exists", ErrQuizExists),
	errcodec.Sentinel("petshop.undone", ErrUndone),
	errcodec.Type("petshop.not-enough-points",
		func(enc *msgpack.Encoder, e *NotEnoughPoints) error { return enc.EncodeMulti(e.User, e.Have, e.Need) },
		func(dec *msgpack.Decoder) (*NotEnoughPoints, error) {
			e := new(NotEnoughPoints)
			return e, dec.DecodeMulti(&e.User, &e.Have, &e.Need)
		}),
	errcodec.Type("petshop.no-such-pet",
		func(enc *msgpack.Encoder, e *NoSuchPet) error { return enc.EncodeMulti(e.Pet, e.Owner) },
		func(dec *msgpack.Decoder) (*NoSuchPet, error) {
			e := new(NoSuchPet)
			return e, dec.DecodeMulti(&e.Pet, &e.Owner)
		}),
	errcodec.Type("petshop.stable-full",
		func(enc *msgpack.Encoder, e *StableFull) error { return enc.EncodeMulti(e.User, e.Limit) },
		func(dec *msgpack.Decoder) (*StableFull, error) {
			e := new(StableFull)
			return e, dec.DecodeMulti(&e.User, &e.Limit)
		}),
	errcodec.Type("petshop.sold-out",
		func(enc *msgpack.Encoder, e *SoldOut) error { return enc.EncodeString(e.What) },
		func(dec *msgpack.Decoder) (e *SoldOut, err error) {
			e = new(SoldOut)
			e.What, err = dec.DecodeString()
			return e, err
		}),
)
