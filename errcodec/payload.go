package errcodec

import (
	"github.com/vmihailenco/msgpack/v5"
)

// scribe collects the fields of typed errors.
type scribe struct {
	buf []byte
	enc *msgpack.Encoder
}

// Write appends p.
func (s *scribe) Write(p []byte) (int, error) {
	s.buf = append(s.buf, p...)
	return len(p), nil
}

// WriteByte appends b.
func (s *scribe) WriteByte(b byte) error {
	s.buf = append(s.buf, b)
	return nil
}

// write returns the fields of err, or why there are none.
func (s *scribe) write(entry *Entry, err error) (fields []byte, why string) {
	start := len(s.buf)
	defer func() {
		if p := recover(); p != nil {
			fields, why = nil, "panicked: "+describe(p)
		}
	}()
	s.enc.Reset(s)
	if failure := entry.encode(s.enc, err); failure != nil {
		return nil, "failed: " + clip(failure.Error(), noteBytes)
	}
	return s.buf[start:], ""
}

// fields is write in a goroutine of its own.
func (g *guard) fields(entry *Entry, err error) (fields []byte, why string) {
	s := &scribe{enc: msgpack.NewEncoder(nil)}
	var b []byte
	var failure string
	if why = g.run(func() { b, failure = s.write(entry, err) }); why != "" {
		return nil, why
	}
	return b, failure
}
