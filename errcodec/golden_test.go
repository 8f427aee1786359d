package errcodec_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/skald-go/skald/errcodec"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write golden files that do not exist yet")

const goldenDir = "testdata/golden/v1"

// goldens are the errors of the files in goldenDir. Neither those lines nor
// those files change any more: stored errors are to be read for ever.
func goldens() map[string]error {
	return map[string]error{
		"plain":           errors.New("shop: closed"),
		"empty":           errors.New(""),
		"wrapped":         fmt.Errorf("buy pet 7: %w", fmt.Errorf("take points: %w", errors.New("no points"))),
		"suffix":          fmt.Errorf("%w (order 7)", errors.New("no points")),
		"same":            fmt.Errorf("%w", errDeclined),
		"several":         fmt.Errorf("%w, then %w", errDeclined, io.EOF),
		"joined":          errors.Join(errors.New("one"), errDeclined, errors.New("one")),
		"sentinel":        errDeclined,
		"sentinel-causes": errLocked,
		"value":           errCode7,
		"typed":           &status{402, "payment required"},
		"typed-value":     code(-3),
		"wrapper":         &stage{"pay", fmt.Errorf("now: %w", errDeclined)},
		"wrapper-nothing": &stage{"pay", nil},
		"multi":           several{"problems", []error{errDeclined, &status{1, "one"}}},
		"foreign":         stranger{"strange"},
		"foreign-causes":  &strangeList{"a list", []error{errDeclined, nil, &strangeWrap{"x: ", io.EOF}}},
		"answers-is":      strangeIs{errDeclined},
		"answers-as":      strangeAs{&status{7, "within"}},
		"timeout":         slow{true},
		"net-error":       flaky{},
		"note":            scripted{func() string { panic("boom") }, nothing, never},
		"bytes":           errors.New("\xff\x00\xfe"),
		"long":            errors.New(strings.Repeat("long ", 100)),
		"three-levels":    measured(),
		"context":         fmt.Errorf("step: %w", context.DeadlineExceeded),
		"path":            &fs.PathError{Op: "open", Path: "/x", Err: fs.ErrNotExist},
		"url":             &url.Error{Op: "Get", URL: "http://shop", Err: &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}, Err: os.ErrDeadlineExceeded}},
		"dns":             &net.DNSError{Err: "no such host", Name: "shop", IsNotFound: true},
		"number":          &strconv.NumError{Func: "Atoi", Num: "x", Err: strconv.ErrSyntax},
		"time":            &time.ParseError{Layout: "2006", Value: "x", LayoutElem: "2006", ValueElem: "x"},
		"unreadable":      fmt.Errorf("wrapped: %w", new(errcodec.Codec).Decode([]byte("garbage"))),
	}
}

func goldenCodec() *errcodec.Codec {
	return app().With(errcodec.Sentinel("shop.taken", errTaken), errcodec.Type("shop.shortfall", encodeShortfall, decodeShortfall))
}

func TestGoldenFilesAreWrittenAndRead(t *testing.T) {
	codec := goldenCodec()
	for name, want := range goldens() {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(goldenDir, name+".bin")
			data := codec.Encode(want)
			if _, err := os.Stat(path); *update && errors.Is(err, fs.ErrNotExist) {
				require.NoError(t, os.WriteFile(path, data, 0o644))
			}
			stored, err := os.ReadFile(path)
			require.NoError(t, err)
			requireSameBytes(t, stored, data)
			got := codec.Decode(stored)
			if name != "note" {
				requireSameTree(t, want, got)
			}
			requireSameAnswers(t, want, got)
			requireSameBytes(t, stored, codec.Encode(got))
			requireSameBytes(t, stored, new(errcodec.Codec).Encode(new(errcodec.Codec).Decode(stored)))
		})
	}
}

func TestEveryGoldenFileHasItsError(t *testing.T) {
	files, err := filepath.Glob(goldenDir + "/*.bin")
	require.NoError(t, err)
	assert.Len(t, files, len(goldens()))
}

// flaky is a net.Error.
type flaky struct{}

func (flaky) Error() string   { return "flaky" }
func (flaky) Timeout() bool   { return false }
func (flaky) Temporary() bool { return true }

// The example of docs/errcodec-format.md.
func TestDocumentedExample(t *testing.T) {
	text := "take points: alice lacks 1 points\nshop: offer is taken"
	want := "\xc1\x01" + "\x36" + text +
		"\x49\x02" +
		"\x39\x00\x21" +
		"\x13\x0d" + "\x0eshop.shortfall" + "\x0c\xa5alice\xcd\x03\xe7\xcd\x03\xe8" +
		"\x12\x22" + "\x0ashop.taken"
	err := errors.Join(fmt.Errorf("take points: %w", &shortfall{"alice", 999, 1000}), errTaken)
	requireSameBytes(t, []byte(want), shop().Encode(err))
}
