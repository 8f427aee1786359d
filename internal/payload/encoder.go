package payload

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
)

// Encoder encodes one value after the other into memory of its own. It is for one goroutine.
type Encoder struct {
	buf     []byte
	depth   int
	lib     *msgpack.Encoder
	sink    sink
	foreign []span  // what the library wrote, if there can be maps in it
	entries []entry // of the maps that are being written
	sorted  []byte
}

// span is a part of what was encoded.
type span struct{ from, to int }

var encoders = sync.Pool{New: func() any {
	e := new(Encoder)
	e.lib = msgpack.NewEncoder(&e.sink)
	return e
}}

// keptBuffer is how much memory an Encoder keeps for the next value.
const keptBuffer = 64 << 10

// NewEncoder takes an Encoder out of a pool. Free gives it back.
func NewEncoder() *Encoder { return encoders.Get().(*Encoder) }

// Free ends the use of e and of all that it gave. An Encoder that panicked is not to be freed.
func (e *Encoder) Free() {
	if max(cap(e.buf), cap(e.sorted)) <= keptBuffer {
		encoders.Put(e)
	}
}

// Encode gives the bytes of v, a value of t. They are e's, until its next use. Equal values have
// equal bytes, but for maps inside what encodes itself.
func (e *Encoder) Encode(t *Type, v any) ([]byte, error) {
	it := reflect.ValueOf(v)
	if it.IsValid() && it.Type() == t.typ && !t.addressed {
		return e.encode(t, it)
	}
	box := t.take()
	defer t.give(box)
	switch {
	case !it.IsValid(): // a nil that was an interface
	case it.Type().AssignableTo(t.typ):
		box.Set(it)
	default:
		return nil, fmt.Errorf("it is a %T", v)
	}
	return e.encode(t, box.Value)
}

func (e *Encoder) encode(t *Type, v reflect.Value) (_ []byte, err error) {
	e.foreign, e.entries, e.depth = e.foreign[:0], e.entries[:0], 0
	if e.buf, err = t.write(e, e.buf[:0], v); err != nil {
		return nil, err
	}
	if len(e.foreign) > 0 {
		err = wellFormed(e.buf) // or Decode would refuse it
	}
	return e.buf, err
}

// Digest is the SHA-256 of what was encoded last. It is the same for equal values: the maps in what
// encodes itself are sorted for it.
func (e *Encoder) Digest() [32]byte {
	if len(e.foreign) == 0 {
		return sha256.Sum256(e.buf)
	}
	var plain []byte
	from := 0
	for _, s := range e.foreign {
		plain = e.canonical(append(plain, e.buf[from:s.from]...), e.buf[s.from:s.to])
		from = s.to
	}
	return sha256.Sum256(append(plain, e.buf[from:]...))
}
