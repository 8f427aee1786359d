package plan

import (
	"encoding/json"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"testing"
	"time"
	"unsafe"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

type (
	money struct{ cents int } // marshals itself as text
	mark  struct{ N int }     // marshals itself by its pointer
	half  struct{ N int }     // writes itself, and cannot read it
	deaf  struct{ N int }     // reads as text what it does not write as text
	wide  struct{ N int }     // reads JSON on its own terms
	plain struct{ A, B int }
	lower struct{ A int }
	tags  []string
	noise struct{}
	node  struct {
		Name string
		Next *node
		All  map[string][]node
	}
	packed struct{ n int } // for msgpack only
	pair   struct{ A, B string }
)

func (m money) MarshalText() ([]byte, error)            { return json.Marshal(m.cents) }
func (m *money) UnmarshalText(b []byte) error           { return json.Unmarshal(b, &m.cents) }
func (m *mark) MarshalText() ([]byte, error)            { return json.Marshal(m.N) }
func (m *mark) UnmarshalText(b []byte) error            { return json.Unmarshal(b, &m.N) }
func (half) MarshalJSON() ([]byte, error)               { return []byte(`"half"`), nil }
func (*deaf) UnmarshalText([]byte) error                { return nil }
func (w *wide) UnmarshalJSON(b []byte) error            { return json.Unmarshal(b, (*struct{ N int })(w)) }
func (p packed) EncodeMsgpack(e *msgpack.Encoder) error { return e.EncodeInt(int64(p.n)) }
func (p *packed) DecodeMsgpack(d *msgpack.Decoder) error {
	n, err := d.DecodeInt()
	p.n = n
	return err
}

func TestTypesThatComeBackWhole(t *testing.T) {
	for name, typ := range map[string]*Type{
		"int":                   TypeOf[int](),
		"string":                TypeOf[string](),
		"bytes":                 TypeOf[[]byte](),
		"nothing":               TypeOf[struct{}](),
		"struct":                TypeOf[plain](),
		"pointer":               TypeOf[*plain](),
		"time":                  TypeOf[time.Time](),
		"duration":              TypeOf[time.Duration](),
		"uuid":                  TypeOf[struct{ ID uuid.UUID }](),
		"raw JSON":              TypeOf[struct{ Raw json.RawMessage }](),
		"big number":            TypeOf[struct{ N big.Int }](),
		"pointer to big number": TypeOf[map[string]*big.Int](),
		"address":               TypeOf[map[netip.Addr]int](),
		"recursive":             TypeOf[node](),
		"embedded": TypeOf[struct {
			plain
			C int
		}](),
		"embedded twice over": TypeOf[struct {
			Outer struct{ plain }
			A     int
		}](),
		"one embedded marshaller only": TypeOf[struct{ time.Time }](),
		"named marshaller": TypeOf[struct {
			At time.Time
			By string
		}](),
		"text":               TypeOf[struct{ Price money }](),
		"by pointer":         TypeOf[struct{ Marks [2]mark }](),
		"lone UnmarshalJSON": TypeOf[wide](),
		"integer keys":       TypeOf[map[uint8]plain](),
		"text keys":          TypeOf[map[uuid.UUID]bool](),
		"dropped on purpose": TypeOf[struct {
			A int
			b chan int `msgpack:"-"`
			C chan int `json:"-"`
		}](),
		"nothing to drop": TypeOf[struct {
			_ int
			_ noise
			n noise
			A int
		}](),
		"omitted when empty": TypeOf[struct {
			A plain     `msgpack:",omitempty"`
			B time.Time `msgpack:",omitempty"`
			C uuid.UUID `msgpack:",omitempty"`
		}](),
		"renamed": TypeOf[struct {
			A int `msgpack:"b" json:"b"`
			B int `msgpack:"a" json:"a"`
		}](),
		"not inlined": TypeOf[struct {
			Plain `msgpack:",noinline" json:"plain"`
			A     int
		}](),
	} {
		t.Run(name, func(t *testing.T) { require.NoError(t, typ.Check()) })
	}
}

type Plain plain

func TestTypesThatWouldLoseSomething(t *testing.T) {
	for name, c := range map[string]struct {
		typ  *Type
		want string
	}{
		"channel":         {TypeOf[struct{ Done chan int }](), "struct { Done chan int }.Done is a chan int, which has no encoding"},
		"function":        {TypeOf[func()](), "func() is a func(), which has no encoding"},
		"complex number":  {TypeOf[[]complex128](), "[]complex128[] is a complex128, which has no encoding"},
		"uintptr":         {TypeOf[uintptr](), "uintptr is a uintptr, which has no encoding"},
		"unsafe pointer":  {TypeOf[unsafe.Pointer](), "Pointer is a unsafe.Pointer, which has no encoding"},
		"any":             {TypeOf[any](), "is an interface (interface {}), and what it holds would come back as something else: use a concrete type"},
		"error":           {TypeOf[order](), "order.Items[].Price is an interface (error), and what it holds"},
		"values of a map": {TypeOf[map[string]any](), "map[string]interface {}[] is an interface"},
		"unexported":      {TypeOf[struct{ b int }](), "struct { b int }.b is not exported and would be dropped: export it, tag it `msgpack:\"-\"` if it may be dropped, or let struct { b int } marshal itself"},
		"embedded lower": {TypeOf[struct {
			tags
			N int
		}](), ".tags is not exported and would be dropped"},
		"embedded pointer": {TypeOf[struct{ *plain }](), ".plain is embedded as a pointer, and nil would not come back as nil: give the field a name"},
		"embedded time":    {TypeOf[stamp](), "stamp.Time is embedded and has MarshalBinary, which would stand for all of plan.stamp: give the field a name"},
		"embedded UUID": {TypeOf[struct {
			uuid.UUID
			N int
		}](), ".UUID is embedded and has MarshalBinary"},
		"embedded deeply": {TypeOf[struct {
			Dated
			N int
		}](), ".Dated is embedded and has MarshalBinary"},
		"embedded pointer to time": {TypeOf[struct{ *time.Time }](), ".Time is embedded and has MarshalBinary"},
		"embedded for JSON only": {TypeOf[struct {
			wide
			M int
		}](), ".wide is embedded and has UnmarshalJSON, which would stand for all of struct { plan.wide; M int }: give the field a name (with a JSON codec)"},
		"embedded for msgpack": {TypeOf[struct {
			packed
			M int
		}](), ".packed is embedded and has EncodeMsgpack"},
		"two embedded": {TypeOf[struct {
			plain
			lower
		}](), ".plain.A and struct { plan.plain; plan.lower }.lower.A are both stored as \"A\": give one of them another name"},
		"shadowed": {TypeOf[struct {
			plain
			A int
		}](), "are both stored as \"A\""},
		"one tag twice": {TypeOf[struct {
			A int `msgpack:"x"`
			B int `msgpack:"x"`
		}](), "are both stored as \"x\""},
		"one JSON tag twice": {&Type{Go: reflect.StructOf([]reflect.StructField{
			{Name: "A", Type: reflect.TypeFor[int](), Tag: `json:"x"`},
			{Name: "B", Type: reflect.TypeFor[int](), Tag: `json:"x"`},
		})}, "are both stored as \"x\": give one of them another name (with a JSON codec)"},
		"a tag and a name": {TypeOf[struct {
			A int `msgpack:"B"`
			B int
		}](), "are both stored as \"B\""},
		"an alias": {TypeOf[struct {
			A int `msgpack:",alias:B"`
			B int
		}](), "are both stored as \"B\""},
		"writes only":              {TypeOf[half](), "half (plan.half) has MarshalJSON but no UnmarshalJSON to match: give it both (with a JSON codec)"},
		"reads text only":          {TypeOf[deaf](), "deaf (plan.deaf) has UnmarshalText but no MarshalText: give it both"},
		"for msgpack only":         {TypeOf[packed](), "packed.n is not exported and would be dropped: export it, tag it `msgpack:\"-\"` if it may be dropped, or let plan.packed marshal itself (with a JSON codec)"},
		"URL with a password":      {TypeOf[url.URL](), "URL.User.username is not exported"},
		"pointer methods in a map": {TypeOf[map[string]mark](), "map[string]plan.mark[] (plan.mark) has MarshalText on its pointer only, which keys and values of maps do not reach: use *plan.mark"},
		"time as key":              {TypeOf[map[time.Time]int](), "map[time.Time]int[key] is a time.Time, which does not equal itself when it comes back: use its UnixNano"},
		"bool as key":              {TypeOf[map[bool]int](), "map[bool]int[key] is a bool, which cannot come back as a key: use a string, an integer, or what marshals itself as text"},
		"struct as key":            {TypeOf[map[pair]int](), "[key] is a plan.pair, which cannot come back as a key"},
		"pointer as key":           {TypeOf[map[*big.Int]int](), "[key] is a *big.Int, which cannot come back as a key"},
		"omitted always": {TypeOf[struct {
			Price money `msgpack:",omitempty"`
		}](), ".Price is tagged omitempty, and msgpack takes every plan.money for empty: give plan.money an IsZero method or leave omitempty out"},
		"bytes of its own": {TypeOf[[2]byt](), "[2]plan.byt is a [2]plan.byt, which msgpack cannot write: use bytes"},
		"generic":          {TypeOf[box[any]](), "box.It is an interface"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.typ.Check()
			require.ErrorContains(t, err, "a "+c.typ.String()+" could not come back whole from storage: ")
			require.ErrorContains(t, err, c.want)
		})
	}
}

type (
	order struct{ Items []struct{ Price error } }
	stamp struct {
		time.Time
		By string
	}
	Dated      struct{ time.Time }
	box[T any] struct{ It T }
)

func TestValuesThatMarshalThemselvesByPointerAreEncodedByPointer(t *testing.T) {
	type bill struct {
		Sum   big.Int
		Marks [1]mark
	}
	var in bill
	in.Sum.SetInt64(42)
	in.Marks[0].N = 7
	for name, c := range map[string]Codec{"msgpack": msgpackCodec{}, "JSON": jsonCodec{}} {
		t.Run(name, func(t *testing.T) {
			typ := TypeOf[bill]()
			data, err := typ.Encode(c, in)
			require.NoError(t, err)
			out, err := typ.Decode(c, data)
			require.NoError(t, err)
			require.Equal(t, in, out)
		})
	}
}
