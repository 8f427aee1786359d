package payload

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
)

type boolCodec struct{}

func (boolCodec) write(_ *Encoder, b []byte, v reflect.Value) ([]byte, error) {
	if v.Bool() {
		return append(b, codeTrue), nil
	}
	return append(b, codeFalse), nil
}

func (boolCodec) read(d *decoder, v reflect.Value) error {
	if d.nothing() {
		return nil
	}
	if _, err := d.expect(kindBool); err != nil {
		return err
	}
	v.SetBool(d.data[d.pos-1] == codeTrue)
	return nil
}

func (boolCodec) empty(v reflect.Value) bool { return !v.Bool() }

// intCodec is for signed integers of so many bits, which are all written; int has 0 and takes as few bytes as it needs.
type intCodec int

func (bits intCodec) write(_ *Encoder, b []byte, v reflect.Value) ([]byte, error) {
	n := v.Int()
	switch bits {
	case 8:
		return append(b, codeInt8, byte(n)), nil
	case 16:
		return append16(b, codeInt16, uint16(n)), nil
	case 32:
		return append32(b, codeInt32, uint32(n)), nil
	case 64:
		return append64(b, codeInt64, uint64(n)), nil
	default:
		return appendInt(b, n), nil
	}
}

func (intCodec) read(d *decoder, v reflect.Value) error {
	bits, negative, err := d.integer()
	if err != nil {
		return err
	}
	n := int64(bits)
	if negative != (n < 0) || v.OverflowInt(n) {
		return errRange(v)
	}
	v.SetInt(n)
	return nil
}

func (intCodec) empty(v reflect.Value) bool { return v.Int() == 0 }

// uintCodec is for unsigned integers of so many bits, which are all written; uint has 0 and takes as few bytes as it needs.
type uintCodec int

func (bits uintCodec) write(_ *Encoder, b []byte, v reflect.Value) ([]byte, error) {
	n := v.Uint()
	switch bits {
	case 8:
		return append(b, codeUint8, byte(n)), nil
	case 16:
		return append16(b, codeUint16, uint16(n)), nil
	case 32:
		return append32(b, codeUint32, uint32(n)), nil
	case 64:
		return append64(b, codeUint64, n), nil
	default:
		return appendUint(b, n), nil
	}
}

func (uintCodec) read(d *decoder, v reflect.Value) error {
	n, negative, err := d.integer()
	if err != nil {
		return err
	}
	if negative || v.OverflowUint(n) {
		return errRange(v)
	}
	v.SetUint(n)
	return nil
}

func (uintCodec) empty(v reflect.Value) bool { return v.Uint() == 0 }

// floatCodec is for floats of so many bits.
type floatCodec int

func (bits floatCodec) write(_ *Encoder, b []byte, v reflect.Value) ([]byte, error) {
	if bits == 32 {
		return append32(b, codeFloat32, math.Float32bits(float32(v.Float()))), nil
	}
	return append64(b, codeFloat64, math.Float64bits(v.Float())), nil
}

func (bits floatCodec) read(d *decoder, v reflect.Value) error {
	if bits == 32 && d.next() == codeFloat64 {
		return errRange(v)
	}
	f, err := d.float()
	v.SetFloat(f)
	return err
}

func (floatCodec) empty(v reflect.Value) bool { return v.Float() == 0 }

func errRange(v reflect.Value) error { return fmt.Errorf("the number does not fit %v", v.Type()) }

// float takes any number.
func (d *decoder) float() (float64, error) {
	if c := d.next(); c != codeFloat32 && c != codeFloat64 {
		bits, negative, err := d.integer()
		if negative {
			return float64(int64(bits)), err
		}
		return float64(bits), err
	}
	h, err := d.head()
	if err != nil {
		return 0, err
	}
	content := d.take(h)
	if h.bytes == 4 {
		return float64(math.Float32frombits(binary.BigEndian.Uint32(content))), nil
	}
	return math.Float64frombits(binary.BigEndian.Uint64(content)), nil
}

// integer takes an integer of any width, or nil for zero. A negative one has the bits of an int64.
func (d *decoder) integer() (bits uint64, negative bool, err error) {
	if d.nothing() {
		return 0, false, nil
	}
	h, err := d.head()
	if err != nil {
		return 0, false, err
	}
	code := d.data[d.pos-1]
	content := d.take(h)
	var n int64
	switch code {
	case codeUint8:
		return uint64(content[0]), false, nil
	case codeUint16:
		return uint64(binary.BigEndian.Uint16(content)), false, nil
	case codeUint32:
		return uint64(binary.BigEndian.Uint32(content)), false, nil
	case codeUint64:
		return binary.BigEndian.Uint64(content), false, nil
	case codeInt8:
		n = int64(int8(content[0]))
	case codeInt16:
		n = int64(int16(binary.BigEndian.Uint16(content)))
	case codeInt32:
		n = int64(int32(binary.BigEndian.Uint32(content)))
	case codeInt64:
		n = int64(binary.BigEndian.Uint64(content))
	default:
		if h.kind != kindInt {
			return 0, false, mismatch("integer", h.kind)
		}
		n = int64(int8(code))
	}
	return uint64(n), n < 0, nil
}
