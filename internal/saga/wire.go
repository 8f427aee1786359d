package saga

import (
	"encoding/binary"
	"errors"
	"time"
)

// errShort says that bytes ended early or a length was impossible.
var errShort = errors.New("data ends early")

func putBytes(dst, b []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

func putString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func flag(on bool) byte {
	if on {
		return 1
	}
	return 0
}

// reader reads what the put functions wrote. After the first error it gives zero values.
type reader struct {
	data []byte
	err  error
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.data)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.data = r.data[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.data)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.data = r.data[n:]
	return v
}

// millis reads milliseconds.
func (r *reader) millis() time.Duration {
	v := r.varint()
	if d := time.Duration(v) * time.Millisecond; d.Milliseconds() == v {
		return d
	}
	r.fail()
	return 0
}

func (r *reader) byte() byte {
	if len(r.data) == 0 {
		r.fail()
		return 0
	}
	b := r.data[0]
	r.data = r.data[1:]
	return b
}

// bytes returns a part of the data itself, never nil without an error.
func (r *reader) bytes() []byte {
	n := r.uvarint()
	if r.err != nil || n > uint64(len(r.data)) {
		r.fail()
		return nil
	}
	b := r.data[:n:n]
	r.data = r.data[n:]
	return b
}

func (r *reader) string() string { return string(r.bytes()) }

func (r *reader) fail() {
	if r.err == nil {
		r.err = errShort
	}
	r.data = nil
}
