package payload

import (
	"bytes"
	"io"
	"log"
	"math/big"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // where the library tells of clashing names
	os.Exit(m.Run())
}

// byLibrary is what the library writes if it can take addresses.
func byLibrary(ptr any) ([]byte, error) {
	var buf bytes.Buffer
	enc := msgpack.NewEncoder(&buf)
	enc.SetSortMapKeys(true)
	err := enc.Encode(ptr)
	return buf.Bytes(), err
}

func TestWritesWhatTheLibraryWrites(t *testing.T) { rapid.Check(t, writesTheSame) }
func FuzzWritesWhatTheLibraryWrites(f *testing.F) { f.Fuzz(rapid.MakeFuzz(writesTheSame)) }

func writesTheSame(t *rapid.T) {
	typ := drawType(t, 3)
	in := reflect.New(typ)
	filler{t, 1}.fill(in.Elem())
	want, err := byLibrary(in.Interface())
	if err != nil {
		t.Skip(err) // methods of pointers inside maps: the library does not find them, this package does
	}
	got, err := Marshal(in.Elem().Interface())
	require.NoError(t, err, "%v", typ)
	require.Equal(t, want, got, "%v %+v", typ, in.Elem())
}

func TestReadsWhatTheLibraryReads(t *testing.T) { rapid.Check(t, readsTheSame) }
func FuzzReadsWhatTheLibraryReads(f *testing.F) { f.Fuzz(rapid.MakeFuzz(readsTheSame)) }

func readsTheSame(t *rapid.T) {
	typ := drawType(t, 3)
	in := reflect.New(typ)
	filler{t, 3}.fill(in.Elem())
	data, err := byLibrary(in.Interface())
	if err != nil {
		t.Skip(err)
	}
	want, got := reflect.New(typ), reflect.New(typ)
	require.NoError(t, msgpack.Unmarshal(data, want.Interface()), "%v", typ)
	require.NoError(t, Unmarshal(data, got.Interface()), "%v", typ)
	require.Equal(t, want.Interface(), got.Interface(), "%v", typ)
}

var (
	noon  = time.Unix(1_790_000_000, 123_456_789)
	paid  = time.Unix(1_790_000_000, 0)
	long  = strings.Repeat("x", 40)
	three = 3
)

// samples are pointers to values that come back as they were.
var samples = map[string]any{
	"order":                  &order{ID: "o", Customer: "sigrid", Cents: -1, Placed: noon, Items: []item{{"a", 1, .5}, {}}, Paid: &paid, Notes: map[string]int{"a": 1}},
	"order with nothing":     &order{},
	"embedding":              &embedding{Inner{1, "b"}, hidden{2, 3}, 4},
	"nesting":                &nesting{Inner: Inner{A: 1}, Inner2: Inner{B: "b"}, Level: 3, At: noon, Till: &paid, Money: &money{5}, Arr: [2]int8{1, -1}, P: &three, M: map[word]octets{"a": {1}}, S: words{"a"}, Ok: true},
	"nesting with nothing":   &nesting{},
	"array":                  &array{A: 1, B: "b"},
	"interned":               &interned{A: "same", B: "same"},
	"secretly":               &secretly{A: 1},
	"leaving":                &leaving{Many: big.NewInt(3)},
	"leaving with nothing":   &leaving{},
	"custom":                 &custom{ID: uuid.UUID{1, 2}, Addr: netip.MustParseAddr("::1"), N: big.NewInt(-5), Price: money{1}, Mark: mark{2}, Marks: []mark{{3}}, Pair: pair{4, 5}, Raw: raw{6}, Tally: tally{map[string]int{"a": 1}}, After: "after"},
	"pointers":               &[]**int{nil, new(&three)},
	"strings of all lengths": &[]string{"", "short", long, strings.Repeat("y", 300), strings.Repeat("z", 70_000)},
	"bytes of all lengths":   &[][]byte{nil, {}, {1}, make([]byte, 300), make([]byte, 70_000)},
	"byte arrays":            &[][20]byte{{1}, {2}},
	"octet arrays":           &struct{ A [3]octet }{[3]octet{1, 2, 3}},
	"many":                   new(make([]bool, 70_000)),
	"seconds only":           &paid,
	"long ago":               new(time.Date(1066, 9, 25, 0, 0, 0, 1, time.UTC).Local()),
	"next century":           new(time.Unix(1<<33, 0)),
	"far away":               new(time.Unix(1<<35, 7)),
	"zero time":              &time.Time{},
	"times":                  &map[string]time.Time{"a": noon},
	"uuid":                   &uuid.UUID{1},
	"big number":             big.NewInt(42),
	"floats": &struct {
		A float32
		B float64
		C ratio
	}{1.5, -2.5, 3},
}

func TestSamples(t *testing.T) {
	for name, ptr := range samples {
		t.Run(name, func(t *testing.T) {
			in := reflect.ValueOf(ptr).Elem()
			want, err := byLibrary(ptr)
			require.NoError(t, err)
			got, err := Marshal(in.Interface())
			require.NoError(t, err)
			require.Equal(t, want, got)
			back, err := Of(in.Type()).Decode(got)
			require.NoError(t, err)
			require.Equal(t, in.Interface(), back)
		})
	}
}

func TestStructsThatTheLibraryTakesAsAWhole(t *testing.T) {
	for _, ptr := range []any{&clashing{Inner{1, "b"}, "a"}, &pointing{&Inner{1, "b"}, 2}, &pointing{C: 1}, &insisting{money{1}, 2}} {
		want, err := byLibrary(ptr)
		require.NoError(t, err)
		got, err := Marshal(reflect.ValueOf(ptr).Elem().Interface())
		require.NoError(t, err)
		assert.Equal(t, want, got, "%T", ptr)
	}
}

func TestMethodsOfPointersAreFoundEverywhere(t *testing.T) {
	type marks struct {
		//lint:ignore U1000 the library reads its tag
		_msgpack struct{} `msgpack:",as_array"`
		M        mark
	}
	for _, v := range []any{mark{1}, [2]mark{{1}, {2}}, marks{M: mark{3}}, map[string]mark{"a": {4}}, struct{ M map[int][]mark }{map[int][]mark{5: {{5}}}}} {
		data, err := Marshal(v)
		require.NoError(t, err)
		back, err := Of(reflect.TypeOf(v)).Decode(data)
		require.NoError(t, err)
		assert.Equal(t, v, back)
	}
}

func TestKeysOfMapsAreSortedAsTheLibrarySortsThem(t *testing.T) {
	strings, bools := map[string]string{}, map[string]bool{}
	for _, key := range []string{"", "b", "aa", "a", long, long + "y", "B"} {
		strings[key], bools[key] = key, key == "a"
	}
	for _, ptr := range []any{&strings, &bools} {
		want, err := byLibrary(ptr)
		require.NoError(t, err)
		got, err := Marshal(reflect.ValueOf(ptr).Elem().Interface())
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}
