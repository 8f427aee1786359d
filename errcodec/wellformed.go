package errcodec

// wellFormed reports whether fields are msgpack values, one after the other,
// none of which claims to be longer than the rest. Entries are given no
// other fields, so that a length they read is never absurd.
func wellFormed(fields string) bool {
	for len(fields) > 0 {
		size, ok := valueSize(fields)
		if !ok {
			return false
		}
		fields = fields[size:]
	}
	return true
}

// valueSize is the size of the first value, of arrays and maps that of the
// beginning only. See https://github.com/msgpack/msgpack/blob/master/spec.md.
func valueSize(s string) (size int, ok bool) {
	switch c := s[0]; {
	case c < 0x80, c >= 0xe0, c == 0xc0, c == 0xc2, c == 0xc3: // fixint, nil, bool
		return 1, true
	case c < 0x90: // fixmap
		return 1, 2*int(c&0x0f) < len(s)
	case c < 0xa0: // fixarray
		return 1, int(c&0x0f) < len(s)
	case c < 0xc0: // fixstr
		return within(s, 1+int(c&0x1f))
	case c == 0xc1: // never used
		return 0, false
	case c < 0xc7: // bin
		return sized(s, 1<<(c-0xc4), 0)
	case c < 0xca: // ext
		return sized(s, 1<<(c-0xc7), 1)
	case c < 0xcc: // float
		return within(s, 1+4<<(c-0xca))
	case c < 0xd4: // uint, int
		return within(s, 1+1<<(c&3))
	case c < 0xd9: // fixext
		return within(s, 2+1<<(c-0xd4))
	case c < 0xdc: // str
		return sized(s, 1<<(c-0xd9), 0)
	case c < 0xde: // array
		return counted(s, 2<<(c-0xdc), 1)
	default: // map
		return counted(s, 2<<(c-0xde), 2)
	}
}

func within(s string, size int) (int, bool) {
	return size, size <= len(s)
}

// sized is for values that begin with their length, of so many bytes, and a
// type of so many bytes.
func sized(s string, length, typ int) (int, bool) {
	n, ok := number(s, length)
	return 1 + length + typ + n, ok && n <= len(s)-1-length-typ
}

// counted is for arrays and maps, of which an element is at least a byte.
func counted(s string, length, each int) (int, bool) {
	n, ok := number(s, length)
	return 1 + length, ok && n <= (len(s)-1-length)/each
}

// number reads the length that follows the first byte.
func number(s string, length int) (n int, ok bool) {
	if len(s) <= length {
		return 0, false
	}
	for i := 1; i <= length; i++ {
		n = n<<8 | int(s[i])
	}
	return n, n >= 0
}
