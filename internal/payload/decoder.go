package payload

import (
	"errors"
	"io"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
)

// decoder reads one value.
type decoder struct {
	data  []byte
	copy  string // of data, if that is short
	pos   int
	depth int
	lib   *msgpack.Decoder // or nil
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

func (d *decoder) free() {
	if len(d.data) > keptBuffer {
		return // the library keeps as much
	}
	d.data, d.copy, d.pos, d.depth = nil, "", 0, 0
	decoders.Put(d)
}

func (d *decoder) rest() int { return len(d.data) - d.pos }

// next is the first byte of what comes, or one that begins no value.
func (d *decoder) next() byte {
	if d.rest() == 0 {
		return codeNone
	}
	return d.data[d.pos]
}

// nothing takes a nil, if there is one; it stands for the zero value of every type.
func (d *decoder) nothing() bool {
	if d.next() != codeNil {
		return false
	}
	d.pos++
	return true
}

// A decoder is what its library decoder reads from.
var _ io.ByteScanner = (*decoder)(nil)

func (d *decoder) Read(b []byte) (int, error) {
	if d.rest() == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	n := copy(b, d.data[d.pos:])
	d.pos += n
	return n, nil
}

func (d *decoder) ReadByte() (byte, error) {
	if d.rest() == 0 {
		return 0, io.EOF
	}
	d.pos++
	return d.data[d.pos-1], nil
}

func (d *decoder) UnreadByte() error {
	if d.pos == 0 {
		return errors.New("nothing was read yet")
	}
	d.pos--
	return nil
}
