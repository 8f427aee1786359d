package payload

import (
	"errors"
	"fmt"
)

// kind is what a value on the wire is.
type kind uint8

const (
	kindNil kind = iota
	kindBool
	kindInt
	kindUint
	kindFloat
	kindString
	kindBytes
	kindArray
	kindMap
	kindExt
)

func (k kind) String() string {
	return [...]string{"nil", "bool", "integer", "integer", "float", "string", "bytes", "array", "map", "extension"}[k]
}

// mismatch tells the kinds of values, never their content.
func mismatch(want string, got kind) error {
	return fmt.Errorf("there is a value of kind %v where one of kind %s should be", got, want)
}

// head begins every value.
type head struct {
	kind   kind
	bytes  int // that follow and are its content
	values int // that follow: those of an array, the keys and values of a map
}

var errShort = errors.New("the data ends too early")

// head takes the head of the next value. It promises no more than there is: a value takes at least one byte.
func (d *decoder) head() (head, error) {
	if d.rest() == 0 {
		return head{}, errShort
	}
	c := d.data[d.pos]
	h, size := headOf(c)
	if size < 0 {
		return h, fmt.Errorf("0x%x begins no value", c)
	}
	if size >= d.rest() {
		return h, errShort
	}
	var length uint64
	for range size {
		d.pos++
		length = length<<8 | uint64(d.data[d.pos])
	}
	d.pos++
	if length > uint64(d.rest()) {
		return h, errShort
	}
	switch h.kind {
	case kindArray:
		h.values += int(length)
	case kindMap:
		h.values += 2 * int(length)
	default:
		h.bytes += int(length)
	}
	if max(h.values, h.bytes) > d.rest() {
		return h, errShort
	}
	return h, nil
}

// headOf gives what c says by itself, and how many bytes of a length follow it, or -1 if c begins no value.
func headOf(c byte) (h head, size int) {
	switch {
	case c <= maxFixInt || c >= minFixInt:
		return head{kind: kindInt}, 0
	case c < codeFixArray:
		return head{kind: kindMap, values: 2 * int(c&15)}, 0
	case c < codeFixString:
		return head{kind: kindArray, values: int(c & 15)}, 0
	case c < codeNil:
		return head{kind: kindString, bytes: int(c & 31)}, 0
	}
	w := &wide[c-codeNil]
	return head{kind: w.kind, bytes: int(w.bytes)}, int(w.size)
}

// wide says what begins with each byte from codeNil to codeMap32: the bytes of its content, and those
// of the length of its content. The type of an extension counts as content.
var wide = [...]struct {
	kind        kind
	bytes, size int8
}{
	{kindNil, 0, 0},
	{0, 0, -1},
	{kindBool, 0, 0}, {kindBool, 0, 0},
	{kindBytes, 0, 1}, {kindBytes, 0, 2}, {kindBytes, 0, 4},
	{kindExt, 1, 1}, {kindExt, 1, 2}, {kindExt, 1, 4},
	{kindFloat, 4, 0}, {kindFloat, 8, 0},
	{kindUint, 1, 0}, {kindUint, 2, 0}, {kindUint, 4, 0}, {kindUint, 8, 0},
	{kindInt, 1, 0}, {kindInt, 2, 0}, {kindInt, 4, 0}, {kindInt, 8, 0},
	{kindExt, 2, 0}, {kindExt, 3, 0}, {kindExt, 5, 0}, {kindExt, 9, 0}, {kindExt, 17, 0},
	{kindString, 0, 1}, {kindString, 0, 2}, {kindString, 0, 4},
	{kindArray, 0, 2}, {kindArray, 0, 4},
	{kindMap, 0, 2}, {kindMap, 0, 4},
}

// take takes the content of a value after its head. It is part of d.data.
func (d *decoder) take(h head) []byte {
	d.pos += h.bytes
	return d.data[d.pos-h.bytes : d.pos]
}

// skip passes over a value, however deep it is.
func (d *decoder) skip() error {
	for todo := 1; todo > 0; todo-- {
		h, err := d.head()
		if err != nil {
			return err
		}
		d.pos += h.bytes
		todo += h.values
	}
	return nil
}

// expect takes the head of a value that must be of a kind.
func (d *decoder) expect(want kind) (head, error) {
	h, err := d.head()
	if err == nil && h.kind != want {
		err = mismatch(want.String(), h.kind)
	}
	return h, err
}

// wellFormed checks that data is nothing but values, some number of them, whose lengths can be
// believed: what the library does not check before it makes room.
func wellFormed(data []byte) error {
	d := decoder{data: data}
	var room [32]int
	open := room[:0] // how many values are to come in each array and map around the next one
	for d.rest() > 0 {
		h, err := d.head()
		if err != nil {
			return err
		}
		if d.pos += h.bytes; h.values > 0 {
			open = append(open, h.values)
		} else {
			open = closed(open)
		}
		if len(open) > maxDepth {
			return errDepth
		}
	}
	return nil
}

// closed is what is still open after one more value.
func closed(open []int) []int {
	for i := len(open) - 1; i >= 0; i-- {
		if open[i]--; open[i] > 0 {
			return open[:i+1]
		}
	}
	return open[:0]
}
