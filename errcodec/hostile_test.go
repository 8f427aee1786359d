package errcodec_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skald-go/skald/errcodec"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// trip sends err through codec.
func trip(codec *errcodec.Codec, err error) error { return codec.Decode(codec.Encode(err)) }

// scripted is a foreign error that does as it is told.
type scripted struct {
	text   func() string
	unwrap func() error
	is     func(error) bool
}

func (s scripted) Error() string        { return s.text() }
func (s scripted) Unwrap() error        { return s.unwrap() }
func (s scripted) Is(target error) bool { return s.is(target) }

func says(text string) func() string { return func() string { return text } }
func nothing() error                 { return nil }
func never(error) bool               { return false }

func TestMethodsOfForeignErrorsMayPanic(t *testing.T) {
	panics := func() string { panic("boom") }
	got := trip(app(), fmt.Errorf("a: %w", scripted{panics, func() error { return errDeclined }, never}))
	// fmt caught the first panic itself.
	assert.Equal(t, "a: %!v(PANIC=Error method: boom)", got.Error())
	require.ErrorIs(t, got, errDeclined)
	assert.Equal(t, "(errcodec_test.scripted).Error panicked: boom", errors.Unwrap(got).Error())

	got = trip(app(), scripted{says("text"), func() error { panic("boom") }, func(error) bool { panic("boom") }})
	assert.Equal(t, "text", got.Error())
	var opaque *errcodec.Opaque
	require.ErrorAs(t, got, &opaque)
	assert.Contains(t, opaque.Why(), "Unwrap panicked: boom")
}

func TestPanicWithValueThatPanics(t *testing.T) {
	var evil scripted
	evil = scripted{func() string { panic(evil) }, nothing, never}
	got := trip(app(), scripted{func() string { panic(evil) }, nothing, never})
	assert.Contains(t, got.Error(), "(errcodec_test.scripted).Error panicked")
}

func TestMethodMayEndItsGoroutine(t *testing.T) {
	got := trip(app(), scripted{func() string { runtime.Goexit(); return "" }, nothing, never})
	assert.Equal(t, "(errcodec_test.scripted).Error ended its goroutine", got.Error())
}

func TestMethodsOfRegisteredErrorsMayPanic(t *testing.T) {
	got := trip(app(), errors.Join(&stage{"no cause", nil}, several{"fine", nil}, errDeclined))
	var s several
	require.ErrorAs(t, got, &s)
	require.ErrorIs(t, got, errDeclined)

	got = trip(app(), &fs.PathError{Op: "open", Path: "x"})
	assert.Contains(t, got.Error(), "(*fs.PathError).Error panicked: runtime error")
	var path *fs.PathError
	assert.NotErrorAs(t, got, &path, "it would panic here as well")
}

// torn is registered, and panics in Unwrap.
type torn struct{ number int }

func (*torn) Error() string { return "torn" }
func (*torn) Unwrap() error { panic("boom") }

func TestUnwrapOfRegisteredErrorMayPanic(t *testing.T) {
	errTorn := new(torn)
	codec := app().With(errcodec.Sentinel("test.err-torn", errTorn), errcodec.Type("test.torn",
		func(*msgpack.Encoder, *torn) error { return nil }, func(*msgpack.Decoder) (*torn, error) { return &torn{7}, nil }))
	got := trip(codec, errors.Join(errTorn, errDeclined))
	assert.Equal(t, "torn\nbank: card declined", got.Error())
	assert.Same(t, errTorn, causesOf(got)[0])
	require.ErrorIs(t, causesOf(got)[1], errDeclined)

	got = trip(codec, &strangeList{"list", []error{new(torn), errDeclined}})
	assert.Equal(t, &torn{7}, causesOf(got)[0])
}

// stuck returns a function that waits for a lock until the test ends.
func stuck(t *testing.T) func() {
	var lock sync.Mutex
	lock.Lock()
	t.Cleanup(lock.Unlock)
	return func() {
		lock.Lock()
		defer lock.Unlock()
	}
}

// bound is far above the codec's patience, and far below for ever.
const bound = 5 * time.Second

func within(t *testing.T, f func()) {
	t.Helper()
	begin := time.Now()
	f()
	require.Less(t, time.Since(begin), bound)
}

func TestErrorThatNeverReturns(t *testing.T) {
	block := stuck(t)
	blocked := func() string { block(); return "" }
	tree := errors.Join(
		stranger{"before"},
		&strangeList{"list", []error{scripted{blocked, func() error { return errDeclined }, never}}},
		fmt.Errorf("wrapped: %w", &status{7, "typed"}),
		stranger{"after"},
	)
	within(t, func() {
		got := trip(app(), tree)
		lines := strings.Split(got.Error(), "\n")
		assert.Equal(t, "before", lines[0])
		assert.Equal(t, "list", lines[1])
		assert.Equal(t, "wrapped: typed", lines[2])
		assert.Equal(t, "after", lines[3])
		require.ErrorIs(t, got, errDeclined)
		require.ErrorIs(t, got, &status{number: 7})
		assert.Contains(t, causesOf(causesOf(got)[1])[0].Error(), "(errcodec_test.scripted).Error did not return within")
	})
}

func TestEveryMethodMayBlock(t *testing.T) {
	block := stuck(t)
	within(t, func() {
		got := trip(app(), scripted{says("text"), nothing, func(error) bool { block(); return true }})
		assert.Equal(t, "text", got.Error())
		got = trip(app(), scripted{says("text"), func() error { block(); return nil }, never})
		assert.Equal(t, "text", got.Error())
	})
}

// talker answers everything until it comes to the method that blocks.
type talker struct {
	stops string
	block func()
}

func (t talker) at(method string) {
	if t.stops == method {
		t.block()
	}
}

func (t talker) Error() string        { t.at("Error"); return "text" }
func (t talker) Timeout() bool        { t.at("Timeout"); return true }
func (t talker) Is(target error) bool { t.at("Is"); return target == errDeclined }
func (t talker) As(target any) bool {
	t.at("As")
	s, ok := target.(**status)
	if ok {
		*s = &status{7, "within"}
	}
	return ok
}

func TestWhatWasSaidBeforeAnErrorFellSilentIsKept(t *testing.T) {
	methods := []string{"Error", "Timeout", "Is", "As", ""}
	for silent, method := range methods {
		t.Run("silent from "+method, func(t *testing.T) {
			got := trip(app(), talker{method, stuck(t)})
			assert.Equal(t, silent > 0, got.Error() == "text")
			assert.Equal(t, silent > 1, os.IsTimeout(got))
			assert.Equal(t, silent > 2, errors.Is(got, errDeclined))
			_, as := errors.AsType[*status](got)
			assert.Equal(t, silent > 3, as)
		})
	}
}

func TestManyErrorsThatNeverReturn(t *testing.T) {
	block := stuck(t)
	var many []error
	for range 500 {
		many = append(many, scripted{func() string { block(); return "" }, nothing, never})
	}
	within(t, func() {
		got := trip(app(), errors.Join(append(many, errDeclined)...))
		require.ErrorIs(t, got, errDeclined)
		assert.Contains(t, got.Error(), "was not asked: there is no patience left")
	})
}

func TestRegisteredErrorAroundOneThatNeverReturns(t *testing.T) {
	block := stuck(t)
	within(t, func() {
		got := trip(app(), &stage{"outer", scripted{func() string { block(); return "" }, nothing, never}})
		var s *stage
		require.ErrorAs(t, got, &s)
		assert.Equal(t, "outer", s.name)
	})
}

func TestNilPointersInInterfaces(t *testing.T) {
	for _, err := range []error{(*status)(nil), (*stage)(nil), (*strangeWrap)(nil), (*fs.PathError)(nil), (*errcodec.Opaque)(nil), (*errcodec.Unreadable)(nil), (*os.SyscallError)(nil)} {
		got := trip(app(), err)
		assert.Equal(t, fmt.Sprintf("<nil %T>", err), got.Error())
		got = trip(app(), fmt.Errorf("wrapped: %w", errors.Join(errDeclined, err)))
		require.ErrorIs(t, got, errDeclined)
	}
}

// politeNil says something even when it is nil.
type politeNil struct{}

func (*politeNil) Error() string { return "nothing" }

func TestNilPointerThatHasText(t *testing.T) {
	assert.Equal(t, "nothing", trip(app(), (*politeNil)(nil)).Error())
}

// ring is its own cause, and its text recurses for ever: the process would end.
type ring struct{ cause error }

func (r *ring) Error() string { return "ring: " + r.cause.Error() }
func (r *ring) Unwrap() error { return r.cause }

type ringSlice []error

func (r ringSlice) Error() string   { return "slice: " + r[0].Error() }
func (r ringSlice) Unwrap() []error { return r }

func TestCyclesAreCut(t *testing.T) {
	self, long := &ring{}, &ring{}
	self.cause = self
	long.cause = &strangeList{"b", []error{&stage{"c", errors.Join(errDeclined, &strangeWrap{"d", long})}}}
	slice := ringSlice{nil}
	slice[0] = slice
	for name, err := range map[string]error{"self": self, "long": long, "slice": slice} {
		t.Run(name, func(t *testing.T) {
			got := trip(app(), &strangeList{"above", []error{err, io.EOF}})
			require.ErrorIs(t, got, io.EOF)
			assert.Contains(t, got.Error(), "strangeList")
			assert.Contains(t, fmt.Sprintf("%#v", describe(got)), "a cycle is cut here")
		})
	}
	require.ErrorIs(t, trip(app(), long), errDeclined)
}

// describe lists the texts of a tree.
func describe(err error) (list []string) {
	list = append(list, err.Error())
	for _, cause := range causesOf(err) {
		if cause != nil {
			list = append(list, describe(cause)...)
		}
	}
	return list
}

// endless unwraps to something new for ever.
type endless int

func (e endless) Error() string { return fmt.Sprintf("%d: %v", int(e), e.Unwrap()) }
func (e endless) Unwrap() error { return e + 1 }

func TestChainWithoutEnd(t *testing.T) {
	within(t, func() {
		codec := app()
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
				codec := app()
				data := codec.Encode(err)
				assert.LessOrEqual(t, len(data), 64<<10)
				got := codec.Decode(data)
				require.ErrorIs(t, got, errDeclined, "what is registered is found beyond the limit")
				assert.LessOrEqual(t, len(describe(got)), 1001)
				assert.True(t, bytes.Equal(data, codec.Encode(got)), "the same bytes again")
			})
		})
	}
	assert.Equal(t, "list", trip(app(), &strangeList{"list", wide}).Error())
	assert.Contains(t, trip(app(), errors.Join(wide...)).Error(), "… and 99001 more")
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

// faulty has functions that fail in every way.
type faulty struct{ how string }

func (f *faulty) Error() string { return "faulty: " + f.how }

func faultyEntry() errcodec.Entry {
	return errcodec.Type("test.faulty", func(enc *msgpack.Encoder, f *faulty) error {
		switch f.how {
		case "encode fails":
			return errors.New("cannot")
		case "encode panics":
			panic("cannot")
		case "encode writes too much":
			for range 100_000 {
				_ = enc.EncodeString(f.how)
			}
		case "encode writes no msgpack":
			_, err := enc.Writer().Write([]byte{0xc1})
			return err
		}
		return enc.EncodeString(f.how)
	}, func(dec *msgpack.Decoder) (*faulty, error) {
		how, err := dec.DecodeString()
		switch how {
		case "decode fails":
			return nil, errors.New("cannot")
		case "decode panics":
			panic("cannot")
		case "decode gives nil":
			return nil, nil
		case "decode reads too much":
			return new(faulty), dec.DecodeMulti(&how, &how)
		}
		return &faulty{how}, err
	})
}

func TestFunctionsThatFail(t *testing.T) {
	codec := errcodec.New(append(appEntries(), faultyEntry())...)
	for how, why := range map[string]string{
		"encode fails":             `encoding "test.faulty" failed: cannot`,
		"encode panics":            `encoding "test.faulty" panicked: cannot`,
		"encode writes too much":   "too large",
		"encode writes no msgpack": "no msgpack values",
		"decode fails":             "decoding *errcodec_test.faulty: cannot",
		"decode panics":            "decoding *errcodec_test.faulty panicked: cannot",
		"decode gives nil":         "decoding *errcodec_test.faulty gave nil",
		"decode reads too much":    "decoding *errcodec_test.faulty: EOF",
	} {
		t.Run(how, func(t *testing.T) {
			want := fmt.Errorf("a: %w", errors.Join(&faulty{how}, errDeclined))
			data := codec.Encode(want)
			got := codec.Decode(data)
			requireSameTree(t, want, got)
			require.ErrorIs(t, got, errDeclined)
			var opaque *errcodec.Opaque
			require.ErrorAs(t, got, &opaque)
			assert.Contains(t, opaque.Why(), why)
			assert.True(t, bytes.Equal(data, codec.Encode(got)), "the same bytes again")
		})
	}
	requireSameTree(t, &faulty{"not at all"}, trip(codec, &faulty{"not at all"}))
}

func TestValuesThatCannotBeCompared(t *testing.T) {
	err := loose{[]int{1}}
	got := trip(app(), errors.Join(err, errLoose))
	assert.Equal(t, errors.Join(err, errLoose).Error(), got.Error())
	require.ErrorIs(t, got, errLoose)
	assert.Equal(t, errLoose, causesOf(got)[1])
	assert.NotErrorIs(t, causesOf(got)[0], loose{[]int{1}})
}

func TestNewerVersionShowsItsText(t *testing.T) {
	data := []byte("\xc1\x02\x0bhello there\xff\xff future")
	got := app().Decode(data)
	assert.Equal(t, "hello there", got.Error())
	var unreadable *errcodec.Unreadable
	require.ErrorAs(t, got, &unreadable)
	assert.Contains(t, unreadable.Why(), "version 2")
	assert.Equal(t, data, unreadable.Bytes())
	assert.Equal(t, data, app().Encode(got), "it passes through")

	within := trip(app(), fmt.Errorf("wrapped: %w", got))
	assert.Equal(t, "wrapped: hello there", within.Error())
	require.ErrorAs(t, within, &unreadable)
	assert.Equal(t, data, unreadable.Bytes())
}

func TestGarbageSaysSo(t *testing.T) {
	for _, data := range []string{"{\"error\": \"json\"}", "\xc1", "\xc1\x01", "\xc1\x01\x00", "\xc1\x01\x00\x00", "\xc1\x01\x01a\x09\x09", "\x00", strings.Repeat("\xff", 1000)} {
		got := app().Decode([]byte(data))
		var unreadable *errcodec.Unreadable
		require.ErrorAs(t, got, &unreadable)
		assert.Equal(t, []byte(data), unreadable.Bytes())
		assert.NotEmpty(t, unreadable.Why())
		assert.NotEmpty(t, got.Error())
		assert.Equal(t, []byte(data), app().Encode(got))
	}
	assert.Contains(t, app().Decode([]byte("{}")).Error(), `these 2 bytes are no error: the first byte is not that of an error: "{}"`)
}

func TestDecodeKeepsNoPartOfItsData(t *testing.T) {
	data := app().Encode(errors.Join(errors.New("plain"), stranger{"strange"}, &status{1, "typed"}))
	got := app().Decode(data)
	clear(data)
	assert.Equal(t, "plain\nstrange\ntyped", got.Error())
}

func TestOneCodecForManyGoroutines(t *testing.T) {
	codec, tree := app(), fmt.Errorf("a: %w", errors.Join(&status{1, "typed"}, stranger{"b"}, errDeclined))
	want := codec.Encode(tree)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 200 {
				assert.Equal(t, want, codec.Encode(codec.Decode(codec.Encode(tree))))
			}
		})
	}
	group.Wait()
}

func TestNilCodecKnowsStandardEntries(t *testing.T) {
	var none *errcodec.Codec
	require.ErrorIs(t, trip(none, fmt.Errorf("a: %w", context.Canceled)), context.Canceled)
	assert.Nil(t, none.Encode(nil))
	require.NoError(t, none.Decode(nil))
	require.ErrorIs(t, trip(none.With(appEntries()...), errDeclined), errDeclined)
	assert.NotEmpty(t, none.Registered())
}
