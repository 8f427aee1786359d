package payload

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

type parcel struct {
	ID       string
	Customer string
	Address  string
	Cents    int
	Express  bool
	Placed   time.Time
	Items    []string
	Note     string
}

var aParcel = parcel{
	ID: "order-8d1c9d2e", Customer: "sigrid@example.org", Address: "Bryggen 12, 5003 Bergen", Cents: 129_900, Express: true,
	Placed: time.Unix(1_790_000_000, 123_456_789),
	Items:  []string{"sword", "shield", "two barrels of mead"},
	Note:   "leave it at the door, the dog is friendly",
}

// The library by itself, with an encoder that is kept, and this package.
func BenchmarkEncode(b *testing.B) {
	typ, v := Of(reflect.TypeFor[parcel]()), any(aParcel)
	want, err := byLibrary(&aParcel)
	require.NoError(b, err)
	b.SetBytes(int64(len(want)))
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := msgpack.Marshal(v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("pooled library", func(b *testing.B) {
		b.ReportAllocs()
		var buf bytes.Buffer
		for b.Loop() {
			buf.Reset()
			enc := msgpack.GetEncoder()
			enc.Reset(&buf)
			if err := enc.Encode(v); err != nil {
				b.Fatal(err)
			}
			msgpack.PutEncoder(enc)
		}
	})
	b.Run("compiled", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e := NewEncoder()
			if _, err := e.Encode(typ, v); err != nil {
				b.Fatal(err)
			}
			e.Free()
		}
	})
	b.Run("compiled with digest", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e := NewEncoder()
			if _, err := e.Encode(typ, v); err != nil {
				b.Fatal(err)
			}
			e.Digest()
			e.Free()
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	typ := Of(reflect.TypeFor[parcel]())
	data, err := byLibrary(&aParcel)
	require.NoError(b, err)
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var v parcel
			if err := msgpack.Unmarshal(data, &v); err != nil {
				b.Fatal(err)
			}
			sinkhole = v
		}
	})
	b.Run("compiled", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			v, err := typ.Decode(data)
			if err != nil {
				b.Fatal(err)
			}
			sinkhole = v
		}
	})
}

var sinkhole any

func BenchmarkMap(b *testing.B) {
	m := map[string]string{"trace": "8d1c9d2e", "user": "sigrid", "tenant": "bergen", "locale": "nb"}
	typ, v := Of(reflect.TypeFor[map[string]string]()), any(m)
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := msgpack.Marshal(v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("compiled", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e := NewEncoder()
			if _, err := e.Encode(typ, v); err != nil {
				b.Fatal(err)
			}
			e.Free()
		}
	})
}
