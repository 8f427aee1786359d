package errcodec_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"strconv"
	"syscall"
	"time"

	"github.com/skald-go/skald/errcodec"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

// Errors of an imaginary application, registered in app().
var (
	errDeclined = errors.New("bank: card declined")
	errLocked   = fmt.Errorf("bank: account locked: %w", fs.ErrPermission)
	errEmpty    = errors.New("")
)

// code is a value, and a sentinel of its own.
type code int

func (c code) Error() string { return "code " + strconv.Itoa(int(c)) }

const errCode7 = code(7)

// loose is a type with an Is method, and cannot be a map key when it holds a slice.
type loose struct{ value any }

func (l loose) Error() string        { return fmt.Sprint("loose: ", l.value) }
func (l loose) Is(target error) bool { return target == errDeclined }

var errLoose = loose{"sentinel"}

// status is a typed error whose Is method compares by field.
type status struct {
	number int
	text   string
}

func (s *status) Error() string { return s.text }
func (s *status) Is(target error) bool {
	t, ok := target.(*status)
	return ok && t.number == s.number
}

// stage wraps one cause, and has an As method.
type stage struct {
	name  string
	cause error
}

func (s *stage) Error() string { return fmt.Sprintf("%s: %v", s.name, s.cause) }
func (s *stage) Unwrap() error { return s.cause }
func (s *stage) As(target any) bool {
	c, ok := target.(*code)
	if ok {
		*c = code(len(s.name))
	}
	return ok
}

// several wraps many causes.
type several struct {
	title  string
	causes []error
}

func (s several) Error() string   { return fmt.Sprintf("%d × %s", len(s.causes), s.title) }
func (s several) Unwrap() []error { return s.causes }

// The rest is not registered.
type stranger struct{ text string }

func (s stranger) Error() string { return s.text }

type strangeWrap struct {
	text  string
	cause error
}

func (s *strangeWrap) Error() string { return s.text + s.cause.Error() }
func (s *strangeWrap) Unwrap() error { return s.cause }

type strangeList struct {
	text   string
	causes []error
}

func (s *strangeList) Error() string   { return s.text }
func (s *strangeList) Unwrap() []error { return s.causes }

type strangeIs struct{ target error }

func (s strangeIs) Error() string        { return "is " + s.target.Error() }
func (s strangeIs) Is(target error) bool { return target == s.target }

type strangeAs struct{ status *status }

func (s strangeAs) Error() string { return "as " + s.status.text }
func (s strangeAs) As(target any) bool {
	t, ok := target.(**status)
	if ok {
		*t = s.status
	}
	return ok
}

func appEntries() []errcodec.Entry {
	return []errcodec.Entry{
		errcodec.Sentinel("app.declined", errDeclined),
		errcodec.Sentinel("app.locked", errLocked),
		errcodec.Sentinel("app.empty", errEmpty),
		errcodec.Sentinel("app.code7", errCode7),
		errcodec.Sentinel("app.loose", errLoose),
		errcodec.Type("app.code", func(enc *msgpack.Encoder, c code) error {
			return enc.EncodeInt(int64(c))
		}, func(dec *msgpack.Decoder) (code, error) {
			n, err := dec.DecodeInt()
			return code(n), err
		}),
		errcodec.Type("app.status", func(enc *msgpack.Encoder, s *status) error {
			return errors.Join(enc.EncodeInt(int64(s.number)), enc.EncodeString(s.text))
		}, func(dec *msgpack.Decoder) (*status, error) {
			s := new(status)
			return s, dec.DecodeMulti(&s.number, &s.text)
		}),
		errcodec.Wrapper("app.stage", func(enc *msgpack.Encoder, s *stage) error {
			return enc.EncodeString(s.name)
		}, func(dec *msgpack.Decoder, cause error) (*stage, error) {
			name, err := dec.DecodeString()
			return &stage{name, cause}, err
		}),
		errcodec.Multi("app.several", func(enc *msgpack.Encoder, s several) error {
			return enc.EncodeString(s.title)
		}, func(dec *msgpack.Decoder, causes []error) (several, error) {
			title, err := dec.DecodeString()
			return several{title, causes}, err
		}),
	}
}

// app is patient: a loaded machine must not make an innocent error look stuck.
func app() *errcodec.Codec {
	return errcodec.New(append(appEntries(), errcodec.Bounds(errcodec.Limits{Patience: time.Minute}))...)
}

// impatient is as patient as any codec.
func impatient() *errcodec.Codec { return errcodec.New(appEntries()...) }

// targets are what errors.Is is asked for.
var targets = []error{
	errDeclined, errLocked, errEmpty, errCode7, errLoose, code(3), &status{number: 1}, &status{number: 2},
	io.EOF, context.Canceled, context.DeadlineExceeded, fs.ErrNotExist, fs.ErrPermission, syscall.ENOENT, strconv.ErrRange,
}

// texts are short and alike, so that one often stands in another.
func texts() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"", "a", "aa", "ab", "b: ", ": ", "\n", "bank: card declined"}),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 12), func(b []byte) string { return string(b) }),
	)
}

func leaves() *rapid.Generator[error] {
	return rapid.Custom(func(t *rapid.T) error {
		text := texts().Draw(t, "text")
		switch rapid.IntRange(0, 9).Draw(t, "leaf") {
		case 0:
			return errors.New(text)
		case 1, 2:
			return rapid.SampledFrom(targets[:5]).Draw(t, "sentinel")
		case 3:
			return code(rapid.IntRange(0, 9).Draw(t, "code"))
		case 4:
			return &status{rapid.IntRange(0, 3).Draw(t, "number"), text}
		case 5:
			return loose{[]int{1}}
		case 6:
			return rapid.SampledFrom(targets[8:]).Draw(t, "standard")
		case 7:
			return strangeIs{rapid.SampledFrom(targets[:5]).Draw(t, "target")}
		case 8:
			return strangeAs{&status{rapid.IntRange(0, 3).Draw(t, "number"), text}}
		}
		return stranger{text}
	})
}

// trees are errors of every kind, up to so many levels.
func trees(depth int) *rapid.Generator[error] {
	if depth == 0 {
		return leaves()
	}
	return rapid.Custom(func(t *rapid.T) error {
		below := func() error { return trees(depth-1).Draw(t, "cause") }
		text := func() string { return texts().Draw(t, "text") }
		list := func() []error { return rapid.SliceOfN(trees(depth-1), 1, 4).Draw(t, "causes") }
		switch rapid.IntRange(0, 8).Draw(t, "branch") {
		case 0:
			return leaves().Draw(t, "leaf")
		case 1:
			return fmt.Errorf("%s%w", text(), below())
		case 2:
			return fmt.Errorf("%s%w%s", text(), below(), text())
		case 3:
			return fmt.Errorf("%w%s%w", below(), text(), below())
		case 4:
			return errors.Join(list()...)
		case 5:
			return &stage{text(), below()}
		case 6:
			return several{text(), list()}
		case 7:
			return &strangeWrap{text(), below()}
		}
		return &strangeList{text(), append(list(), nil)}
	})
}

func causesOf(err error) []error {
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

// tester is what testing.T and rapid.T have in common.
type tester interface {
	require.TestingT
	Helper()
}

// requireSameTree compares texts and causes, at every level.
func requireSameTree(t tester, want, got error) {
	t.Helper()
	if want == nil {
		require.NoError(t, got)
		return
	}
	require.Error(t, got)
	require.Equal(t, want.Error(), got.Error())
	a, b := causesOf(want), causesOf(got)
	require.Len(t, b, len(a), "causes of %q, now a %T", want, got)
	for i := range a {
		requireSameTree(t, a[i], b[i])
	}
}

// requireSameAnswers compares what errors.Is and errors.As say.
func requireSameAnswers(t tester, want, got error) {
	t.Helper()
	for _, target := range targets {
		assert.Equal(t, errors.Is(want, target), errors.Is(got, target), "errors.Is(%#v)", target)
	}
	requireSameAs[code](t, want, got)
	requireSameAs[*status](t, want, got)
	requireSameAs[*stage](t, want, got)
	requireSameAs[several](t, want, got)
	requireSameAs[*fs.PathError](t, want, got)
	requireSameAs[syscall.Errno](t, want, got)
}

func requireSameAs[T error](t tester, want, got error) {
	t.Helper()
	var a, b T
	require.Equal(t, errors.As(want, &a), errors.As(got, &b), "errors.As(%v)", reflect.TypeFor[T]())
	if errors.As(want, &a) {
		require.Equal(t, a.Error(), b.Error())
	}
}
