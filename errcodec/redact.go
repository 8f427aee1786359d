package errcodec

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"strings"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

const notShown = "errcodec: this text could not be redacted and is not shown"

// hide redacts what would be sent of a node. Fields that cannot be read
// cannot be redacted, and are not sent.
func (e *encoding) hide(n *node) {
	if n.how == howSentinel {
		return
	}
	n.text = e.hideText(n.text)
	n.note = e.hideText(n.note)
	if n.class != classTyped {
		return
	}
	fields, err := e.hideFields(n.payload)
	if err != nil {
		n.class, n.note = classForeign, "its fields could not be redacted"
	}
	n.payload = fields
}

func (e *encoding) hideText(text string) (hidden string) {
	if text == "" {
		return ""
	}
	hidden = notShown
	protect(func() { hidden = e.codec.redact(strings.Clone(text)) })
	return hidden
}

// hideFields copies msgpack values one after the other, and redacts those
// that are strings, keys of maps included.
func (e *encoding) hideFields(fields []byte) ([]byte, error) {
	s := newScribe(2 * e.fields.most)
	s.enc.Reset(&s)
	dec := msgpack.NewDecoder(bytes.NewReader(fields))
	for {
		code, err := dec.PeekCode()
		if errors.Is(err, io.EOF) {
			return s.buf, nil
		}
		if err = e.hideValue(dec, &s, code); err != nil {
			return nil, err
		}
	}
}

// hideValue copies one value, of arrays and maps only the beginning.
func (e *encoding) hideValue(dec *msgpack.Decoder, s *scribe, code byte) error {
	switch {
	case msgpcode.IsString(code):
		text, err := dec.DecodeString()
		return cmp.Or(err, s.enc.EncodeString(e.hideText(text)))
	case msgpcode.IsFixedArray(code), code == msgpcode.Array16, code == msgpcode.Array32:
		n, err := dec.DecodeArrayLen()
		return cmp.Or(err, s.enc.EncodeArrayLen(n))
	case msgpcode.IsFixedMap(code), code == msgpcode.Map16, code == msgpcode.Map32:
		n, err := dec.DecodeMapLen()
		return cmp.Or(err, s.enc.EncodeMapLen(n))
	}
	raw, err := dec.DecodeRaw()
	s.buf = append(s.buf, raw...)
	return err
}
