package plan

import (
	"encoding/json"
	"io/fs"
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

type (
	msgpackCodec struct{}
	jsonCodec    struct{}
)

func (msgpackCodec) Marshal(v any) ([]byte, error)      { return msgpack.Marshal(v) }
func (msgpackCodec) Unmarshal(data []byte, v any) error { return msgpack.Unmarshal(data, v) }
func (jsonCodec) Marshal(v any) ([]byte, error)         { return json.Marshal(v) }
func (jsonCodec) Unmarshal(data []byte, v any) error    { return json.Unmarshal(data, v) }

func roundTrip[T any](c Codec, in T) (out T, err error) {
	data, err := c.Marshal(in)
	if err != nil {
		return out, err
	}
	return out, c.Unmarshal(data, &out)
}

func TestWhatIsRefusedReallyGetsLost(t *testing.T) {
	at := time.Unix(42, 0)
	t.Run("embedded time", lost(msgpackCodec{}, stamp{at, "me"}))
	t.Run("embedded time in JSON", lost(jsonCodec{}, stamp{at, "me"}))
	t.Run("shadowed name", lost(msgpackCodec{}, shadowed{Plain{1, 2}, 3}))
	t.Run("shadowed name in JSON", lost(jsonCodec{}, shadowed{Plain{1, 2}, 3}))
	t.Run("embedded nil", lost(msgpackCodec{}, byNil{}))
	t.Run("unexported field", lost(msgpackCodec{}, packedPair{1, 2}))
	t.Run("interface", lost(msgpackCodec{}, box[any]{1}))
	t.Run("interface in JSON", lost(jsonCodec{}, box[any]{1}))
	t.Run("error", lost(msgpackCodec{}, box[error]{&fs.PathError{Op: "open", Path: "a", Err: fs.ErrInvalid}}))
	t.Run("pointer methods in a map", lost(msgpackCodec{}, map[string]mark{"a": {1}}))
	t.Run("pointer methods in a map in JSON", lost(jsonCodec{}, map[string]big.Int{"a": *big.NewInt(42)}))
	t.Run("no method to read", lost(jsonCodec{}, half{1}))
	t.Run("no method to write", lost(msgpackCodec{}, deaf{1}))
	t.Run("msgpack only, in JSON", lost(jsonCodec{}, packed{1}))
	t.Run("channel", lost(msgpackCodec{}, make(chan int)))
	t.Run("uintptr", lost(msgpackCodec{}, uintptr(1)))
	t.Run("complex", lost(msgpackCodec{}, 1i))
	t.Run("bool as key in JSON", lost(jsonCodec{}, map[bool]int{true: 1}))
	t.Run("time as key", lost(msgpackCodec{}, map[time.Time]int{at.UTC(): 1}))
	t.Run("array of named bytes", lost(msgpackCodec{}, [2]byt{1, 2}))
	t.Run("omitted", lost(msgpackCodec{}, struct {
		Price money `msgpack:",omitempty"`
	}{money{1}}))
	t.Run("all omitted", lost(msgpackCodec{}, struct {
		_msgpack struct{} `msgpack:",omitempty"`
		Price    money
	}{Price: money{1}}))
	t.Run("lower embedded", lost(msgpackCodec{}, struct{ tags }{tags{"a"}}))
}

type (
	shadowed struct {
		Plain
		A int
	}
	byNil      struct{ *Plain }
	packedPair struct{ a, B int }
)

func lost[T any](c Codec, in T) func(*testing.T) {
	return func(t *testing.T) {
		require.Error(t, TypeOf[T]().Check())
		defer func() { _ = recover() }() // msgpack panics for some
		out, err := roundTrip(c, in)
		if err == nil {
			require.NotEqual(t, in, out)
		}
	}
}

// Types are drawn at random, good and bad ones; values of those that Check lets pass must come back.
func TestEverythingThatIsAcceptedComesBackWhole(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		typ := drawType(t, 3)
		if (&Type{Go: typ}).Check() != nil {
			return
		}
		accepted++
		in := reflect.New(typ)
		for _, c := range []struct {
			Codec
			zone *time.Location // in which times come back
		}{{msgpackCodec{}, time.Local}, {jsonCodec{}, time.UTC}} {
			fill(t, in.Elem(), c.zone)
			v := in.Elem()
			if byPointer(typ) {
				v = in
			}
			data, err := c.Marshal(v.Interface())
			require.NoError(t, err, "%T of %v", c.Codec, typ)
			out := reflect.New(typ)
			require.NoError(t, c.Unmarshal(data, out.Interface()), "%T of %v: %s", c.Codec, typ, data)
			require.Equal(t, in.Interface(), out.Interface(), "%T of %v: %s", c.Codec, typ, data)
		}
	})
	require.NotZero(t, accepted)
}

type (
	word string
	byt  byte
)

var leaves = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[int8](), reflect.TypeFor[uint64](), reflect.TypeFor[float64](),
	reflect.TypeFor[string](), reflect.TypeFor[word](), reflect.TypeFor[byt](), reflect.TypeFor[[]byte](),
	reflect.TypeFor[struct{}](), reflect.TypeFor[plain](), reflect.TypeFor[node](), reflect.TypeFor[shadowed](),
	reflect.TypeFor[struct{ plain }](), reflect.TypeFor[struct{ Plain }](), reflect.TypeFor[byNil](),
	reflect.TypeFor[time.Time](), reflect.TypeFor[time.Duration](), reflect.TypeFor[uuid.UUID](), reflect.TypeFor[big.Int](),
	reflect.TypeFor[*big.Int](), reflect.TypeFor[json.RawMessage](), reflect.TypeFor[stamp](), reflect.TypeFor[Dated](),
	reflect.TypeFor[money](), reflect.TypeFor[mark](), reflect.TypeFor[half](), reflect.TypeFor[deaf](), reflect.TypeFor[wide](),
	reflect.TypeFor[packed](), reflect.TypeFor[packedPair](), reflect.TypeFor[any](), reflect.TypeFor[chan int](), reflect.TypeFor[func()](),
}

func drawType(t *rapid.T, depth int) reflect.Type {
	if depth == 0 {
		return rapid.SampledFrom(leaves).Draw(t, "leaf")
	}
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0:
		return reflect.SliceOf(drawType(t, depth-1))
	case 1:
		return reflect.ArrayOf(2, drawType(t, depth-1))
	case 2:
		return reflect.PointerTo(drawType(t, depth-1))
	case 3:
		if key := drawType(t, depth-1); key.Comparable() {
			return reflect.MapOf(key, drawType(t, depth-1))
		}
		fallthrough
	case 4:
		return drawStruct(t, depth)
	default:
		return drawType(t, 0)
	}
}

func drawStruct(t *rapid.T, depth int) reflect.Type {
	var fields []reflect.StructField
	for _, name := range []string{"A", "B", "C"}[:rapid.IntRange(1, 3).Draw(t, "fields")] {
		tag := rapid.SampledFrom([]reflect.StructTag{"", "", `msgpack:"x"`, `json:"A"`, `msgpack:"y,omitempty" json:"y,omitempty"`}).Draw(t, "tag")
		fields = append(fields, reflect.StructField{Name: name, Type: drawType(t, depth-1), Tag: tag})
	}
	if rapid.Bool().Draw(t, "embeds") {
		fields = append(fields, reflect.StructField{Name: "Plain", Type: reflect.TypeFor[Plain](), Anonymous: true})
	}
	return reflect.StructOf(fields)
}

// fill sets v to a random value. Slices, maps and pointers are nil or have content, also behind
// pointers: what is empty may come back as nil.
func fill(t *rapid.T, v reflect.Value, zone *time.Location) {
	v.SetZero()
	n := rapid.IntRange(0, 100).Draw(t, "n")
	switch it := v.Addr().Interface().(type) {
	case *time.Time:
		*it = time.Unix(int64(n), 0).In(zone)
		return
	case *big.Int:
		it.SetInt64(int64(n + 1))
		return
	case *json.RawMessage:
		*it = json.RawMessage(`{"a":1}`)
		return
	case *money:
		it.cents = n
		return
	case *node:
		*it = node{Name: "a", Next: &node{Name: "b"}, All: map[string][]node{"c": {{Name: "d"}}}}
		return
	case *packed:
		it.n = n
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(n%2 == 0)
	case reflect.Int, reflect.Int8, reflect.Int64:
		v.SetInt(int64(n) - 50)
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(uint64(n))
	case reflect.Float64:
		v.SetFloat(float64(n) / 3)
	case reflect.String:
		v.SetString(rapid.String().Draw(t, "s"))
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() || v.Type().Field(i).Anonymous {
				fillField(t, v.Field(i), zone)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i), zone)
		}
	case reflect.Slice:
		for range n % 3 {
			e := reflect.New(v.Type().Elem()).Elem()
			fill(t, e, zone)
			v.Set(reflect.Append(v, e))
		}
	case reflect.Pointer:
		nested := v.Type().Elem().Kind()
		if n > 50 && nested != reflect.Pointer && nested != reflect.Slice && nested != reflect.Map {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem(), zone)
		}
	case reflect.Map:
		for range n % 3 {
			if v.IsNil() {
				v.Set(reflect.MakeMap(v.Type()))
			}
			key, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(t, key, zone)
			fill(t, e, zone)
			v.SetMapIndex(key, e)
		}
	}
}

// fillField fills what is exported in an embedded struct that is not.
func fillField(t *rapid.T, v reflect.Value, zone *time.Location) {
	if v.CanSet() {
		fill(t, v, zone)
		return
	}
	for i := range v.NumField() {
		fill(t, v.Field(i), zone)
	}
}
