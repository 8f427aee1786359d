package plan

import (
	"fmt"
	"reflect"
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
	decode func(c Codec, data []byte) (any, error)
	zero   any
}

// TypeOf describes T.
func TypeOf[T any]() *Type {
	t := reflect.TypeFor[T]()
	var zero T
	return &Type{
		Go:     t,
		Shared: shares(t),
		zero:   zero,
		decode: func(c Codec, data []byte) (any, error) {
			var v T
			if err := c.Unmarshal(data, &v); err != nil {
				return nil, fmt.Errorf("decode %v: %w", t, err)
			}
			return v, nil
		},
	}
}

// Decode reads a value of the type.
func (t *Type) Decode(c Codec, data []byte) (any, error) { return t.decode(c, data) }

// Zero is the zero value of the type.
func (t *Type) Zero() any { return t.zero }

// String is the type as Go writes it.
func (t *Type) String() string { return t.Go.String() }

func shares(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			if shares(t.Field(i).Type) {
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
