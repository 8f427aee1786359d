package payload

import (
	"encoding"
	"reflect"
	"slices"

	"github.com/vmihailenco/msgpack/v5"
)

// foreignCodec leaves values to the library.
type foreignCodec struct {
	maps bool // there can be maps in what is written; else it is bytes
}

// sink is where the library writes.
type sink struct{ b []byte }

func (s *sink) Write(p []byte) (int, error) {
	s.b = append(s.b, p...)
	return len(p), nil
}

func (s *sink) WriteByte(c byte) error {
	s.b = append(s.b, c)
	return nil
}

func (c foreignCodec) write(e *Encoder, b []byte, v reflect.Value) ([]byte, error) {
	from := len(b)
	e.sink.b = b
	e.lib.Reset(&e.sink)
	e.lib.SetSortMapKeys(true)
	err := e.lib.EncodeValue(v)
	b, e.sink.b = e.sink.b, nil
	if c.maps {
		e.foreign = append(e.foreign, span{from, len(b)})
	}
	return b, err
}

func (foreignCodec) read(d *decoder, v reflect.Value) error {
	lib := d.lib
	if lib == nil {
		lib = msgpack.NewDecoder(d)
	}
	d.lib = nil // after a failure it would record all that it ever reads
	lib.Reset(d)
	if err := lib.DecodeValue(v); err != nil {
		return err
	}
	d.lib = lib
	return nil
}

// empty is asked of pointers only; structs that would ask more are left to the library as a whole.
func (foreignCodec) empty(v reflect.Value) bool { return v.IsNil() }

// The methods by which the library lets a type, or what points to it, encode itself, in its order.
var (
	msgpackWrites = []reflect.Type{reflect.TypeFor[msgpack.CustomEncoder](), reflect.TypeFor[msgpack.Marshaler]()}
	bytesWrites   = []reflect.Type{reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[encoding.TextMarshaler]()}
	reads         = []reflect.Type{
		reflect.TypeFor[msgpack.CustomDecoder](), reflect.TypeFor[msgpack.Unmarshaler](),
		reflect.TypeFor[encoding.BinaryUnmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](),
	}
)

func hasOne(t reflect.Type, methods []reflect.Type) bool {
	return slices.ContainsFunc(methods, t.Implements)
}

// itself says whether values of t write or read themselves.
func itself(t reflect.Type) bool {
	if t.Kind() != reflect.Pointer && itself(reflect.PointerTo(t)) {
		return true
	}
	return hasOne(t, msgpackWrites) || hasOne(t, bytesWrites) || hasOne(t, reads)
}

// zeroer is what omitempty asks instead of looking itself.
type zeroer interface{ IsZero() bool }

// zeroCodec is for fields of a type with IsZero that may be left out.
type zeroCodec struct{ codec }

func (c zeroCodec) empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		if v.IsNil() {
			return true
		}
	}
	return v.Interface().(zeroer).IsZero()
}
