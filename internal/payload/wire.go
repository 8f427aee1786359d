package payload

import (
	"encoding/binary"
	"math"
)

// The first bytes of values, as the MessagePack specification names them.
const (
	maxFixInt     = 0x7f
	codeFixMap    = 0x80
	codeFixArray  = 0x90
	codeFixString = 0xa0
	codeNil       = 0xc0
	codeNone      = 0xc1
	codeFalse     = 0xc2
	codeTrue      = 0xc3
	codeBin8      = 0xc4
	codeBin16     = 0xc5
	codeBin32     = 0xc6
	codeExt8      = 0xc7
	codeFloat32   = 0xca
	codeFloat64   = 0xcb
	codeUint8     = 0xcc
	codeUint16    = 0xcd
	codeUint32    = 0xce
	codeUint64    = 0xcf
	codeInt8      = 0xd0
	codeInt16     = 0xd1
	codeInt32     = 0xd2
	codeInt64     = 0xd3
	codeFixExt4   = 0xd6
	codeFixExt8   = 0xd7
	codeString8   = 0xd9
	codeString16  = 0xda
	codeString32  = 0xdb
	codeArray16   = 0xdc
	codeMap16     = 0xde
	minFixInt     = 0xe0
)

func append16(b []byte, code byte, n uint16) []byte {
	return binary.BigEndian.AppendUint16(append(b, code), n)
}

func append32(b []byte, code byte, n uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, code), n)
}

func append64(b []byte, code byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, code), n)
}

// appendUint takes the fewest bytes.
func appendUint(b []byte, n uint64) []byte {
	switch {
	case n <= maxFixInt:
		return append(b, byte(n))
	case n <= math.MaxUint8:
		return append(b, codeUint8, byte(n))
	case n <= math.MaxUint16:
		return append16(b, codeUint16, uint16(n))
	case n <= math.MaxUint32:
		return append32(b, codeUint32, uint32(n))
	default:
		return append64(b, codeUint64, n)
	}
}

// appendInt takes the fewest bytes.
func appendInt(b []byte, n int64) []byte {
	switch {
	case n >= 0:
		return appendUint(b, uint64(n))
	case n >= -32:
		return append(b, byte(n))
	case n >= math.MinInt8:
		return append(b, codeInt8, byte(n))
	case n >= math.MinInt16:
		return append16(b, codeInt16, uint16(n))
	case n >= math.MinInt32:
		return append32(b, codeInt32, uint32(n))
	default:
		return append64(b, codeInt64, uint64(n))
	}
}

func appendString(b []byte, s string) []byte {
	switch n := len(s); {
	case n < 32:
		b = append(b, codeFixString|byte(n))
	case n <= math.MaxUint8:
		b = append(b, codeString8, byte(n))
	case n <= math.MaxUint16:
		b = append16(b, codeString16, uint16(n))
	default:
		b = append32(b, codeString32, uint32(n))
	}
	return append(b, s...)
}

func appendBytes(b, data []byte) []byte { return append(appendBytesLen(b, len(data)), data...) }

func appendBytesLen(b []byte, n int) []byte {
	switch {
	case n <= math.MaxUint8:
		return append(b, codeBin8, byte(n))
	case n <= math.MaxUint16:
		return append16(b, codeBin16, uint16(n))
	default:
		return append32(b, codeBin32, uint32(n))
	}
}

func appendMapLen(b []byte, n int) []byte { return appendLen(b, n, codeFixMap, codeMap16) }

func appendArrayLen(b []byte, n int) []byte { return appendLen(b, n, codeFixArray, codeArray16) }

// appendLen relies on the code for 32 bits following that for 16.
func appendLen(b []byte, n int, fix, code16 byte) []byte {
	switch {
	case n < 16:
		return append(b, fix|byte(n))
	case n <= math.MaxUint16:
		return append16(b, code16, uint16(n))
	default:
		return append32(b, code16+1, uint32(n))
	}
}
