package errcodec

import (
	"fmt"
	"unicode/utf8"
	"unsafe"
)

// clip returns s, or its beginning and a word about the rest.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	at := most
	for at > 0 && at > most-utf8.UTFMax && !utf8.RuneStart(s[at]) {
		at--
	}
	return fmt.Sprintf("%s… (%d bytes in all)", s[:at], len(s))
}

// view returns b as a string without a copy. Nobody may change b after that.
func view(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b))
}
