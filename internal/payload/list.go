package payload

import (
	"fmt"
	"reflect"
)

// sliceCodec is for slices of anything but bytes.
type sliceCodec struct {
	typ  reflect.Type
	elem codec
	room int // that is made before anything was read
}

func (c *sliceCodec) write(e *Encoder, b []byte, v reflect.Value) ([]byte, error) {
	if v.IsNil() {
		return append(b, codeNil), nil
	}
	return writeElems(c.elem, e, b, v)
}

func writeElems(elem codec, e *Encoder, b []byte, v reflect.Value) (_ []byte, err error) {
	n := v.Len()
	b = appendArrayLen(b, n)
	for i := range n {
		if b, err = elem.write(e, b, v.Index(i)); err != nil {
			return b, atIndex(i, err)
		}
	}
	return b, nil
}

func (c *sliceCodec) read(d *decoder, v reflect.Value) error {
	if d.nothing() {
		return nil
	}
	h, err := d.expect(kindArray)
	if err != nil {
		return err
	}
	if h.values == 0 {
		v.Set(reflect.MakeSlice(c.typ, 0, 0))
	}
	for i := range h.values {
		if i == v.Len() {
			v.Grow(min(h.values-i, max(i, c.room)))
			v.SetLen(min(h.values, v.Cap()))
		}
		if err := c.elem.read(d, v.Index(i)); err != nil {
			return atIndex(i, err)
		}
	}
	return nil
}

func (c *sliceCodec) empty(v reflect.Value) bool { return v.Len() == 0 }

// firstRoom is for how many values of a size room is made before any was read: data that promises
// more than it has must not cost much.
func firstRoom(size uintptr) int { return 4 + (16<<10)/int(size+1) }

type arrayCodec struct{ elem codec }

func (c *arrayCodec) write(e *Encoder, b []byte, v reflect.Value) ([]byte, error) {
	return writeElems(c.elem, e, b, v)
}

func (c *arrayCodec) read(d *decoder, v reflect.Value) error {
	if d.nothing() {
		return nil
	}
	h, err := d.expect(kindArray)
	if err != nil {
		return err
	}
	if h.values > v.Len() {
		return errLength(h.values, v.Len())
	}
	for i := range h.values {
		if err := c.elem.read(d, v.Index(i)); err != nil {
			return atIndex(i, err)
		}
	}
	return nil
}

func (c *arrayCodec) empty(v reflect.Value) bool { return v.Len() == 0 }

func errLength(got, room int) error {
	return fmt.Errorf("there are %d elements for %d places", got, room)
}
