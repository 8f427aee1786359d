package payload

import (
	"encoding/json"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

type (
	word   string
	words  []word
	octet  byte
	octets []octet
	ratio  float32
	money  struct{ cents int }        // marshals itself as text
	mark   struct{ N int }            // marshals itself by its pointer
	pair   struct{ A, B int }         // writes two values, as the library's example does
	tally  struct{ n map[string]int } // writes a map
	raw    struct{ N int }            // marshals itself as MessagePack
	level  int                        // has IsZero
	Inner  struct {
		A int
		B string `msgpack:"b,omitempty"`
	}
	hidden struct{ C, D int }
	node   struct {
		Name string
		Next *node
		Kids []node
		All  map[string]*node
	}
	order struct {
		ID       string
		Customer word `msgpack:"customer"`
		Cents    int64
		Placed   time.Time
		Items    []item
		Paid     *time.Time
		Gift     bool           `msgpack:",omitempty"`
		Notes    map[string]int `msgpack:"notes,omitempty"`
	}
	item struct {
		SKU   string
		Count int
		Price float64
	}
	embedding struct {
		Inner
		hidden
		E uint16 `msgpack:"e,alias:old"`
	}
	nesting struct {
		Inner  `msgpack:"inner,noinline"`
		Inner2 Inner `msgpack:",omitempty"`
		//lint:ignore U1000 the library reads its tag
		_msgpack struct{} `msgpack:",omitempty"`
		Level    level
		At       time.Time
		Till     *time.Time
		Plain    Inner
		Empty    struct{}
		Money    *money
		Arr      [2]int8
		Zero     [0]int
		F        float64
		U        uint32
		P        *int
		M        map[word]octets
		S        words
		Ok       bool
	}
	array struct {
		//lint:ignore U1000 the library reads its tag
		_msgpack struct{} `msgpack:",as_array"`
		A        int
		B        string
	}
	interned struct {
		A, B string `msgpack:",intern"`
	}
	pointing struct {
		*Inner
		C int
	}
	clashing struct {
		Inner
		A string
	}
	insisting struct {
		money `msgpack:",inline"`
		N     int
	}
	secretly struct {
		A int
		//lint:ignore U1000 it is not stored
		b int
		C int `msgpack:"-"`
	}
	leaving struct {
		Price money    `msgpack:",omitempty"`
		Many  *big.Int `msgpack:",omitempty"`
	}
	custom struct {
		ID    uuid.UUID
		Addr  netip.Addr
		N     *big.Int
		Price money
		Mark  mark
		Marks []mark
		Pair  pair
		Raw   raw
		Tally tally
		By    map[money]mark
		After string
	}
)

func (m money) MarshalText() ([]byte, error)            { return json.Marshal(m.cents) }
func (m *money) UnmarshalText(b []byte) error           { return json.Unmarshal(b, &m.cents) }
func (m *mark) MarshalText() ([]byte, error)            { return json.Marshal(m.N) }
func (m *mark) UnmarshalText(b []byte) error            { return json.Unmarshal(b, &m.N) }
func (p pair) EncodeMsgpack(e *msgpack.Encoder) error   { return e.EncodeMulti(p.A, p.B) }
func (p *pair) DecodeMsgpack(d *msgpack.Decoder) error  { return d.DecodeMulti(&p.A, &p.B) }
func (t tally) EncodeMsgpack(e *msgpack.Encoder) error  { return e.Encode(t.n) }
func (t *tally) DecodeMsgpack(d *msgpack.Decoder) error { return d.Decode(&t.n) }
func (r raw) MarshalMsgpack() ([]byte, error)           { return msgpack.Marshal(r.N) }
func (r *raw) UnmarshalMsgpack(b []byte) error          { return msgpack.Unmarshal(b, &r.N) }
func (l level) IsZero() bool                            { return l == 7 }

var shapes = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int16](),
	reflect.TypeFor[int32](), reflect.TypeFor[int64](), reflect.TypeFor[uint](), reflect.TypeFor[uint8](),
	reflect.TypeFor[uint16](), reflect.TypeFor[uint32](), reflect.TypeFor[uint64](), reflect.TypeFor[float32](),
	reflect.TypeFor[float64](), reflect.TypeFor[string](), reflect.TypeFor[[]byte](), reflect.TypeFor[[3]byte](),
	reflect.TypeFor[time.Time](), reflect.TypeFor[time.Duration](), reflect.TypeFor[word](), reflect.TypeFor[words](),
	reflect.TypeFor[octets](), reflect.TypeFor[ratio](), reflect.TypeFor[level](), reflect.TypeFor[struct{}](),
	reflect.TypeFor[[]string](), reflect.TypeFor[map[string]string](), reflect.TypeFor[map[string]bool](),
	reflect.TypeFor[map[int]string](), reflect.TypeFor[map[word]float64](), reflect.TypeFor[map[uint8]pair](),
	reflect.TypeFor[Inner](), reflect.TypeFor[node](), reflect.TypeFor[order](), reflect.TypeFor[embedding](),
	reflect.TypeFor[nesting](), reflect.TypeFor[array](), reflect.TypeFor[interned](), reflect.TypeFor[secretly](),
	reflect.TypeFor[leaving](), reflect.TypeFor[custom](), reflect.TypeFor[money](), reflect.TypeFor[mark](),
	reflect.TypeFor[tally](), reflect.TypeFor[uuid.UUID](), reflect.TypeFor[big.Int](),
}

// keys are types of keys of maps.
var keys = []reflect.Type{
	reflect.TypeFor[string](), reflect.TypeFor[word](), reflect.TypeFor[int](), reflect.TypeFor[uint16](),
	reflect.TypeFor[money](), reflect.TypeFor[[2]int8](), reflect.TypeFor[uuid.UUID](), reflect.TypeFor[bool](),
}

func drawType(t *rapid.T, depth int) reflect.Type {
	if depth == 0 {
		return rapid.SampledFrom(shapes).Draw(t, "shape")
	}
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0:
		return reflect.SliceOf(drawType(t, depth-1))
	case 1:
		return reflect.ArrayOf(rapid.IntRange(0, 3).Draw(t, "len"), drawType(t, depth-1))
	case 2:
		return reflect.PointerTo(drawType(t, depth-1))
	case 3:
		return reflect.MapOf(rapid.SampledFrom(keys).Draw(t, "key"), drawType(t, depth-1))
	case 4:
		return drawStruct(t, depth)
	default:
		return drawType(t, 0)
	}
}

// tags have a % for the name of their field, so that no two fields share one.
var tags = []string{"", "", "", `msgpack:"x%"`, `msgpack:"y%,omitempty"`, `msgpack:",omitempty"`, `msgpack:"%,alias:z%"`, `msgpack:"-"`, `json:"j"`}

func drawStruct(t *rapid.T, depth int) reflect.Type {
	var fields []reflect.StructField
	for _, name := range []string{"F", "G", "H", "I"}[:rapid.IntRange(0, 4).Draw(t, "fields")] {
		tag := strings.ReplaceAll(rapid.SampledFrom(tags).Draw(t, "tag"), "%", name)
		fields = append(fields, reflect.StructField{Name: name, Type: drawType(t, depth-1), Tag: reflect.StructTag(tag)})
	}
	if rapid.Bool().Draw(t, "embeds") {
		fields = append(fields, reflect.StructField{Name: "Inner", Type: reflect.TypeFor[Inner](), Anonymous: true})
	}
	return reflect.StructOf(fields)
}

// filler makes values that come back from the library as they were.
type filler struct {
	*rapid.T
	entries int // of a map, at most
}

var bounds = []int64{0, 0, 1, -1, 31, -32, -33, 127, 128, -128, -129, 255, 256, math.MaxInt16, math.MinInt16, math.MaxUint16,
	math.MaxInt32, math.MinInt32, math.MaxUint32, math.MaxInt64, math.MinInt64}

func (f filler) fill(v reflect.Value) {
	switch it := v.Addr().Interface().(type) {
	case *time.Time:
		f.time(it)
		return
	case *big.Int:
		it.SetInt64(int64(f.n(100)) + 1)
		return
	case *money:
		it.cents = f.n(100)
		return
	case *tally:
		it.n = map[string]int{"a": f.n(9)}
		return
	case *node:
		*it = node{Name: f.text(), Next: &node{Name: "b"}, Kids: []node{{Name: "c"}}, All: map[string]*node{"d": {}}}
		return
	case *netip.Addr:
		*it = netip.AddrFrom4([4]byte{127, 0, 0, byte(f.n(255))})
		return
	case *clashing:
		it.A = f.text()
		return
	}
	f.fillKind(v)
}

func (f filler) n(most int) int { return rapid.IntRange(0, most).Draw(f.T, "n") }

func (f filler) text() string {
	if f.n(20) == 0 {
		return string(make([]byte, []int{31, 32, 255, 256, 65535, 65536}[f.n(5)]))
	}
	return rapid.StringN(0, 40, -1).Draw(f.T, "text")
}

func (f filler) time(at *time.Time) {
	switch sec := rapid.SampledFrom(bounds).Draw(f.T, "second"); f.n(2) {
	case 0:
		*at = time.Time{}
	case 1:
		*at = time.Unix(int64(int32(sec)), 0)
	default:
		*at = time.Unix(sec>>28, int64(f.n(999_999_999)))
	}
}

func (f filler) fillKind(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(f.n(1) == 1)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(rapid.SampledFrom(bounds).Draw(f.T, "int") << (64 - v.Type().Bits()) >> (64 - v.Type().Bits()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(rapid.SampledFrom(bounds).Draw(f.T, "uint")) << (64 - v.Type().Bits()) >> (64 - v.Type().Bits()))
	case reflect.Float32:
		v.SetFloat(float64(rapid.Float32().Draw(f.T, "float")))
	case reflect.Float64:
		v.SetFloat(rapid.Float64().Draw(f.T, "float"))
	case reflect.String:
		v.SetString(f.text())
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.Anonymous && !field.IsExported() {
				f.fillKind(v.Field(i))
			} else if field.IsExported() && field.Tag.Get("msgpack") != "-" {
				f.fill(v.Field(i))
			}
		}
	default:
		f.fillMany(v)
	}
}

// fillMany leaves slices, maps and pointers nil, empty or with content. What is behind a pointer to
// one of them is not nil, which would come back as a nil pointer.
func (f filler) fillMany(v reflect.Value) {
	n := f.n(4)
	switch v.Kind() {
	case reflect.Array:
		for i := range v.Len() {
			f.fill(v.Index(i))
		}
	case reflect.Pointer:
		if n > 1 {
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(v.Elem())
			if e := v.Elem(); (e.Kind() == reflect.Pointer || e.Kind() == reflect.Slice || e.Kind() == reflect.Map) && e.IsNil() {
				v.SetZero()
			}
		}
	case reflect.Slice:
		if n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n-1, n-1))
		}
		if n == 4 && f.n(20) == 0 && v.Type().Elem().Size() < 9 {
			v.Set(reflect.MakeSlice(v.Type(), 70_000, 70_000))
			return
		}
		for i := range v.Len() {
			f.fill(v.Index(i))
		}
	case reflect.Map:
		if n > 0 {
			v.Set(reflect.MakeMap(v.Type()))
		}
		for range min(n-1, f.entries) {
			key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			f.fill(key)
			f.fill(elem)
			v.SetMapIndex(key, elem)
		}
	}
}
