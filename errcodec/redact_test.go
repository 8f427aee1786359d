package errcodec_test

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/skald-go/skald/errcodec"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

var secretText = regexp.MustCompile(`secret-\w+`)

func discreet() *errcodec.Codec {
	return app().With(errcodec.Redact(func(text string) string { return secretText.ReplaceAllString(text, "[hidden]") }))
}

func TestRedactHidesEveryText(t *testing.T) {
	codec := discreet()
	for name, err := range map[string]error{
		"plain":        errors.New("token secret-1"),
		"wrapped":      fmt.Errorf("a secret-1: %w", errors.New("secret-2")),
		"joined":       errors.Join(errors.New("secret-1"), stranger{"secret-2"}),
		"typed":        &status{7, "secret-1"},
		"wrapper":      &stage{"secret-1", several{"secret-2", []error{errDeclined}}},
		"foreign":      &strangeWrap{"secret-1", stranger{"secret-2"}},
		"url":          &url.Error{Op: "Get", URL: "https://shop/?token=secret-1", Err: errDeclined},
		"answers":      strangeAs{&status{7, "secret-1"}},
		"panic":        scripted{func() string { panic("secret-1") }, nothing, never},
		"unreadable":   app().Decode([]byte("secret-1")),
		"newer":        app().Decode([]byte("\xc1\x02\x08secret-1 secret-2")),
		"passes":       errors.Join(trip(app(), &strangeWrap{"secret-1", &status{7, "secret-2"}}), errDeclined),
		"passes typed": new(errcodec.Codec).Decode(app().Encode(&stage{"secret-1", &status{7, "secret-2"}})),
	} {
		t.Run(name, func(t *testing.T) {
			data := codec.Encode(err)
			assert.NotContains(t, string(data), "secret-")
			got := codec.Decode(data)
			assert.Contains(t, got.Error(), "[hidden]")
			for _, target := range []error{errDeclined, &status{number: 7}} {
				assert.True(t, !errors.Is(err, target) || errors.Is(got, target), "%v is lost", target)
			}
			requireSameBytes(t, data, codec.Encode(got))
		})
	}
}

func TestRedactedTypesKeepTheirTypes(t *testing.T) {
	got := trip(discreet(), &url.Error{Op: "Get", URL: "https://shop/?token=secret-1", Err: errDeclined})
	var u *url.Error
	require.ErrorAs(t, got, &u)
	assert.Equal(t, "https://shop/?token=[hidden]", u.URL)
	assert.Equal(t, `Get "https://shop/?token=[hidden]": bank: card declined`, got.Error())
}

// nested writes strings at every depth, and other values between them.
type nested struct{ text string }

func (n *nested) Error() string { return n.text }

func nestedEntry() errcodec.Entry {
	return errcodec.Type("test.nested", func(enc *msgpack.Encoder, n *nested) error {
		long := strings.Repeat("x", 300)
		return enc.EncodeMulti(map[string]any{n.text: []any{n.text, []byte("b"), 1.5, nil, true, uint64(1 << 40), long}}, make([]int, 20), n.text+long)
	}, func(dec *msgpack.Decoder) (*nested, error) {
		m, err := dec.DecodeMap()
		for text := range m {
			return &nested{text}, err
		}
		return new(nested), err
	})
}

func TestRedactReachesStringsInsideOfValues(t *testing.T) {
	codec := discreet().With(nestedEntry())
	data := codec.Encode(&nested{"secret-1"})
	assert.NotContains(t, string(data), "secret")
	assert.Equal(t, "[hidden]", codec.Decode(data).Error())
}

func TestRedactThatPanicsShowsNothing(t *testing.T) {
	codec := app().With(errcodec.Redact(func(string) string { panic("secret-0") }))
	data := codec.Encode(fmt.Errorf("secret-1: %w", errors.Join(&status{7, "secret-2"}, errDeclined)))
	assert.NotContains(t, string(data), "secret")
	got := codec.Decode(data)
	assert.Contains(t, got.Error(), "could not be redacted")
	require.ErrorIs(t, got, errDeclined)
	require.ErrorIs(t, got, &status{number: 7})
}

func TestRedactMayKeepItsText(t *testing.T) {
	var seen []string
	codec := app().With(errcodec.Redact(func(text string) string { seen = append(seen, text); return text }))
	for range 3 {
		codec.Encode(errors.Join(errors.New("one"), errors.New("two")))
	}
	assert.Equal(t, []string{"two", "one", "one\ntwo"}, seen[:3])
}

func TestLastRedactAndBoundsWin(t *testing.T) {
	codec := discreet().With(errcodec.Redact(strings.ToUpper), errcodec.Bounds(errcodec.Limits{Nodes: 1}), errcodec.Bounds(errcodec.Limits{}))
	assert.Equal(t, "A: B", trip(codec, fmt.Errorf("a: %w", errors.New("b"))).Error())
	assert.Equal(t, "SECRET-1", trip(codec, stranger{"secret-1"}).Error())
}
