package errcodec_test

import (
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
const bound = 20 * time.Second

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
		got := trip(impatient(), tree)
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
		got := trip(impatient(), scripted{says("text"), nothing, func(error) bool { block(); return true }})
		assert.Equal(t, "text", got.Error())
		got = trip(impatient(), scripted{says("text"), func() error { block(); return nil }, never})
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
			got := trip(impatient(), talker{method, stuck(t)})
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
		got := trip(impatient(), errors.Join(append(many, errDeclined)...))
		require.ErrorIs(t, got, errDeclined)
		assert.Contains(t, got.Error(), "was not asked: there is no patience left")
	})
}

func TestRegisteredErrorAroundOneThatNeverReturns(t *testing.T) {
	block := stuck(t)
	within(t, func() {
		got := trip(impatient(), &stage{"outer", scripted{func() string { block(); return "" }, nothing, never}})
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
