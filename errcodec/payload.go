package errcodec

import (
	"cmp"
	"errors"

	"github.com/vmihailenco/msgpack/v5"
)

// scribe collects the fields of typed errors, one error after the other.
type scribe struct {
	buf  []byte
	end  int // most bytes in buf; what goes beyond is refused
	most int // bytes of one error
	enc  *msgpack.Encoder
}

var (
	errTooLarge = errors.New("its fields are too large")
	errNoValues = errors.New("its fields are no msgpack values")
)

func newScribe(most int) scribe {
	return scribe{most: most, end: most, enc: msgpack.NewEncoder(nil)}
}

// Write appends p.
func (s *scribe) Write(p []byte) (int, error) {
	if len(p) > s.end-len(s.buf) {
		s.end = 0
		return 0, errTooLarge
	}
	s.buf = append(s.buf, p...)
	return len(p), nil
}

// WriteByte appends b.
func (s *scribe) WriteByte(b byte) error {
	_, err := s.Write([]byte{b})
	return err
}

// write returns the fields of err, or why there are none.
func (s *scribe) write(entry *Entry, err error) (fields []byte, why string) {
	start := len(s.buf)
	defer func() {
		if p := recover(); p != nil {
			fields, why = nil, "panicked: "+describe(p)
		}
	}()
	s.end = start + s.most
	s.enc.Reset(s)
	failure := entry.encode(s.enc, err)
	switch {
	case s.end == 0:
		failure = errTooLarge // whether or not the entry noticed
	case !wellFormed(view(s.buf[start:])):
		failure = cmp.Or(failure, errNoValues)
	}
	if failure != nil {
		s.buf = s.buf[:start]
		return nil, "failed: " + clip(failure.Error(), noteBytes)
	}
	return s.buf[start:], ""
}

// fields is write in a goroutine of its own.
func (g *guard) fields(entry *Entry, err error, most int) (fields []byte, why string) {
	s := newScribe(most)
	var b []byte
	var failure string
	if why = g.run(func() { b, failure = s.write(entry, err) }); why != "" {
		return nil, why
	}
	return b, failure
}
