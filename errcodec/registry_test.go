package errcodec_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/skald-go/skald/errcodec"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

func typed[T error](key string) errcodec.Entry {
	return errcodec.Type(key, func(*msgpack.Encoder, T) error { return nil }, func(*msgpack.Decoder) (t T, err error) { return t, nil })
}

// unprintable panics when it is asked for its text.
type unprintable struct{}

func (*unprintable) Error() string { panic("no text") }

func TestMistakesOfTheProgramPanicAndAreNamed(t *testing.T) {
	other := errors.New("other")
	for want, entries := range map[string][]errcodec.Entry{
		`the key "app.declined" is registered twice: for the sentinel "bank: card declined" (*errors.errorString) and for the sentinel "other" (*errors.errorString)`: {errcodec.Sentinel("app.declined", errDeclined), errcodec.Sentinel("app.declined", other)},
		`the key "app.declined" is registered twice: for the sentinel "bank: card declined" (*errors.errorString) and for the type *errcodec_test.status`:             {errcodec.Sentinel("app.declined", errDeclined), typed[*status]("app.declined")},
		`the key "app.x" is registered twice: for the type *errcodec_test.status and for the type errcodec_test.code`:                                                 {typed[*status]("app.x"), typed[code]("app.x")},
		`the type *errcodec_test.status is registered under two keys: "app.a" and "app.b"`:                                                                            {typed[*status]("app.a"), typed[*status]("app.b")},
		`the sentinel "bank: card declined" (*errors.errorString) is registered under two keys: "app.a" and "app.b"`:                                                  {errcodec.Sentinel("app.a", errDeclined), errcodec.Sentinel("app.b", errDeclined)},
		`the sentinel of key "app.nil" is nil`: {errcodec.Sentinel("app.nil", nil)},
		`the key "" of the sentinel "other" (*errors.errorString) is not 1 to 255 bytes of printable text`:    {errcodec.Sentinel("", other)},
		`the key "a\nb" of the type errcodec_test.code is not 1 to 255 bytes of printable text`:               {typed[code]("a\nb")},
		`key "app.loose", a errcodec_test.loose, cannot be one: runtime error: hash of unhashable type []int`: {errcodec.Sentinel("app.loose", loose{[]int{1}})},
		`key "app.silent", a *errcodec_test.unprintable, cannot be one: no text`:                              {errcodec.Sentinel("app.silent", new(unprintable))},
		`key "app.any": error is no concrete type`:                                                            {typed[error]("app.any")},
		`key "app.like": <nil> is no concrete type`:                                                           {errcodec.Like("app.like", nil, nil, nil)},
		`key "app.code": a function for errcodec_test.code is nil`:                                            {errcodec.Type[code]("app.code", nil, nil)},
		`key "app.status": a function for *errcodec_test.status is nil`:                                       {errcodec.Wrapper[*status]("app.status", func(*msgpack.Encoder, *status) error { return nil }, nil)},
		`a function for errcodec_test.several is nil`:                                                         {errcodec.Multi[several]("app.several", nil, func(*msgpack.Decoder, []error) (several, error) { return several{}, nil })},
		`key "app.sample": a function for errcodec_test.code is nil`:                                          {errcodec.Like("app.sample", code(1), nil, nil)},
		"registered twice": {errcodec.Group(errcodec.Sentinel("app.twice", errDeclined)), errcodec.Group(errcodec.Group(errcodec.Sentinel("app.twice", other)))},
	} {
		t.Run(want, func(t *testing.T) {
			defer func() {
				message, _ := recover().(string)
				assert.Contains(t, message, want)
				assert.True(t, strings.HasPrefix(message, "errcodec: "), message)
			}()
			errcodec.New(entries...)
			t.Error("New did not panic")
		})
	}
}

func TestKeysHave255Bytes(t *testing.T) {
	assert.NotPanics(t, func() { errcodec.New(typed[code](strings.Repeat("k", 255))) })
	assert.Panics(t, func() { errcodec.New(typed[code](strings.Repeat("k", 256))) })
	assert.Panics(t, func() { errcodec.New(typed[code]("a\xff")) })
}

func TestWithAddsEntriesAndLeavesTheCodecAlone(t *testing.T) {
	before := errcodec.New(errcodec.Sentinel("app.declined", errDeclined))
	after := before.With(errcodec.Sentinel("app.locked", errLocked), errcodec.Sentinel("app.declined", errDeclined))
	require.ErrorIs(t, trip(after, errDeclined), errDeclined)
	require.ErrorIs(t, trip(after, errLocked), errLocked)
	require.NotErrorIs(t, trip(before, errLocked), errLocked)
	assert.Panics(t, func() { after.With(errcodec.Sentinel("app.locked", errDeclined)) })
	assert.Panics(t, func() { after.With(errcodec.Sentinel("app.other", errLocked)) })
	assert.Panics(t, func() { app().With(typed[*status]("app.status")) })
}

func TestEntryOfTheApplicationWinsOverStandardOne(t *testing.T) {
	old := errcodec.New()
	sentinel := errcodec.New(errcodec.Sentinel("mine.eof", io.EOF))
	assert.Contains(t, string(sentinel.Encode(io.EOF)), "mine.eof")
	assert.Same(t, io.EOF, sentinel.Decode(sentinel.Encode(io.EOF)))
	assert.Same(t, io.EOF, sentinel.Decode(old.Encode(io.EOF)), "what was stored before")

	key := errcodec.New(errcodec.Sentinel("io.eof", errDeclined))
	assert.Same(t, errDeclined, trip(key, errDeclined))
	require.NotErrorIs(t, trip(key, io.EOF), errDeclined, "the standard entry is gone")

	typ := errcodec.New(errcodec.Wrapper("mine.stage", func(*msgpack.Encoder, *stage) error { return nil },
		func(_ *msgpack.Decoder, cause error) (*stage, error) { return &stage{"mine", cause}, nil }),
		errcodec.Type("os.errno", func(*msgpack.Encoder, code) error { return nil }, func(*msgpack.Decoder) (code, error) { return 1, nil }))
	var opaque *errcodec.Opaque
	require.ErrorAs(t, trip(typ, syscallError(t)), &opaque)
	require.ErrorIs(t, trip(typ, code(5)), code(1))
}

func syscallError(t *testing.T) error {
	for _, f := range osFailures() {
		if f.name == "errno" {
			err := f.happen(t)
			for errors.Unwrap(err) != nil {
				err = errors.Unwrap(err)
			}
			return err
		}
	}
	return nil
}

func TestSentinelsOfEveryKindDecodeToThemselves(t *testing.T) {
	codec := app()
	for _, sentinel := range []error{errDeclined, errLocked, errEmpty, errCode7, errLoose, io.EOF, context.DeadlineExceeded} {
		assert.True(t, codec.Decode(codec.Encode(sentinel)) == sentinel, "%v", sentinel) //nolint:errorlint // identity is what is asked
	}
}

func TestLikeRegistersTypesThatHaveNoName(t *testing.T) {
	hidden := fmt.Errorf("%w", &strangeWrap{}) // a type of package fmt
	codec := errcodec.New(errcodec.Like("fmt.wrap", hidden, func(enc *msgpack.Encoder, err error) error {
		return enc.EncodeString(err.Error())
	}, func(dec *msgpack.Decoder, cause error) (error, error) {
		text, err := dec.DecodeString()
		return &strangeWrap{"like " + text + " of ", cause}, err
	}))
	assert.Equal(t, "like a: b of b", trip(codec, fmt.Errorf("a: %w", errors.New("b"))).Error())
}

func TestTypeKeepsCausesThatItDoesNotRebuild(t *testing.T) {
	codec := errcodec.New(errcodec.Sentinel("app.declined", errDeclined),
		errcodec.Type("app.stage", func(enc *msgpack.Encoder, s *stage) error {
			return enc.EncodeString(s.name)
		}, func(dec *msgpack.Decoder) (*stage, error) {
			name, err := dec.DecodeString()
			return &stage{name: name}, err
		}))
	want := &stage{"pay", fmt.Errorf("now: %w", errDeclined)}
	got := trip(codec, want)
	var s *stage
	require.ErrorAs(t, got, &s)
	assert.Equal(t, "pay", s.name)
	require.ErrorIs(t, got, errDeclined)
	assert.Equal(t, want.Error(), got.Error())
	requireSameBytes(t, codec.Encode(want), codec.Encode(got))
}

func TestWrapperIsGivenNilWithoutCauseAndAllOfSeveral(t *testing.T) {
	var given error
	codec := errcodec.New(errcodec.Wrapper("app.list", func(*msgpack.Encoder, *strangeList) error { return nil },
		func(_ *msgpack.Decoder, cause error) (*strangeList, error) {
			given = cause
			return new(strangeList), nil
		}))
	trip(codec, &strangeList{"two", []error{io.EOF, nil, context.Canceled}})
	require.ErrorIs(t, given, io.EOF)
	require.ErrorIs(t, given, context.Canceled)
	trip(codec, new(strangeList))
	require.NoError(t, given)
}

func TestRegisteredListsKeysInOrder(t *testing.T) {
	var mine []errcodec.Registered
	for _, known := range app().Registered() {
		if !known.Standard {
			mine = append(mine, known)
		}
	}
	require.Len(t, mine, len(appEntries()))
	assert.Equal(t, errcodec.Registered{Key: "app.code", Type: reflect.TypeFor[code]()}, mine[0])
	assert.Equal(t, errcodec.Registered{Key: "app.declined", Type: reflect.TypeOf(errDeclined), Sentinel: errDeclined}, mine[2])
}

func TestZeroEntryAddsNothing(t *testing.T) {
	assert.Len(t, errcodec.New(errcodec.Entry{}, errcodec.Group()).Registered(), len(errcodec.New().Registered()))
}

func TestGroupDoesNotChangeWithItsArguments(t *testing.T) {
	entries := []errcodec.Entry{errcodec.Sentinel("app.declined", errDeclined)}
	group := errcodec.Group(entries...)
	entries[0] = errcodec.Sentinel("app.declined", errLocked)
	require.ErrorIs(t, trip(errcodec.New(group), errDeclined), errDeclined)
}

// Keys are stored: this list only grows.
func TestStandardKeysStay(t *testing.T) {
	var keys []string
	for _, known := range errcodec.New().Registered() {
		keys = append(keys, known.Key)
	}
	assert.Equal(t, strings.Fields(standardKeys), keys)
}

const standardKeys = `
base64.corrupt-input bufio.buffer-full bufio.too-long context.canceled context.deadline-exceeded
errcodec.unreadable errors.unsupported fs.closed fs.exist fs.invalid fs.not-exist fs.path
fs.permission hex.invalid-byte hex.length io.closed-pipe io.eof io.no-progress io.short-buffer
io.short-write io.unexpected-eof json.syntax net.addr net.closed net.dns net.invalid-addr net.op
net.parse net.unknown-network net.write-to-connected os.deadline-exceeded os.errno os.link
os.no-deadline os.process-done os.syscall sql.bad-conn sql.conn-done sql.no-rows sql.tx-done
strconv.num strconv.range strconv.syntax time.parse url.error url.escape url.invalid-host
`
