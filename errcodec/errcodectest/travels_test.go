package errcodectest_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/errcodec/errcodectest"
	"github.com/skald-go/skald/errcodec/errcodectest/testdata/bank"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

func TestTravelsIsContentWithWhatIsRegistered(t *testing.T) {
	tree := fmt.Errorf("order 7: %w", errors.Join(bank.ErrDeclined, &bank.Known{N: 7}, io.EOF, errors.New("plain")))
	got := errcodectest.Travels(t, bank.Errors, tree)
	require.ErrorIs(t, got, bank.ErrDeclined)
	require.NoError(t, errcodectest.Travels(t, bank.Errors, nil))
}

func TestTravelsTellsWhatIsLost(t *testing.T) {
	var h heard
	errcodectest.Travels(&h, bank.Errors, fmt.Errorf("order 7: %w", bank.UnknownError{}))
	assert.Equal(t, heard{"errcodec: *fmt.wrapError → bank.UnknownError arrives opaque: bank.UnknownError is not registered where it was made"}, h)

	h = nil
	errcodectest.Travels(&h, bank.Errors, fmt.Errorf("order 7: %w", late{}))
	assert.Equal(t, heard{"errcodec: *fmt.wrapError → errcodectest_test.late arrives opaque: errcodectest_test.late is not registered where it was made"}, h)
}

// late is a time-out.
type late struct{}

func (late) Error() string { return "late" }
func (late) Timeout() bool { return true }

// torn loses its text and its cause on the way.
type torn struct {
	text  string
	cause error
}

func (t *torn) Error() string { return t.text }
func (t *torn) Unwrap() error { return t.cause }

func TestTravelsTellsWhatChanges(t *testing.T) {
	codec := errcodec.New(errcodec.Wrapper("test.torn", func(*msgpack.Encoder, *torn) error {
		return nil
	}, func(*msgpack.Decoder, error) (*torn, error) {
		return new(torn), nil
	}))
	var h heard
	errcodectest.Travels(&h, codec, &torn{"torn", os.ErrClosed})
	assert.Equal(t, heard{
		`errcodec: *errcodectest_test.torn says "torn" and then ""`,
		`errcodec: *errcodectest_test.torn has 1 causes and then 0`,
	}, h)
}
