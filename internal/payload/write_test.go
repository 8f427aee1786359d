package payload

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

func TestValuesOfInterfacesAndOtherTypes(t *testing.T) {
	e := NewEncoder()
	defer e.Free()
	data, err := e.Encode(Of(reflect.TypeFor[any]()), nil)
	require.NoError(t, err)
	assert.Equal(t, []byte{codeNil}, data)
	data, err = e.Encode(Of(reflect.TypeFor[fmt.Stringer]()), reflect.ValueOf(noon).Interface())
	require.NoError(t, err)
	assert.Equal(t, mustMarshal(t, noon), data)
	_, err = e.Encode(Of(reflect.TypeFor[int]()), "text")
	require.EqualError(t, err, "it is a string")
	assert.Equal(t, []byte{codeNil}, mustMarshal(t, nil))
}

func TestWhatCannotBeWritten(t *testing.T) {
	for _, c := range []struct {
		v    any
		want string
	}{
		{make(chan int), "msgpack: Encode(unsupported chan int)"},
		{struct{ A []any }{[]any{1, func() {}}}, "A[1]: msgpack: Encode(unsupported func())"},
		{struct{ A map[string]broken }{map[string]broken{"secret": {}}}, "A[]: it is broken"},
		{[1]map[broken]int{{{}: 1}}, "[0][]: it is broken"},
	} {
		_, err := Marshal(c.v)
		assert.EqualError(t, err, c.want)
	}
	_, err := Marshal(&broken{})
	assert.ErrorIs(t, err, errBroken)
}

type broken struct{}

var errBroken = errors.New("it is broken")

func (broken) MarshalText() ([]byte, error) { return nil, errBroken }

// shuffled gives equal maps that were filled in different orders.
func shuffled() map[int]string {
	m := map[int]string{}
	for _, i := range rand.Perm(12) {
		m[i-3] = fmt.Sprint(i)
	}
	return m
}

func shuffledTally() tally {
	m := map[string]int{}
	for _, i := range rand.Perm(12) {
		m[fmt.Sprint(i)] = i
	}
	return tally{m}
}

type twins struct{ of int } // keys that marshal themselves to the same

func (twins) MarshalText() ([]byte, error)    { return []byte("twin"), nil }
func (t *twins) UnmarshalText(b []byte) error { return nil }

func TestEqualValuesHaveEqualBytesAndDigests(t *testing.T) {
	for name, c := range map[string]struct {
		of     func() any
		digest bool // only, not the bytes
	}{
		"integers":             {func() any { return shuffled() }, false},
		"maps in maps":         {func() any { return map[word]map[int]string{"a": shuffled(), "b": shuffled(), "c": nil} }, false},
		"in a struct":          {func() any { return struct{ A, B map[int]string }{shuffled(), shuffled()} }, false},
		"floats":               {func() any { return map[float64]int{1.5: 1, -2: 2, 0: 3} }, false},
		"keys with text":       {func() any { return map[money]int{{1}: 1, {2}: 2, {10}: 3} }, false},
		"arrays as keys":       {func() any { return map[[2]int8]bool{{1, 2}: true, {0, 3}: false} }, false},
		"keys of one text":     {func() any { return map[twins]int{{1}: 1, {2}: 2, {3}: 1} }, false},
		"written by a type":    {func() any { return shuffledTally() }, true},
		"by types in maps":     {func() any { return map[string]tally{"a": shuffledTally(), "b": {}, "c": shuffledTally()} }, true},
		"by types among bytes": {func() any { return []any{"a", map[int]tally{1: shuffledTally(), 2: shuffledTally()}, "b"} }, true},
		"by a whole struct": {func() any {
			return struct {
				_msgpack struct{} `msgpack:",as_array"`
				M        map[int]string
			}{M: shuffled()}
		}, true},
		"two values":   {func() any { return map[int]pair{1: {1, 2}, 2: {3, 4}, 3: {5, 6}} }, false},
		"broken value": {func() any { return struct{ P stump }{stump{}} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := NewEncoder()
			defer e.Free()
			var data []byte
			var digest [32]byte
			for i := range 20 {
				got, err := e.Encode(Of(reflect.TypeOf(c.of())), c.of())
				require.NoError(t, err)
				if i > 0 {
					require.Equal(t, digest, e.Digest())
				}
				if i > 0 && !c.digest {
					require.Equal(t, data, got)
				}
				data, digest = append(data[:0], got...), e.Digest()
			}
		})
	}
}

// stump writes a part of a value: it cannot be put in order.
type stump struct{}

func (stump) EncodeMsgpack(e *msgpack.Encoder) error { return e.EncodeMapLen(0) }
func (stump) DecodeMsgpack(d *msgpack.Decoder) error { return d.Skip() }

func TestDifferentValuesHaveDifferentDigests(t *testing.T) {
	seen := map[[32]byte]any{}
	e := NewEncoder()
	for _, v := range []any{
		tally{}, tally{map[string]int{}}, tally{map[string]int{"a": 1}}, tally{map[string]int{"a": 2}}, tally{map[string]int{"b": 1}},
		[]tally{{}, {map[string]int{"a": 1}}}, []tally{{map[string]int{"a": 1}}, {}}, map[int]int{1: 2}, map[int]int{2: 1}, 1, "1",
	} {
		_, err := e.Encode(Of(reflect.TypeOf(v)), v)
		require.NoError(t, err)
		digest := e.Digest()
		require.NotContains(t, seen, digest, "%#v", v)
		seen[digest] = v
	}
}

func TestCanonicalKeepsWhatItCannotRead(t *testing.T) {
	for _, data := range []string{"\x82\x01", "\x81\x01\xc1", "\xc1", "\x92\x01"} {
		assert.Equal(t, data, string(canonicalOf([]byte(data))))
	}
	assert.Equal(t, "\x82\x01\x01\x02\x92\x81\x01\x01\xa1a\x07", string(canonicalOf([]byte("\x82\x02\x92\x81\x01\x01\xa1a\x01\x01\x07"))))
}

func TestLargeValuesAreNotKept(t *testing.T) {
	e := NewEncoder()
	_, err := e.Encode(Of(reflect.TypeFor[[]byte]()), make([]byte, 2*keptBuffer))
	require.NoError(t, err)
	e.Free()
	for range 100 {
		e := NewEncoder()
		require.LessOrEqual(t, cap(e.buf), keptBuffer)
	}
}

func TestTypesAreForManyGoroutines(t *testing.T) {
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for name, ptr := range samples {
				v := reflect.ValueOf(ptr).Elem().Interface()
				data, err := Marshal(v)
				if assert.NoError(t, err, name) {
					back, err := Of(reflect.TypeOf(v)).Decode(data)
					assert.NoError(t, err, name)
					assert.Equal(t, v, back, name)
				}
			}
		})
	}
	group.Wait()
}
