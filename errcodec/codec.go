package errcodec

import "sync"

// Codec turns errors into bytes and back. It is immutable, and safe for use by
// any number of goroutines. A nil *Codec and the zero Codec know the standard
// entries.
type Codec struct {
	registry
	scratch *sync.Pool // of *encoding
	readers *sync.Pool // of *fieldReader
}

// standard is what nil and the zero Codec are.
var standard = sync.OnceValue(func() *Codec { return New() })

// New makes a codec that knows the standard entries and these.
//
// It panics for mistakes of the program, and names them: an empty key, a nil
// sentinel or function, two registrations of one key, one type or sentinel
// under two keys. A standard entry with the key, sentinel or type of one of
// these gives way to it.
func New(entries ...Entry) *Codec {
	c := newCodec(newRegistry())
	c.add(standardEntries(), true)
	c.add(entries, false)
	return c
}

// With makes a codec that knows what c knows and these. A sentinel that c
// has under the same key is no mistake; everything else is as in [New].
func (c *Codec) With(entries ...Entry) *Codec {
	d := newCodec(c.orStandard().registry.clone())
	d.add(entries, false)
	return d
}

func newCodec(r registry) *Codec {
	c := &Codec{registry: r, readers: &sync.Pool{New: newFieldReader}}
	c.scratch = &sync.Pool{New: func() any { return newEncoding(c) }}
	return c
}

func (c *Codec) orStandard() *Codec {
	if c == nil || c.scratch == nil {
		return standard()
	}
	return c
}

// Encode returns err as bytes, and nil for a nil error. It never fails, never
// panics, and takes bounded time and space, whatever err does: see [Limits].
func (c *Codec) Encode(err error) []byte {
	return c.Append(nil, err)
}

// Append is [Codec.Encode] to the end of dst.
func (c *Codec) Append(dst []byte, err error) []byte {
	if err == nil {
		return dst
	}
	c = c.orStandard()
	e := c.scratch.Get().(*encoding)
	dst = e.append(dst, err)
	if e.reset() {
		c.scratch.Put(e)
	}
	return dst
}

// Decode returns the error that data stands for, and nil for no data. It never
// panics, and keeps no part of data. What it does not know becomes an [Opaque];
// data that is no error at all becomes an [Unreadable].
func (c *Codec) Decode(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	return decode(c.orStandard(), string(data))
}
