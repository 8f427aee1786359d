package payload

import (
	"strconv"
	"strings"
)

// pathError says where in a value something is wrong. Its text has names of fields and indexes, and nothing of the content.
type pathError struct {
	segments []string // from the inside out
	err      error
}

// maxPath is how many segments a path has at most, the innermost.
const maxPath = 16

func (e *pathError) Error() string {
	var s strings.Builder
	for i := len(e.segments) - 1; i >= 0; i-- {
		s.WriteString(e.segments[i])
	}
	return strings.TrimPrefix(s.String(), ".") + ": " + e.err.Error()
}

func (e *pathError) Unwrap() error { return e.err }

func at(segment string, err error) error {
	path, ok := err.(*pathError)
	if !ok {
		return &pathError{[]string{segment}, err}
	}
	if len(path.segments) < maxPath {
		path.segments = append(path.segments, segment)
	}
	return path
}

func atField(name string, err error) error { return at("."+name, err) }

func atIndex(i int, err error) error { return at("["+strconv.Itoa(i)+"]", err) }
