package payload

import "reflect"

// structCodec writes a map from names to values. Names may come back in any order; those that it
// does not know are passed over, and those that are missing leave the zero value.
type structCodec struct {
	fields []*field
	omits  bool // some fields are left out when empty
	byName map[string]*field
}

type field struct {
	codec
	name  string
	key   []byte // the name as it is written
	index int    // in the struct, or in what path leads to
	path  []int  // through embedded structs
	omit  bool
}

func (f *field) in(v reflect.Value) reflect.Value {
	for _, i := range f.path {
		v = v.Field(i)
	}
	return v.Field(f.index)
}

func (c *structCodec) write(e *Encoder, b []byte, v reflect.Value) (_ []byte, err error) {
	n := len(c.fields)
	if c.omits {
		n = c.present(v)
	}
	b = appendMapLen(b, n)
	for _, f := range c.fields {
		at := f.in(v)
		if f.omit && f.empty(at) {
			continue
		}
		if b, err = f.write(e, append(b, f.key...), at); err != nil {
			return b, atField(f.name, err)
		}
	}
	return b, nil
}

// present counts the fields that are not left out.
func (c *structCodec) present(v reflect.Value) int {
	n := 0
	for _, f := range c.fields {
		if !f.omit || !f.empty(f.in(v)) {
			n++
		}
	}
	return n
}

func (c *structCodec) empty(v reflect.Value) bool { return c.present(v) == 0 }

func (c *structCodec) read(d *decoder, v reflect.Value) error {
	if d.nothing() {
		return nil
	}
	h, err := d.expect(kindMap)
	if err != nil {
		return err
	}
	for i := range h.values / 2 {
		name, err := d.text(kindString)
		if err != nil {
			return err
		}
		f := c.find(name, i)
		if f == nil {
			err = d.skip()
		} else if err = f.read(d, f.in(v)); err != nil {
			err = atField(f.name, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// find tries the field at i first: most data has the order of the type.
func (c *structCodec) find(name []byte, i int) *field {
	if i < len(c.fields) && c.fields[i].name == string(name) {
		return c.fields[i]
	}
	return c.byName[string(name)]
}
