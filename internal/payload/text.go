package payload

import "reflect"

type stringCodec struct{}

func (stringCodec) write(_ *Encoder, b []byte, v reflect.Value) ([]byte, error) {
	return appendString(b, v.String()), nil
}

func (stringCodec) read(d *decoder, v reflect.Value) error {
	if d.nothing() {
		return nil
	}
	text, err := d.text(kindString)
	if err != nil {
		return err
	}
	v.SetString(d.string(text))
	return nil
}

func (stringCodec) empty(v reflect.Value) bool { return v.Len() == 0 }

// bytesCodec is for slices of bytes.
type bytesCodec struct{}

func (bytesCodec) write(_ *Encoder, b []byte, v reflect.Value) ([]byte, error) {
	data := v.Bytes()
	if data == nil {
		return append(b, codeNil), nil
	}
	return appendBytes(b, data), nil
}

func (bytesCodec) read(d *decoder, v reflect.Value) error {
	if d.nothing() {
		return nil
	}
	data, err := d.text(kindBytes)
	if err != nil {
		return err
	}
	v.SetBytes(append([]byte{}, data...))
	return nil
}

func (bytesCodec) empty(v reflect.Value) bool { return v.Len() == 0 }

// byteArray is for arrays of bytes.
type byteArray struct{}

func (byteArray) write(_ *Encoder, b []byte, v reflect.Value) ([]byte, error) {
	if v.CanAddr() {
		return appendBytes(b, v.Bytes()), nil
	}
	b = appendBytesLen(b, v.Len())
	for i := range v.Len() {
		b = append(b, byte(v.Index(i).Uint()))
	}
	return b, nil
}

func (byteArray) read(d *decoder, v reflect.Value) error {
	if d.nothing() {
		return nil
	}
	data, err := d.text(kindBytes)
	if err != nil {
		return err
	}
	if len(data) > v.Len() {
		return errLength(len(data), v.Len())
	}
	copy(v.Bytes(), data)
	return nil
}

func (byteArray) empty(v reflect.Value) bool { return v.Len() == 0 }

// text takes a string or bytes; either may be read as the other. The result is part of d.data.
func (d *decoder) text(want kind) ([]byte, error) {
	if c := d.next(); c&^31 == codeFixString && int(c&31) < d.rest() { // most are short strings
		from := d.pos + 1
		d.pos = from + int(c&31)
		return d.data[from:d.pos], nil
	}
	h, err := d.head()
	if err != nil {
		return nil, err
	}
	if h.kind != kindString && h.kind != kindBytes {
		return nil, mismatch(want.String(), h.kind)
	}
	return d.take(h), nil
}

// oneCopy is how long data may be whose strings all share one copy of it, so that none of them pins much.
const oneCopy = 1 << 10

// string copies text, the part of the data that was just taken.
func (d *decoder) string(text []byte) string {
	if len(d.data) > oneCopy {
		return string(text)
	}
	if d.copy == "" {
		d.copy = string(d.data)
	}
	return d.copy[d.pos-len(text) : d.pos]
}
