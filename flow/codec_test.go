package flow

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/step"
)

type purchase struct {
	Customer string
	Cents    int
	Items    []string
	Notes    map[string]int
}

var aPurchase = purchase{Customer: "sigrid", Cents: 1250, Items: []string{"sword", "mead"}, Notes: map[string]int{"gift": 1, "fragile": 2}}

// flated is what users do to codecs.
type flated struct{ Codec }

func (c flated) Marshal(v any) ([]byte, error) {
	plain, err := c.Codec.Marshal(v)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	w, _ := flate.NewWriter(&buf, flate.BestSpeed)
	_, _ = w.Write(plain)
	err = w.Close()
	return buf.Bytes(), err
}

func (c flated) Unmarshal(data []byte, v any) error {
	plain, err := io.ReadAll(flate.NewReader(bytes.NewReader(data)))
	if err != nil {
		return err
	}
	return c.Codec.Unmarshal(plain, v)
}

var (
	oldKey = Key{"2025", bytes.Repeat([]byte{1}, 16)}
	newKey = Key{"2026", bytes.Repeat([]byte{2}, 32)}
)

func ciphered(t testing.TB, inner Codec, keys ...Key) Codec {
	c, err := Cipher(inner, keys...)
	require.NoError(t, err)
	return c
}

// eachCodec runs a test with every kind of Codec.
func eachCodec(t *testing.T, test func(*testing.T, *payloads)) {
	for name, codec := range map[string]Codec{
		"default": nil, "msgpack": MsgPack(), "json": JSON(), "flated": flated{MsgPack()},
		"cipher": ciphered(t, nil, oldKey), "cipher of json": ciphered(t, JSON(), newKey), "cipher of flated": ciphered(t, flated{JSON()}, newKey),
	} {
		t.Run(name, func(t *testing.T) { test(t, newPayloads(codec)) })
	}
}

type (
	vault struct { // marshals itself by methods of its pointer
		N  big.Int
		ID uuid.UUID
	}
	chain struct {
		Name string
		Next *chain
	}
	tallies struct{ of map[int]string } // writes a map by itself
)

func (t tallies) EncodeMsgpack(e *msgpack.Encoder) error  { return e.Encode(t.of) }
func (t *tallies) DecodeMsgpack(d *msgpack.Decoder) error { return d.Decode(&t.of) }
func (t tallies) MarshalJSON() ([]byte, error)            { return json.Marshal(t.of) }
func (t *tallies) UnmarshalJSON(b []byte) error           { return json.Unmarshal(b, &t.of) }

func TestPayloadsComeBackAsTheyWere(t *testing.T) {
	eachCodec(t, func(t *testing.T, p *payloads) {
		comesBack(t, p, aPurchase)
		comesBack(t, p, &aPurchase)
		comesBack[*purchase](t, p, nil)
		comesBack(t, p, 42)
		comesBack(t, p, "text")
		comesBack(t, p, []byte{1, 2, 3})
		comesBack(t, p, struct{}{})
		comesBack(t, p, time.Minute)
		comesBack(t, p, []purchase{aPurchase, {}})
		comesBack(t, p, map[uuid.UUID]bool{{1}: true})
		comesBack(t, p, *big.NewInt(42))
		comesBack(t, p, vault{*big.NewInt(42), uuid.UUID{1, 2, 3}})
		comesBack(t, p, chain{"a", &chain{"b", nil}})
		comesBack(t, p, tallies{map[int]string{1: "a", 2: "b"}})
	})
}

func comesBack[T any](t *testing.T, p *payloads, v T) {
	t.Helper()
	typ := plan.TypeOf[T]()
	data, err := p.Append([]byte("head"), typ, v)
	require.NoError(t, err)
	require.Equal(t, "head", string(data[:4]))
	back, err := p.Decode(typ, data[4:])
	require.NoError(t, err)
	clear(data)
	require.IsType(t, v, back)
	require.Equal(t, any(v), back)
}

func TestTimesComeBackAsTheSameMoment(t *testing.T) {
	eachCodec(t, func(t *testing.T, p *payloads) {
		for _, at := range []time.Time{{}, time.Unix(1_790_000_000, 123_456_789), time.Date(1066, 9, 25, 0, 0, 0, 0, time.UTC)} {
			data, err := p.Append(nil, plan.TypeOf[time.Time](), at)
			require.NoError(t, err)
			back, err := p.Decode(plan.TypeOf[time.Time](), data)
			require.NoError(t, err)
			assert.True(t, at.Equal(back.(time.Time)), "%v, not %v", back, at)
		}
	})
}

func TestFieldsMayComeAndGo(t *testing.T) {
	type before struct{ A, B int }
	type after struct {
		C []string
		B int
	}
	eachCodec(t, func(t *testing.T, p *payloads) {
		data, err := p.Append(nil, plan.TypeOf[before](), before{1, 2})
		require.NoError(t, err)
		back, err := p.Decode(plan.TypeOf[after](), data)
		require.NoError(t, err)
		assert.Equal(t, after{B: 2}, back)
	})
}

func TestEqualValuesHaveEqualDigests(t *testing.T) {
	eachCodec(t, func(t *testing.T, p *payloads) {
		sameDigest(t, p, func(m map[int]string) map[int]string { return m })
		sameDigest(t, p, func(m map[int]string) []map[int]string { return []map[int]string{m, m} })
		if _, wrapped := p.codec.(flated); wrapped {
			return // what a type writes by itself is sorted for digests only, which MsgPack does not make here
		}
		sameDigest(t, p, func(m map[int]string) tallies { return tallies{m} })
		sameDigest(t, p, func(m map[int]string) map[uuid.UUID]tallies {
			return map[uuid.UUID]tallies{{1}: {m}, {2}: {}, {3}: {m}}
		})
	})
}

// sameDigest makes equal values out of equal maps that were filled in different orders.
func sameDigest[T any](t *testing.T, p *payloads, of func(map[int]string) T) {
	t.Helper()
	typ := plan.TypeOf[T]()
	var digests [][32]byte
	for round := range 8 {
		m := map[int]string{}
		for i := range 20 {
			m[(i*7+round)%20] = fmt.Sprint((i*7 + round) % 20)
		}
		data, digest, err := p.AppendDigest([]byte("head"), typ, of(m))
		require.NoError(t, err)
		back, err := p.Decode(typ, data[4:])
		require.NoError(t, err)
		require.Equal(t, any(of(m)), back)
		digests = append(digests, digest)
		require.Equal(t, digests[0], digest, "%T", of(m))
	}
	_, other, err := p.AppendDigest(nil, typ, of(map[int]string{1: "other"}))
	require.NoError(t, err)
	require.NotEqual(t, digests[0], other)
}

func TestDigestIsOfThePlainBytes(t *testing.T) {
	typ := plan.TypeOf[purchase]()
	_, plain, err := newPayloads(nil).AppendDigest(nil, typ, aPurchase)
	require.NoError(t, err)
	_, sealed, err := newPayloads(ciphered(t, nil, oldKey)).AppendDigest(nil, typ, aPurchase)
	require.NoError(t, err)
	assert.Equal(t, plain, sealed)
}

// sick fails to encode itself and to decode itself, as its text says.
type sick string

var errSick = errors.New("it is sick")

func (s sick) MarshalText() ([]byte, error) {
	switch s {
	case "panics":
		panic(errSick)
	case "fails":
		return nil, errSick
	}
	return []byte(s), nil
}

func (s *sick) UnmarshalText(text []byte) error {
	switch string(text) {
	case "panics later":
		panic(errSick)
	case "fails later":
		return errSick
	}
	return nil
}

func TestErrorsOfMarshallersAreReported(t *testing.T) {
	typ := plan.TypeOf[struct{ It sick }]()
	eachCodec(t, func(t *testing.T, p *payloads) {
		for _, s := range []sick{"fails", "panics"} {
			_, err := p.Append(nil, typ, struct{ It sick }{s})
			require.ErrorIs(t, err, errSick)
			_, _, err = p.AppendDigest(nil, typ, struct{ It sick }{s})
			require.ErrorIs(t, err, errSick)
			_, panicked := errors.AsType[*step.PanicError](err)
			assert.Equal(t, s == "panics", panicked)
		}
		for _, s := range []sick{"fails later", "panics later"} {
			data, err := p.Append(nil, typ, struct{ It sick }{s})
			require.NoError(t, err)
			_, err = p.Decode(typ, data)
			require.ErrorIs(t, err, errSick)
		}
	})
}

func TestAnotherTypeIsNotEncoded(t *testing.T) {
	_, err := newPayloads(nil).Append(nil, plan.TypeOf[int](), "text")
	assert.EqualError(t, err, "it is a string")
}

func TestDecodeErrorsQuoteNothing(t *testing.T) {
	type in struct {
		Name string
		Nums map[string]float64
	}
	type out struct {
		Name int
		Nums map[string]int8
	}
	for _, v := range []in{{Name: "secret"}, {Nums: map[string]float64{"secret": 4711}}} {
		eachCodec(t, func(t *testing.T, p *payloads) {
			data, err := p.Append(nil, plan.TypeOf[in](), v)
			require.NoError(t, err)
			_, err = p.Decode(plan.TypeOf[out](), data)
			require.ErrorContains(t, err, "decode flow.out: ")
			assert.NotContains(t, err.Error(), "secret")
			assert.NotContains(t, err.Error(), "4711")
		})
	}
}

func TestJSONErrorsSayWhere(t *testing.T) {
	err := JSON().Unmarshal([]byte(`{"Cents": 1.5}`), &purchase{})
	assert.EqualError(t, err, "json: there is a value of kind number at byte 13 where a int should be")
	err = JSON().Unmarshal([]byte(`{"Cents": `), &purchase{})
	assert.ErrorContains(t, err, "unexpected end of JSON input")
}

func TestMsgPackAsACodec(t *testing.T) {
	data, err := MsgPack().Marshal(aPurchase)
	require.NoError(t, err)
	again, err := MsgPack().Marshal(aPurchase)
	require.NoError(t, err)
	assert.Equal(t, data, again)
	var back purchase
	require.NoError(t, MsgPack().Unmarshal(data, &back))
	assert.Equal(t, aPurchase, back)
	var byLibrary purchase
	require.NoError(t, msgpack.Unmarshal(data, &byLibrary))
	assert.Equal(t, aPurchase, byLibrary)
}

func TestSealAndOpen(t *testing.T) {
	eachCodec(t, func(t *testing.T, p *payloads) {
		data, err := p.Seal([]byte("head"), []byte("an error"))
		require.NoError(t, err)
		require.Equal(t, "head", string(data[:4]))
		assert.Equal(t, p.seals(), !strings.Contains(string(data), "an error"))
		back, err := p.Open(data[4:])
		require.NoError(t, err)
		assert.Equal(t, "an error", string(back))
	})
}

// What is decoded may be anything: it is a value or an error, and never more than a multiple of the data.
func FuzzDecodePayload(f *testing.F) {
	types := []*plan.Type{
		plan.TypeOf[purchase](), plan.TypeOf[vault](), plan.TypeOf[chain](), plan.TypeOf[tallies](), plan.TypeOf[time.Time](),
		plan.TypeOf[map[uuid.UUID][]*purchase](), plan.TypeOf[[]struct{ A [4]int16 }](), plan.TypeOf[big.Int](),
	}
	plain := newPayloads(nil)
	codecs := []*payloads{plain, newPayloads(JSON()), newPayloads(ciphered(f, nil, oldKey))}
	for i, v := range []any{aPurchase, vault{}, chain{"a", &chain{}}, tallies{map[int]string{1: "a"}}, time.Unix(1, 1)} {
		for c, p := range codecs {
			data, err := p.Append(nil, types[i], v)
			require.NoError(f, err)
			f.Add(uint8(i), uint8(c), data)
		}
	}
	f.Add(uint8(5), uint8(0), []byte{0xdf, 0xff, 0xff, 0xff, 0xff})
	f.Add(uint8(7), uint8(0), []byte{0xc6, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add(uint8(3), uint8(0), bytes.Repeat([]byte{0x91}, 20_000))
	f.Fuzz(func(t *testing.T, typ, codec uint8, data []byte) {
		wanted, p := types[int(typ)%len(types)], codecs[int(codec)%len(codecs)]
		v, err := p.Decode(wanted, data)
		if err != nil {
			return
		}
		require.Equal(t, wanted.Go, reflect.TypeOf(v))
		_, err = p.Append(nil, wanted, v)
		require.NoError(t, err, "%#v", v)
	})
}

func BenchmarkAppend(b *testing.B) {
	typ := plan.TypeOf[purchase]()
	for _, bench := range []struct {
		name  string
		codec Codec
	}{{"msgpack", nil}, {"json", JSON()}, {"cipher", ciphered(b, nil, newKey)}} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			p, buf, v := newPayloads(bench.codec), []byte(nil), any(aPurchase)
			for b.Loop() {
				var err error
				if buf, _, err = p.AppendDigest(buf[:0], typ, v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
