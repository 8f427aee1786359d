package errcodec_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/skald-go/skald/errcodec"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// endless unwraps to something new for ever.
type endless int

func (e endless) Error() string { return fmt.Sprintf("%d: %v", int(e), e.Unwrap()) }
func (e endless) Unwrap() error { return e + 1 }

func TestChainWithoutEnd(t *testing.T) {
	within(t, func() {
		codec := impatient()
		data := codec.Encode(errors.Join(errDeclined, endless(1000)))
		assert.LessOrEqual(t, len(data), 64<<10)
		got := codec.Decode(data)
		require.ErrorIs(t, got, errDeclined)
		assert.Contains(t, strings.Join(describe(got), "\n"), "errcodec: causes cut here: 1")
	})
}

// The goroutine that is left behind goes on with errors that nobody else touches.
func TestUnwrapThatBlocksBeyondTheLimit(t *testing.T) {
	block := stuck(t)
	blocked := scripted{says("x"), func() error { block(); return nil }, never}
	codec := app().With(errcodec.Bounds(errcodec.Limits{Nodes: 2, Patience: 20 * time.Millisecond}))
	within(t, func() {
		for range 3 {
			got := trip(codec, &strangeList{"list", []error{errLocked, errDeclined, io.EOF, blocked}})
			require.ErrorIs(t, got, errLocked)
			assert.Contains(t, got.Error(), "was not asked: its causes do not end")
		}
	})
}

func TestTreesOfHundredThousand(t *testing.T) {
	const many = 100_000
	chain, foreign, wide := errDeclined, errDeclined, make([]error, many)
	for i := range many {
		chain = fmt.Errorf("%w", chain)
		foreign = &strangeWrap{"", foreign}
		wide[i] = stranger{"one of many"}
	}
	wide[many-1] = errDeclined
	for name, err := range map[string]error{
		"chain": chain, "foreign chain": foreign, "join": errors.Join(wide...), "list": &strangeList{"list", wide},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, func() {
				codec := impatient()
				data := codec.Encode(err)
				assert.LessOrEqual(t, len(data), 64<<10)
				got := codec.Decode(data)
				require.ErrorIs(t, got, errDeclined, "what is registered is found beyond the limit")
				assert.LessOrEqual(t, len(describe(got)), 1001)
				assert.True(t, bytes.Equal(data, codec.Encode(got)), "the same bytes again")
			})
		})
	}
	assert.Equal(t, "list", trip(impatient(), &strangeList{"list", wide}).Error())
	assert.Contains(t, trip(impatient(), errors.Join(wide...)).Error(), "… and 99001 more")
}

func TestDeepTreeKeepsEveryLevelUpToTheLimit(t *testing.T) {
	err := errDeclined
	for i := range 990 {
		err = fmt.Errorf("%d: %w", i, err)
	}
	requireSameTree(t, err, trip(app(), err))
}

func TestMessagesOfMegabytes(t *testing.T) {
	huge := strings.Repeat("ä", 1<<20)
	typed := &status{7, huge}
	for name, err := range map[string]error{
		"plain":      errors.New(huge),
		"wrapped":    fmt.Errorf("a: %w", fmt.Errorf("b: %w", errors.New(huge))),
		"joined":     errors.Join(errors.New(huge), errDeclined),
		"foreign":    stranger{huge},
		"typed":      typed,
		"deep":       fmt.Errorf("a: %w", errors.Join(fmt.Errorf("b: %w", typed), errDeclined)),
		"at the end": fmt.Errorf("%s: %w", huge, errDeclined),
	} {
		t.Run(name, func(t *testing.T) {
			codec := app()
			data := codec.Encode(err)
			assert.LessOrEqual(t, len(data), 64<<10)
			assert.Greater(t, len(data), 4<<10)
			got := codec.Decode(data)
			assert.Equal(t, errors.Is(err, errDeclined), errors.Is(got, errDeclined))
			assert.Len(t, describe(got), len(describe(err)))
			assert.Contains(t, got.Error(), "bytes in all)")
			assert.True(t, strings.HasPrefix(got.Error(), err.Error()[:1000]))
			assert.True(t, bytes.Equal(data, codec.Encode(got)), "the same bytes again")
		})
	}
}

func TestManyLongMessagesKeepWhatIsRegistered(t *testing.T) {
	var many []error
	for i := range 900 {
		many = append(many, fmt.Errorf("%d %s", i, strings.Repeat("x", 5000)))
	}
	codec := app()
	data := codec.Encode(errors.Join(append(many, errDeclined)...))
	assert.LessOrEqual(t, len(data), 64<<10)
	require.ErrorIs(t, codec.Decode(data), errDeclined)
}

func TestInvalidUTF8ArrivesAsItIs(t *testing.T) {
	text := "a\xff\xfe\x00\xc3"
	for _, err := range []error{errors.New(text), stranger{text}, &status{1, text}, fmt.Errorf("%s: %w", text, errDeclined)} {
		requireSameTree(t, err, trip(app(), err))
	}
}

func TestBoundsAreKept(t *testing.T) {
	codec := errcodec.New(append(appEntries(), errcodec.Bounds(errcodec.Limits{Bytes: 1, Nodes: 5, Patience: time.Millisecond}))...)
	big := errors.Join(errors.New(strings.Repeat("x", 10_000)), &status{1, strings.Repeat("y", 10_000)}, errDeclined, io.EOF, io.ErrClosedPipe, io.ErrNoProgress)
	data := codec.Encode(big)
	assert.LessOrEqual(t, len(data), 512)
	got := codec.Decode(data)
	assert.True(t, strings.HasPrefix(got.Error(), "xxxx"), got.Error())
}

func TestLongTextOfPassingErrorIsShortened(t *testing.T) {
	small := app().With(errcodec.Bounds(errcodec.Limits{Bytes: 2000}))
	for name, err := range map[string]error{
		"foreign":  stranger{strings.Repeat("x", 5000)},
		"answers":  strangeAs{&status{7, strings.Repeat("x", 5000)}},
		"causes":   &strangeWrap{strings.Repeat("x", 5000), errDeclined},
		"together": errors.Join(stranger{strings.Repeat("x", 180)}, &strangeWrap{strings.Repeat("x", 180), errDeclined}, stranger{strings.Repeat("y", 3000)}),
	} {
		t.Run(name, func(t *testing.T) {
			data := small.Encode(errors.Join(trip(app(), err), errLocked))
			assert.LessOrEqual(t, len(data), 2000)
			got := small.Decode(data)
			require.ErrorIs(t, got, errLocked)
			assert.Equal(t, errors.Is(err, errDeclined), errors.Is(got, errDeclined))
			assert.Equal(t, errors.Is(err, &status{number: 7}), errors.Is(got, &status{number: 7}))
			for _, text := range describe(got) {
				assert.NotContains(t, text, "no error")
			}
		})
	}
}

func TestManyPassingErrorsAreShortened(t *testing.T) {
	small := app().With(errcodec.Bounds(errcodec.Limits{Bytes: 2000}))
	var many []error
	for i := range 20 {
		letter := string(rune('a' + i))
		many = append(many, trip(app(), &strangeWrap{strings.Repeat(letter, 150), stranger{letter}}))
	}
	data := small.Encode(errors.Join(many...))
	assert.LessOrEqual(t, len(data), 2000)
	causes := causesOf(small.Decode(data))
	require.Greater(t, len(causes), 3)
	for i, cause := range causes {
		letter := string(rune('a' + i))
		assert.True(t, strings.HasPrefix(cause.Error(), letter+letter) || strings.Contains(cause.Error(), "cut here"), cause.Error())
		for _, below := range causesOf(cause) {
			assert.Equal(t, letter, below.Error())
		}
	}
}

func TestWithoutPatienceForeignErrorsAreNotAsked(t *testing.T) {
	codec := app().With(errcodec.Bounds(errcodec.Limits{Patience: -1}))
	got := trip(codec, fmt.Errorf("a: %w", errors.Join(stranger{"text"}, errDeclined)))
	assert.Equal(t, "a: text\nbank: card declined", got.Error())
	require.ErrorIs(t, got, errDeclined)
	assert.Contains(t, strings.Join(describe(got), "\n"), "(errcodec_test.stranger).Error was not asked: there is no patience left")
}
