package payload

import (
	"bytes"
	"math"
	"math/big"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

func mustMarshal(t testing.TB, v any) []byte {
	t.Helper()
	data, err := Marshal(v)
	require.NoError(t, err)
	return data
}

type object = map[string]any

func TestFieldsInAnyOrder(t *testing.T) {
	for name, in := range map[string]any{
		"another order": []any{"Price", 1.5, "SKU", "a", "Count", 2},
		"unknown ones":  []any{"New", object{"deep": []any{1, nil, object{"x": "y"}}}, "SKU", "a", "Newer", []byte{1}, "Count", 2, "Price", 1.5, "Newest", noon},
		"twice":         []any{"SKU", "b", "SKU", "a", "Count", 2, "Price", 1.5},
	} {
		t.Run(name, func(t *testing.T) {
			var back item
			require.NoError(t, Unmarshal(mapOf(t, in.([]any)...), &back))
			assert.Equal(t, item{"a", 2, 1.5}, back)
		})
	}
}

// mapOf writes a map with these keys and values in this order.
func mapOf(t *testing.T, pairs ...any) []byte {
	data := appendMapLen(nil, len(pairs)/2)
	for _, it := range pairs {
		data = append(data, mustMarshal(t, it)...)
	}
	return data
}

func TestMissingFieldsAreZero(t *testing.T) {
	back := item{"old", 1, 1}
	require.NoError(t, Unmarshal(mapOf(t, "Count", 2), &back))
	assert.Equal(t, item{Count: 2}, back)
}

func TestFormerNamesAreUnderstood(t *testing.T) {
	var back embedding
	require.NoError(t, Unmarshal(mapOf(t, "Inner", Inner{1, "b"}, "old", 7), &back))
	assert.Equal(t, embedding{Inner: Inner{1, "b"}, E: 7}, back)
}

func TestNilIsTheZeroValue(t *testing.T) {
	for _, typ := range shapes {
		got := reflect.New(typ)
		require.NoError(t, Unmarshal([]byte{codeNil}, got.Interface()), "%v", typ)
		assert.Equal(t, reflect.New(typ).Interface(), got.Interface(), "%v", typ)
	}
	var a [2]int
	require.NoError(t, Unmarshal([]byte{codeNil}, &a))
	var deep struct{ A *[]map[string][2]string }
	require.NoError(t, Unmarshal(mapOf(t, "A", []any{object{"a": nil}, nil}), &deep))
	assert.Equal(t, []map[string][2]string{{"a": {}}, nil}, *deep.A)
}

func TestEntriesHaveNothingOfEachOther(t *testing.T) {
	data := mapOf(t, []int8{1, 2}, object{"SKU": "a", "Count": 1}, []int8{3}, object{"Price": 1.5})
	var back map[[2]int8]item
	require.NoError(t, Unmarshal(data, &back))
	assert.Equal(t, map[[2]int8]item{{1, 2}: {"a", 1, 0}, {3, 0}: {Price: 1.5}}, back)
}

func TestTextAndBytesAreReadAsEachOther(t *testing.T) {
	var s string
	require.NoError(t, Unmarshal(mustMarshal(t, []byte("text")), &s))
	assert.Equal(t, "text", s)
	var b []byte
	require.NoError(t, Unmarshal(mustMarshal(t, "bytes"), &b))
	assert.Equal(t, "bytes", string(b))
	var a [3]byte
	require.NoError(t, Unmarshal(mustMarshal(t, "ab"), &a))
	assert.Equal(t, [3]byte{'a', 'b'}, a)
}

// A number of any type is read as any other: as itself or not at all.
func TestNumbersKeepTheirValueOrAreRefused(t *testing.T) {
	var sources []any
	for _, n := range bounds {
		sources = append(sources, int(n), int8(n), int16(n), int32(n), n, uint(n), uint8(n), uint16(n), uint32(n), uint64(n))
	}
	targets := []any{int(0), int8(0), int16(0), int32(0), int64(0), uint(0), uint8(0), uint16(0), uint32(0), uint64(0)}
	for _, in := range sources {
		for _, zero := range targets {
			want := bigOf(in)
			got := reflect.New(reflect.TypeOf(zero))
			err := Unmarshal(mustMarshal(t, in), got.Interface())
			if fits(want, got.Elem().Type()) {
				require.NoError(t, err, "%T(%[1]v) as %T", in, zero)
				require.Zero(t, want.Cmp(bigOf(got.Elem().Interface())), "%T(%[1]v) as %T", in, zero)
			} else {
				require.ErrorContains(t, err, "the number does not fit "+got.Elem().Type().String(), "%T(%[1]v) as %T", in, zero)
			}
		}
	}
}

func bigOf(n any) *big.Int {
	if v := reflect.ValueOf(n); v.CanInt() {
		return big.NewInt(v.Int())
	}
	return new(big.Int).SetUint64(reflect.ValueOf(n).Uint())
}

func fits(n *big.Int, t reflect.Type) bool {
	if v := reflect.Zero(t); v.CanInt() {
		return n.IsInt64() && !v.OverflowInt(n.Int64())
	} else {
		return n.IsUint64() && !v.OverflowUint(n.Uint64())
	}
}

func TestFloatsTakeAllNumbers(t *testing.T) {
	for want, in := range map[float64]any{1.5: 1.5, 2.5: float32(2.5), -3: int8(-3), 4: uint16(4), math.MaxUint64: uint64(math.MaxUint64), 0: nil} {
		var f float64
		require.NoError(t, Unmarshal(mustMarshal(t, in), &f))
		assert.Equal(t, want, f)
	}
	var f float32
	require.NoError(t, Unmarshal(mustMarshal(t, 7), &f))
	assert.Equal(t, float32(7), f)
	assert.EqualError(t, Unmarshal(mustMarshal(t, 1.5), &f), "the number does not fit float32")
}

func TestWhatCannotBeRead(t *testing.T) {
	for name, c := range map[string]struct {
		data []byte
		into any
		want string
	}{
		"nothing":              {nil, new(int), "the data ends too early"},
		"no text":              {nil, new(string), "the data ends too early"},
		"no float":             {nil, new(float64), "the data ends too early"},
		"half a float":         {[]byte{codeFloat64, 1, 2}, new(float64), "the data ends too early"},
		"half a length":        {[]byte{codeString16, 1}, new(string), "the data ends too early"},
		"half a text":          {[]byte{codeFixString | 9, 'a'}, new(string), "the data ends too early"},
		"half a map":           {[]byte{codeFixMap | 1, codeFixString}, new(item), "the data ends too early"},
		"no value":             {[]byte{codeFixMap | 1, codeFixString | 1, 'x', codeFixMap}, new(item), ""},
		"never used":           {[]byte{codeNone}, new(int), "0xc1 begins no value"},
		"never used, skipped":  {[]byte{codeFixMap | 1, codeFixString, codeNone}, new(item), "0xc1 begins no value"},
		"two values":           {[]byte{1, 2, 3}, new(int), "there are 2 bytes after it"},
		"text for bool":        {mustMarshal(t, "x"), new(bool), "there is a value of kind string where one of kind bool should be"},
		"text for integer":     {mustMarshal(t, "x"), new(uint8), "there is a value of kind string where one of kind integer should be"},
		"text for float":       {mustMarshal(t, "x"), new(float32), "there is a value of kind string where one of kind integer should be"},
		"integer for text":     {mustMarshal(t, 1), new(string), "there is a value of kind integer where one of kind string should be"},
		"array for bytes":      {mustMarshal(t, []int{1}), new([]byte), "there is a value of kind array where one of kind bytes should be"},
		"bool for byte array":  {mustMarshal(t, true), new([2]byte), "there is a value of kind bool where one of kind bytes should be"},
		"too many bytes":       {mustMarshal(t, "abc"), new([2]byte), "there are 3 elements for 2 places"},
		"too many elements":    {mustMarshal(t, []int{1, 2, 3}), new([2]int), "there are 3 elements for 2 places"},
		"map for array":        {mustMarshal(t, object{}), new([2]int), "there is a value of kind map where one of kind array should be"},
		"map for slice":        {mustMarshal(t, object{}), new([]int), "there is a value of kind map where one of kind array should be"},
		"array for map":        {mustMarshal(t, []int{}), new(map[string]int), "there is a value of kind array where one of kind map should be"},
		"array for struct":     {mustMarshal(t, []int{}), new(item), "there is a value of kind array where one of kind map should be"},
		"integer for time":     {mustMarshal(t, 1), new(time.Time), "there is a value of kind integer where one of kind extension should be"},
		"another extension":    {[]byte{codeFixExt4, 5, 0, 0, 0, 0}, new(time.Time), "there is another extension where a time should be"},
		"odd time":             {[]byte{codeFixExt4 - 1, timeExt, 0, 0}, new(time.Time), "there is a time of an unknown size"},
		"integer for name":     {[]byte{codeFixMap | 1, 1, 1}, new(item), "there is a value of kind integer where one of kind string should be"},
		"bad key":              {mustMarshal(t, map[string]int{"secret": 1}), new(map[int]int), "[key]: there is a value of kind string where one of kind integer should be"},
		"deep inside":          {mustMarshal(t, object{"Items": []object{{}, {"Price": "secret"}}}), new(order), "Items[1].Price: there is a value of kind string where one of kind integer should be"},
		"in a map":             {mustMarshal(t, object{"notes": object{"secret": "x"}}), new(order), "notes[]: there is a value of kind string where one of kind integer should be"},
		"in an array":          {mustMarshal(t, []any{1, "x"}), new([2]int8), "[1]: there is a value of kind string where one of kind integer should be"},
		"by the library":       {mustMarshal(t, object{"Price": true}), new(custom), "Price: msgpack: invalid code=c3 decoding string/bytes length"},
		"short by the library": {mustMarshal(t, object{"Pair": 1}), new(custom), "Pair: EOF"},
		"malformed":            {[]byte{codeFixMap | 1, codeFixString, codeBin32, 0xff, 0xff, 0xff, 0xff}, new(custom), "the data ends too early"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Unmarshal(c.data, c.into)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, c.want)
		})
	}
}

func TestUnmarshalNeedsAPointer(t *testing.T) {
	assert.EqualError(t, Unmarshal([]byte{1}, 1), "int is no pointer to a value")
	assert.EqualError(t, Unmarshal([]byte{1}, (*int)(nil)), "*int is no pointer to a value")
	assert.EqualError(t, Unmarshal([]byte{1}, nil), "<nil> is no pointer to a value")
}

func TestNothingOfTheDataIsKept(t *testing.T) {
	for _, text := range []string{"short", strings.Repeat("long", 1000)} {
		in := struct {
			S string
			B []byte
			M map[string]string
		}{text, []byte(text), map[string]string{text: text}}
		data := mustMarshal(t, in)
		back, err := Of(reflect.TypeOf(in)).Decode(data)
		require.NoError(t, err)
		clear(data)
		assert.Equal(t, in, back)
	}
}

func TestNestingHasAnEnd(t *testing.T) {
	lists := func(depth int) *node {
		var n *node
		for range depth {
			n = &node{Next: n}
		}
		return n
	}
	data := mustMarshal(t, lists(maxDepth-1))
	back, err := Of(reflect.TypeFor[*node]()).Decode(data)
	require.NoError(t, err)
	assert.Equal(t, lists(maxDepth-1), back)

	_, err = Marshal(lists(maxDepth + 1))
	require.ErrorIs(t, err, errDepth)
	assert.Less(t, len(err.Error()), 500)

	itself := &node{Kids: make([]node, 2)}
	itself.Kids[1].Next = itself
	_, err = Marshal(itself)
	require.ErrorIs(t, err, errDepth)

	deep := bytes.Repeat(append([]byte{codeFixMap | 1}, mustMarshal(t, "Next")...), 100_000)
	require.ErrorIs(t, Unmarshal(append(deep, codeNil), &node{}), errDepth)
	arrays := append(bytes.Repeat([]byte{codeFixArray | 1}, 100_000), codeNil)
	require.ErrorIs(t, Unmarshal(arrays, &raw{}), errDepth, "the library would go down as deep")
	require.NoError(t, Unmarshal(append(mapOf(t, "Unknown", nil)[:9], arrays...), &item{}), "what is passed over may be as deep as it likes")
}

// Lengths that are not there cost next to nothing, whoever reads.
func TestLengthsAreNotBelieved(t *testing.T) {
	for name, c := range map[string]struct {
		data []byte
		into any
	}{
		"slice":                  {[]byte{codeArray16 + 1, 0xff, 0xff, 0xff, 0xff, 1}, new([]node)},
		"map":                    {[]byte{codeMap16 + 1, 0xff, 0xff, 0xff, 0xff, 1}, new(map[string]node)},
		"text":                   {[]byte{codeString32, 0xff, 0xff, 0xff, 0xff, 1}, new(string)},
		"bytes":                  {[]byte{codeBin32, 0xff, 0xff, 0xff, 0xff, 1}, new([]byte)},
		"skipped":                {append([]byte{codeFixMap | 1, codeFixString}, codeBin32, 0xff, 0xff, 0xff, 0xff), new(item)},
		"by the library":         {[]byte{codeBin32, 0xff, 0xff, 0xff, 0xff, 1}, new(big.Int)},
		"in the library's map":   {[]byte{codeMap16 + 1, 0, 0xff, 0xff, 0xff, 1}, new(tally)},
		"as many as there might": {append([]byte{codeArray16 + 1, 0, 1, 0, 0, codeNone}, make([]byte, 1<<16)...), new([][1 << 12]int64)},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			require.Error(t, Unmarshal(c.data, c.into))
			runtime.ReadMemStats(&after)
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
		})
	}
}

func TestALibraryDecoderThatFailedIsNotUsedAgain(t *testing.T) {
	into := reflect.New(reflect.TypeFor[raw]()).Elem()
	d := &decoder{data: []byte{7, codeFixArray | 2, 1}}
	require.NoError(t, foreignCodec{}.read(d, into))
	assert.Equal(t, raw{7}, into.Interface())
	require.NotNil(t, d.lib)
	require.Error(t, foreignCodec{}.read(d, into))
	require.Nil(t, d.lib)
}

func TestAnEncoderThatWritesNoValuesIsRefused(t *testing.T) {
	_, err := Marshal(struct{ L liar }{})
	assert.EqualError(t, err, "the data ends too early")
	_, err = Marshal(struct{ L []liar }{})
	assert.NoError(t, err)
}

// liar promises more than it writes.
type liar struct{}

func (liar) EncodeMsgpack(e *msgpack.Encoder) error { return e.EncodeBytesLen(9) }
func (liar) DecodeMsgpack(*msgpack.Decoder) error   { return nil }

// Whatever can be read can be written, and then comes back as it was.
func FuzzUnmarshal(f *testing.F) {
	for _, ptr := range samples {
		data, err := byLibrary(ptr)
		require.NoError(f, err)
		if len(data) > 1<<10 {
			continue
		}
		for i, typ := range shapes {
			if typ == reflect.TypeOf(ptr).Elem() {
				f.Add(uint8(i), data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, i uint8, data []byte) {
		typ := shapes[int(i)%len(shapes)]
		v, err := Of(typ).Decode(data)
		if err != nil {
			return
		}
		again, err := Marshal(v)
		require.NoError(t, err)
		back, err := Of(typ).Decode(again)
		require.NoError(t, err)
		twice, err := Marshal(back)
		require.NoError(t, err)
		require.Equal(t, canonicalOf(again), canonicalOf(twice))
	})
}

func canonicalOf(data []byte) []byte { return NewEncoder().canonical(nil, data) }
