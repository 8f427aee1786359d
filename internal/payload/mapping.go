package payload

import (
	"bytes"
	"reflect"
	"slices"
	"sync"
)

// mapCodec writes entries in the order of their keys: strings as strings are ordered, others as their bytes are.
type mapCodec struct {
	typ       reflect.Type
	key, elem codec
	strings   bool      // keys are written as strings
	first     int       // entries to make room for before anything was read
	rooms     sync.Pool // of *mapRoom
}

// mapRoom is where a key and an element stand while they are written or read: those in a map have no address.
type mapRoom struct {
	key, elem reflect.Value
	iter      reflect.MapIter
}

func (c *mapCodec) room() *mapRoom {
	if r, ok := c.rooms.Get().(*mapRoom); ok {
		return r
	}
	return &mapRoom{key: reflect.New(c.typ.Key()).Elem(), elem: reflect.New(c.typ.Elem()).Elem()}
}

func (c *mapCodec) leave(r *mapRoom) {
	r.key.SetZero()
	r.elem.SetZero()
	r.iter.Reset(reflect.Value{})
	c.rooms.Put(r)
}

func (c *mapCodec) write(e *Encoder, b []byte, v reflect.Value) (_ []byte, err error) {
	if v.IsNil() {
		return append(b, codeNil), nil
	}
	b = appendMapLen(b, v.Len())
	first := len(e.entries)
	r := c.room()
	for r.iter.Reset(v); r.iter.Next(); {
		r.key.SetIterKey(&r.iter)
		r.elem.SetIterValue(&r.iter)
		if b, err = c.writeEntry(e, b, r); err != nil {
			return b, at("[]", err)
		}
	}
	c.leave(r)
	return e.arrange(b, first), nil
}

func (c *mapCodec) writeEntry(e *Encoder, b []byte, r *mapRoom) (_ []byte, err error) {
	it := entry{from: len(b), key: len(b), foreign: len(e.foreign)}
	if b, err = c.key.write(e, b, r.key); err != nil {
		return b, err
	}
	it.elem = len(b)
	if c.strings {
		it.key = len(b) - r.key.Len()
	}
	b, err = c.elem.write(e, b, r.elem)
	it.end, it.foreignEnd = len(b), len(e.foreign)
	e.entries = append(e.entries, it)
	return b, err
}

func (c *mapCodec) read(d *decoder, v reflect.Value) error {
	if d.nothing() {
		return nil
	}
	h, err := d.expect(kindMap)
	if err != nil {
		return err
	}
	n := h.values / 2
	v.Set(reflect.MakeMapWithSize(c.typ, min(n, c.first)))
	r := c.room()
	for range n {
		if err := c.readEntry(d, v, r); err != nil {
			return err
		}
	}
	c.leave(r)
	return nil
}

func (c *mapCodec) readEntry(d *decoder, v reflect.Value, r *mapRoom) error {
	r.key.SetZero()
	if err := c.key.read(d, r.key); err != nil {
		return at("[key]", err)
	}
	r.elem.SetZero()
	if err := c.elem.read(d, r.elem); err != nil {
		return at("[]", err)
	}
	v.SetMapIndex(r.key, r.elem)
	return nil
}

func (c *mapCodec) empty(v reflect.Value) bool { return v.Len() == 0 }

// entry is where the parts of an entry of a map are in what was written.
type entry struct {
	from, key, elem, end int // key is where the part begins that the order is made by, elem where it ends
	foreign, foreignEnd  int // in Encoder.foreign
}

// arrange sorts the entries from the given one on, which b ends with.
func (e *Encoder) arrange(b []byte, first int) []byte {
	entries := e.entries[first:]
	e.entries = e.entries[:first]
	order := func(x, y entry) int {
		if c := bytes.Compare(b[x.key:x.elem], b[y.key:y.elem]); c != 0 {
			return c
		}
		return bytes.Compare(b[x.from:x.end], b[y.from:y.end]) // two keys that marshal themselves to the same
	}
	if slices.IsSortedFunc(entries, order) {
		return b
	}
	start, startForeign := entries[0].from, entries[0].foreign
	slices.SortFunc(entries, order)
	e.sorted = append(e.sorted[:0], b[start:]...)
	spans := slices.Clone(e.foreign[startForeign:])
	b, e.foreign = b[:start], e.foreign[:startForeign]
	for _, it := range entries {
		shift := len(b) - it.from
		b = append(b, e.sorted[it.from-start:it.end-start]...)
		for _, s := range spans[it.foreign-startForeign : it.foreignEnd-startForeign] {
			e.foreign = append(e.foreign, span{s.from + shift, s.to + shift})
		}
	}
	return b
}
