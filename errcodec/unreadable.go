package errcodec

import "fmt"

// Unreadable is what bytes decode to that are no error of a known format:
// garbage, or an error in a later version of the format. Encoded alone it
// becomes the same bytes again.
type Unreadable struct {
	data string
	text string // of the error, which every version of the format shows
	why  string
}

// Error returns the text of the error if it could be read, and says otherwise
// what is wrong with the bytes.
func (u *Unreadable) Error() string {
	if u.text != "" {
		return u.text
	}
	return fmt.Sprintf("errcodec: these %d bytes are no error: %s: %q", len(u.data), u.why, clip(u.data, 64))
}

// Bytes returns a copy of the bytes.
func (u *Unreadable) Bytes() []byte { return []byte(u.data) }

// Why says why the bytes could not be read.
func (u *Unreadable) Why() string { return u.why }
