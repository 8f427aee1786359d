package payload

import (
	"fmt"
	"reflect"
)

type pointerCodec struct {
	elem codec
	typ  reflect.Type // of what it points to
}

func (c *pointerCodec) write(e *Encoder, b []byte, v reflect.Value) ([]byte, error) {
	if v.IsNil() {
		return append(b, codeNil), nil
	}
	return c.elem.write(e, b, v.Elem())
}

func (c *pointerCodec) read(d *decoder, v reflect.Value) error {
	if d.nothing() {
		return nil
	}
	v.Set(reflect.New(c.typ))
	return c.elem.read(d, v.Elem())
}

func (c *pointerCodec) empty(v reflect.Value) bool { return v.IsNil() }

// recursive is where a type contains itself, so that values can be endless.
type recursive struct{ of codec }

// maxDepth is how deeply such values may be nested; more is taken for a value that holds itself.
const maxDepth = 10_000

var errDepth = fmt.Errorf("it is nested more than %d levels deep, or holds itself", maxDepth)

func (c *recursive) write(e *Encoder, b []byte, v reflect.Value) (_ []byte, err error) {
	if e.depth++; e.depth > maxDepth {
		return b, errDepth
	}
	b, err = c.of.write(e, b, v)
	e.depth--
	return b, err
}

func (c *recursive) read(d *decoder, v reflect.Value) error {
	if d.depth++; d.depth > maxDepth {
		return errDepth
	}
	err := c.of.read(d, v)
	d.depth--
	return err
}

func (c *recursive) empty(v reflect.Value) bool { return c.of.empty(v) }
