package errcodectest

import (
	"fmt"

	"github.com/skald-go/skald/errcodec"
)

// TB is what this package needs of *testing.T.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
}

// Travels reports what is lost when err is encoded and decoded: a text that
// changes, a cause that goes, an error somewhere in the tree that
// arrives opaque, with the reason. It returns the error that arrived.
func Travels(t TB, codec *errcodec.Codec, err error) error {
	t.Helper()
	got := codec.Decode(codec.Encode(err))
	for _, problem := range compare("", err, got) {
		t.Errorf("errcodec: %s", problem)
	}
	return got
}

// compare lists what differs, from the path downwards.
func compare(path string, want, got error) (problems []string) {
	if want == nil || got == nil {
		if want != got {
			problems = append(problems, fmt.Sprintf("%s%T became %T", path, want, got))
		}
		return problems
	}
	at := fmt.Sprintf("%s%T", path, want)
	if opaque := opaqueOf(got); opaque != nil {
		problems = append(problems, fmt.Sprintf("%s arrives opaque: %s", at, opaque.Why()))
	}
	if want.Error() != got.Error() {
		problems = append(problems, fmt.Sprintf("%s says %q and then %q", at, want, got))
	}
	a, b := causes(want), causes(got)
	if len(a) != len(b) {
		return append(problems, fmt.Sprintf("%s has %d causes and then %d", at, len(a), len(b)))
	}
	for i := range a {
		problems = append(problems, compare(at+" → ", a[i], b[i])...)
	}
	return problems
}

// opaqueOf returns err if it is opaque itself, whatever its causes are.
func opaqueOf(err error) (opaque *errcodec.Opaque) {
	if o, ok := err.(*errcodec.Opaque); ok {
		return o
	}
	if err, ok := err.(interface{ As(any) bool }); ok {
		err.As(&opaque)
	}
	return opaque
}

func causes(err error) []error {
	switch err := err.(type) {
	case interface{ Unwrap() error }:
		if cause := err.Unwrap(); cause != nil {
			return []error{cause}
		}
	case interface{ Unwrap() []error }:
		return err.Unwrap()
	}
	return nil
}
