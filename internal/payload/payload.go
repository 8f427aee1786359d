// Package payload writes and reads values as MessagePack: for every type the bytes that
// github.com/vmihailenco/msgpack/v5.4 writes by default, but with the keys of maps sorted. Each type
// is compiled once, into codecs that know its fields and their names. Types that encode themselves,
// and whatever else the compiler does not fully understand, are left to that library.
//
// Reading is stricter than the library: a number that does not fit its type, bytes after the value
// and endless nesting are errors, and no length is believed before its bytes were seen.
package payload

import (
	"fmt"
	"reflect"
	"sync"
)

// Type writes and reads the values of one Go type. It may be used by many goroutines at once.
type Type struct {
	codec
	typ       reflect.Type
	foreign   bool      // the library has a part in it
	addressed bool      // methods that write it need its address
	boxes     sync.Pool // of *box
}

// codec writes and reads the values of one type.
type codec interface {
	write(e *Encoder, b []byte, v reflect.Value) ([]byte, error) // appends to b
	read(d *decoder, v reflect.Value) error                      // into a zero value
	empty(v reflect.Value) bool                                  // whether omitempty leaves the value out
}

// types grows with the types of the program, as the runtime's own tables do.
var types sync.Map // of *Type, by reflect.Type

// Of compiles t, if that was not done before.
func Of(t reflect.Type) *Type {
	if it, ok := types.Load(t); ok {
		return it.(*Type)
	}
	it, _ := types.LoadOrStore(t, compile(t))
	return it.(*Type)
}

// Decode reads a value that fills all of data. It is of the type, not a pointer to it, and keeps nothing of data.
func (t *Type) Decode(data []byte) (any, error) {
	box := t.take()
	defer t.give(box)
	if err := t.decode(data, box.Value); err != nil {
		return nil, err
	}
	return box.Interface(), nil
}

// box is a place for a value, which is zero while nobody uses it.
type box struct{ reflect.Value }

func (t *Type) take() *box {
	if b, ok := t.boxes.Get().(*box); ok {
		return b
	}
	return &box{reflect.New(t.typ).Elem()}
}

func (t *Type) give(b *box) {
	b.SetZero()
	t.boxes.Put(b)
}

func (t *Type) decode(data []byte, v reflect.Value) error {
	d := decoders.Get().(*decoder)
	defer d.free()
	d.data = data
	if t.foreign {
		if err := wellFormed(data); err != nil {
			return err
		}
	}
	if err := t.read(d, v); err != nil {
		return err
	}
	if rest := d.rest(); rest > 0 {
		return fmt.Errorf("there are %d bytes after it", rest)
	}
	return nil
}

// Marshal encodes a value of any type.
func Marshal(v any) ([]byte, error) {
	if v == nil {
		return []byte{codeNil}, nil
	}
	e := NewEncoder()
	defer e.Free()
	data, err := e.Encode(Of(reflect.TypeOf(v)), v)
	if err != nil {
		return nil, err
	}
	return append([]byte(nil), data...), nil
}

// Unmarshal decodes data into what ptr points to, which is made zero first.
func Unmarshal(data []byte, ptr any) error {
	v := reflect.ValueOf(ptr)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("%T is no pointer to a value", ptr)
	}
	v = v.Elem()
	v.SetZero()
	return Of(v.Type()).decode(data, v)
}
