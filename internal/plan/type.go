package plan

import (
	"fmt"
	"reflect"
	"time"

	"github.com/skald-go/skald/internal/payload"
)

// Codec turns payloads into bytes and back.
type Codec interface {
	Marshal(v any) ([]byte, error)
	Unmarshal(data []byte, v any) error
}

// Type is a payload type: made where the type was known, used where it is not.
type Type struct {
	Go     reflect.Type
	Shared bool // values hold references, so two holders of one value could see each other's writes
	// Payload writes and reads values as MessagePack, without a Codec.
	Payload *payload.Type

	encode func(c Codec, v any) ([]byte, error)
	decode func(c Codec, data []byte) (any, error)
	zero   any
}

// TypeOf describes T.
func TypeOf[T any]() *Type {
	t := reflect.TypeFor[T]()
	var zero T
	return &Type{
		Go:      t,
		Shared:  shares(t),
		Payload: payload.Of(t),
		zero:    zero,
		encode:  encoder[T](t),
		decode: func(c Codec, data []byte) (any, error) {
			var v T
			if err := c.Unmarshal(data, &v); err != nil {
				return nil, fmt.Errorf("decode %v: %w", t, err)
			}
			return v, nil
		},
	}
}

// Encode writes a value of the type.
func (t *Type) Encode(c Codec, v any) ([]byte, error) { return t.encode(c, v) }

// Decode reads a value of the type.
func (t *Type) Decode(c Codec, data []byte) (any, error) { return t.decode(c, data) }

// Zero is the zero value of the type.
func (t *Type) Zero() any { return t.zero }

// String is the type as Go writes it.
func (t *Type) String() string { return t.Go.String() }

// encoder gives codecs a pointer if there is something in T that marshals itself by its pointer only,
// as a big.Int does: codecs do not find such methods otherwise, and JSON would drop its content.
func encoder[T any](t reflect.Type) func(Codec, any) ([]byte, error) {
	if !byPointer(t) {
		return func(c Codec, v any) ([]byte, error) { return c.Marshal(v) }
	}
	return func(c Codec, v any) ([]byte, error) {
		it := Cast[T](v)
		return c.Marshal(&it)
	}
}

func byPointer(t reflect.Type) bool {
	for _, f := range []*format{&msgpackFormat, &jsonFormat} {
		for _, m := range f.methods {
			if !t.Implements(m.write) && reflect.PointerTo(t).Implements(m.write) {
				return true
			}
		}
	}
	switch t.Kind() {
	case reflect.Struct:
		for field := range t.Fields() {
			if byPointer(field.Type) {
				return true
			}
		}
		return false
	case reflect.Array:
		return byPointer(t.Elem())
	default:
		return false
	}
}

func shares(t reflect.Type) bool {
	if t == reflect.TypeFor[time.Time]() {
		return false // what its pointer refers to is never written
	}
	switch t.Kind() {
	case reflect.Struct:
		for field := range t.Fields() {
			if shares(field.Type) {
				return true
			}
		}
		return false
	case reflect.Array:
		return shares(t.Elem())
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return true
	default:
		return false
	}
}
