package errcodectest_test

import (
	"fmt"
	"testing"

	"github.com/skald-go/skald/errcodec/errcodectest"
	"github.com/skald-go/skald/errcodec/errcodectest/testdata/bank"
	"github.com/stretchr/testify/assert"
)

// heard is a test that only listens.
type heard []string

func (h *heard) Helper()                           {}
func (h *heard) Errorf(format string, args ...any) { *h = append(*h, fmt.Sprintf(format, args...)) }

func TestMissingListsWhatIsNotRegistered(t *testing.T) {
	var h heard
	errcodectest.Missing(&h, bank.Errors, "./testdata/bank", "-bank.ErrExcepted")
	assert.ElementsMatch(t, heard{
		`errcodec: not registered: errcodec.Sentinel("bank.forgotten", bank.ErrForgotten)`,
		`errcodec: not registered: errcodec.Sentinel("bank.late", bank.ErrLate)`,
		`errcodec: not registered: errcodec.Sentinel("bank.made-unregistered", bank.ErrMadeUnregistered)`,
		`errcodec: not registered: errcodec.Sentinel("bank.open", bank.ErrOpen)`,
		`errcodec: not registered: errcodec.Type("bank.unknown-error", encode, decode), for bank.UnknownError`,
	}, h)
}

func TestMissingSaysWhatItCannotLoad(t *testing.T) {
	for _, pattern := range []string{"./none", "github.com/skald-go/none"} {
		var h heard
		errcodectest.Missing(&h, nil, pattern)
		assert.Len(t, h, 1)
		assert.Contains(t, h[0], "errcodectest: go list: ")
	}
}
