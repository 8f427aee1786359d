package errcodec

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/vmihailenco/msgpack/v5"
)

// Entry is one thing that a codec knows. It is made by [Sentinel], [Type],
// [Wrapper], [Multi], [Like], [Group], [Redact] and [Bounds], and does nothing until it is
// given to [New] or [Codec.With]. The zero Entry adds nothing.
type Entry struct {
	kind     kind
	key      string
	sentinel error
	typ      reflect.Type
	pointer  bool // typ is a pointer, whose nil no function is given
	leaf     bool // decode is not given the causes
	standard bool // built in: an application's entry wins
	encode   func(*msgpack.Encoder, error) error
	decode   func(*msgpack.Decoder, causes) (error, error)
	as       func(error) (error, bool) // asks an As method for this type
	group    []Entry
	redact   func(string) string
	limits   Limits
	text     string // what the sentinel says
}

type kind uint8

const (
	kindNothing kind = iota
	kindSentinel
	kindType
	kindGroup
	kindRedact
	kindBounds
)

// Sentinel registers an error variable under a key. Wherever it stands in a
// tree of errors it is decoded to the variable itself, so that == and
// errors.Is hold. The key is part of stored data: once used, it stays.
//
// A sentinel is read once, when the codec is made: its text must not change.
func Sentinel(key string, err error) Entry {
	return Entry{kind: kindSentinel, key: key, sentinel: err, typ: reflect.TypeOf(err)}
}

// Type registers the error type T under a key, with functions that write and
// read its fields. Both see T as it is: a pointer if T is one, never nil.
//
// The functions, and the methods Error and Unwrap of T, are trusted not to
// block: they run in the goroutine that encodes or decodes. They may fail
// or panic; the error then arrives as an [Opaque]. Fields appended by a newer
// version of encode are ignored by an older decode.
//
// A T that has causes is better registered with [Wrapper] or [Multi]. If its
// decoded value unwraps to nothing, its causes are kept beside it.
func Type[T error](key string, encode func(*msgpack.Encoder, T) error, decode func(*msgpack.Decoder) (T, error)) Entry {
	return entryOf(key, true, encode, decode != nil, func(dec *msgpack.Decoder, _ causes) (T, error) { return decode(dec) })
}

// Wrapper is [Type] for types that wrap one cause: decode is given the decoded
// cause, which is nil if there was none. Encode writes everything else; it
// leaves the cause alone.
func Wrapper[T error](key string, encode func(*msgpack.Encoder, T) error, decode func(*msgpack.Decoder, error) (T, error)) Entry {
	return entryOf(key, false, encode, decode != nil, func(dec *msgpack.Decoder, c causes) (T, error) { return decode(dec, c.single()) })
}

// Multi is [Wrapper] for types that have several causes.
func Multi[T error](key string, encode func(*msgpack.Encoder, T) error, decode func(*msgpack.Decoder, []error) (T, error)) Entry {
	return entryOf(key, false, encode, decode != nil, func(dec *msgpack.Decoder, c causes) (T, error) { return decode(dec, c.list()) })
}

// Like registers the dynamic type of sample, for types that cannot be named:
// those that are not exported, or live in an internal package. Encode is given
// values of that type only, and decode should return one; cause is nil if
// there was none.
func Like(key string, sample error, encode func(*msgpack.Encoder, error) error, decode func(dec *msgpack.Decoder, cause error) (error, error)) Entry {
	e := Entry{kind: kindType, key: key, typ: reflect.TypeOf(sample), encode: encode}
	e.pointer = e.typ != nil && e.typ.Kind() == reflect.Pointer
	if decode != nil {
		e.decode = func(dec *msgpack.Decoder, c causes) (error, error) { return decode(dec, c.single()) }
	}
	return e
}

// Group makes one entry of many, for packages that offer theirs.
func Group(entries ...Entry) Entry {
	return Entry{kind: kindGroup, group: slices.Clone(entries)}
}

// Redact has every text pass through hide before it is sent: messages, and
// the strings that types write into their fields. Texts of sentinels are
// constants of the program and are sent as they are. With hide in place an
// error that was made elsewhere and only passes through is rewritten as well.
// Hide must not block; a text for which it panics is not sent at all. With
// several Redact entries the last one is used.
func Redact(hide func(text string) string) Entry {
	return Entry{kind: kindRedact, redact: hide}
}

// Bounds sets the codec's limits. With several Bounds entries the last one is used.
func Bounds(limits Limits) Entry {
	return Entry{kind: kindBounds, limits: limits}
}

// entryOf erases T. It is the only place that knows it.
func entryOf[T error](key string, leaf bool, encode func(*msgpack.Encoder, T) error, decodes bool, decode func(*msgpack.Decoder, causes) (T, error)) Entry {
	e := Entry{kind: kindType, key: key, typ: reflect.TypeFor[T](), leaf: leaf}
	e.pointer = e.typ.Kind() == reflect.Pointer
	if encode != nil {
		e.encode = func(enc *msgpack.Encoder, err error) error { return encode(enc, err.(T)) }
	}
	if decodes {
		e.decode = func(dec *msgpack.Decoder, c causes) (error, error) { return decode(dec, c) }
	}
	e.as = func(err error) (error, bool) {
		asker, ok := err.(interface{ As(any) bool })
		var t T
		return t, ok && asker.As(&t)
	}
	return e
}

// name says what an entry registers, for people.
func (e *Entry) name() string {
	if e.kind == kindSentinel {
		return fmt.Sprintf("the sentinel %q (%T)", e.text, e.sentinel)
	}
	return fmt.Sprintf("the type %v", e.typ)
}

// isNil reports whether err is a nil pointer of the entry's type.
func (e *Entry) isNil(err error) bool {
	return e.pointer && identityOf(err).data == 0
}
