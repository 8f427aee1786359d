package errcodec

import (
	"encoding/binary"
	"strings"
)

// The format is specified in docs/errcodec-format.md.
const (
	magic   = 0xC1 // a byte that msgpack never uses, and that no text begins with
	version = 1
)

// A node's first byte.
const (
	classNil      = 0 // a nil among the causes
	classPlain    = 1 // text and causes are all there is
	classSentinel = 2
	classTyped    = 3
	classForeign  = 4
	classMask     = 0x07

	textLiteral = 0 << 3
	textSame    = 1 << 3 // the text of the parent
	textSuffix  = 2 << 3 // the end of it
	textSlice   = 3 << 3 // a part of it
	textMask    = 0x18

	shapeLeaf = 0 << 5
	shapeOne  = 1 << 5 // Unwrap() error
	shapeMany = 2 << 5 // Unwrap() []error
	shapeMask = 0x60

	hasExtras = 0x80
)

// The extras byte.
const (
	extraNote      = 0x01
	extraAnswers   = 0x02
	extraTimeout   = 0x04 // has a Timeout method
	extraTimedOut  = 0x08 // which answers true
	extraTemporary = 0x10
	extraPassing   = 0x20
	extraMask      = 0x3F
)

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// appendText writes text as a part of parent where it is one, beginning at
// from or later. It sets the mode in the node's head, and returns where the
// part ended.
func appendText(dst []byte, head int, text, parent string, from int, last bool) ([]byte, int) {
	at := locate(text, parent, from, last)
	switch {
	case at < 0:
		return appendString(dst, text), from
	case len(text) == len(parent):
		dst[head] |= textSame
	case at+len(text) == len(parent):
		dst[head] |= textSuffix
		dst = binary.AppendUvarint(dst, uint64(at))
	default:
		dst[head] |= textSlice
		dst = binary.AppendUvarint(dst, uint64(at))
		dst = binary.AppendUvarint(dst, uint64(len(text)))
	}
	return dst, at + len(text)
}

func locate(text, parent string, from int, last bool) int {
	if text == "" || len(parent)-from < len(text) {
		return -1
	}
	if last && strings.HasSuffix(parent, text) {
		return len(parent) - len(text)
	}
	if at := strings.Index(parent[from:], text); at >= 0 {
		return from + at
	}
	return -1
}

// reader takes data apart. After the first mistake it only returns zeros.
type reader struct {
	data string
	pos  int
	bad  string
}

func (r *reader) fail(why string) {
	if r.bad == "" {
		r.bad, r.pos = why, len(r.data)
	}
}

func (r *reader) byte() byte {
	if r.pos >= len(r.data) {
		r.fail("it ends too early")
		return 0
	}
	r.pos++
	return r.data[r.pos-1]
}

func (r *reader) uvarint() int {
	var n uint64
	for shift := 0; ; shift += 7 {
		b := r.byte()
		n |= uint64(b&0x7F) << shift
		if b < 0x80 {
			break
		}
		if shift == 21 {
			return int(n | r.top()<<28)
		}
	}
	return int(n)
}

// top reads the fifth and last byte of a number, which is below 2^31.
func (r *reader) top() uint64 {
	b := r.byte()
	if b > 0x07 {
		r.fail("a number is too large")
		return 0
	}
	return uint64(b)
}

func (r *reader) string() string {
	n := r.uvarint()
	if n > len(r.data)-r.pos {
		r.fail("a text is longer than the data")
		return ""
	}
	r.pos += n
	return r.data[r.pos-n : r.pos]
}

func (r *reader) text(mode byte, parent string) string {
	switch mode {
	case textLiteral:
		return r.string()
	case textSame:
		return parent
	}
	from, size := r.uvarint(), -1
	if mode == textSlice {
		size = r.uvarint()
	}
	if from > len(parent) || size > len(parent)-from {
		r.fail("a text is outside its parent's")
		return ""
	}
	if size < 0 {
		return parent[from:]
	}
	return parent[from : from+size]
}
