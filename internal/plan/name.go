package plan

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName is how long a name or an ID may be, in bytes.
const MaxName = 255

// CheckName says why s cannot be a name or an ID: the separators of paths are excluded, and what cannot be printed.
func CheckName(s string) error {
	switch {
	case s == "":
		return errors.New("it is empty")
	case len(s) > MaxName:
		return fmt.Errorf("it has %d bytes, more than %d", len(s), MaxName)
	case !utf8.ValidString(s):
		return errors.New("it is not valid UTF-8")
	}
	if i := strings.IndexAny(s, "/[]#~"); i >= 0 {
		return fmt.Errorf("it contains %q, which paths are made with", s[i])
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("it contains %U, which cannot be printed", r)
		}
	}
	return nil
}
