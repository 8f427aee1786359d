package errcodec_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/skald-go/skald/errcodec"
	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

// The tree that is measured: a typed error under two %w, joined with a sentinel.
var errTaken = errors.New("shop: offer is taken")

type shortfall struct {
	Who        string
	Have, Need int
}

func (s *shortfall) Error() string {
	return s.Who + " lacks " + strconv.Itoa(s.Need-s.Have) + " points"
}

func measured() error {
	typed := &shortfall{Who: "alice", Have: 999, Need: 1000}
	return errors.Join(fmt.Errorf("buy pet 7: %w", fmt.Errorf("take points: %w", typed)), errTaken)
}

func encodeShortfall(enc *msgpack.Encoder, s *shortfall) error {
	return errors.Join(enc.EncodeString(s.Who), enc.EncodeInt(int64(s.Have)), enc.EncodeInt(int64(s.Need)))
}

func decodeShortfall(dec *msgpack.Decoder) (*shortfall, error) {
	s := new(shortfall)
	var errs [3]error
	s.Who, errs[0] = dec.DecodeString()
	s.Have, errs[1] = dec.DecodeInt()
	s.Need, errs[2] = dec.DecodeInt()
	return s, errors.Join(errs[:]...)
}

func shop() *errcodec.Codec {
	return errcodec.New(
		errcodec.Sentinel("shop.taken", errTaken),
		errcodec.Type("shop.shortfall", encodeShortfall, decodeShortfall),
	)
}

// record is what one writes who has no errcodec: the same data as structs.
type record struct {
	Key    string
	Text   string
	Points *shortfall `msgpack:",omitempty" json:",omitempty"`
	Causes []record   `msgpack:",omitempty" json:",omitempty"`
}

func toRecord(err error) record {
	r := record{Text: err.Error()}
	if err == errTaken {
		r.Key = "shop.taken"
		return r
	}
	switch err := err.(type) {
	case *shortfall:
		r.Key, r.Points = "shop.shortfall", err
	case interface{ Unwrap() error }:
		r.Causes = []record{toRecord(err.Unwrap())}
	case interface{ Unwrap() []error }:
		r.Key = "join"
		for _, cause := range err.Unwrap() {
			r.Causes = append(r.Causes, toRecord(cause))
		}
	}
	return r
}

type wrap struct {
	text  string
	cause error
}

func (w *wrap) Error() string { return w.text }
func (w *wrap) Unwrap() error { return w.cause }

func (r *record) toError() error {
	switch r.Key {
	case "shop.taken":
		return errTaken
	case "shop.shortfall":
		return r.Points
	case "join":
		errs := make([]error, len(r.Causes))
		for i := range r.Causes {
			errs[i] = r.Causes[i].toError()
		}
		return errors.Join(errs...)
	}
	return &wrap{text: r.Text, cause: r.Causes[0].toError()}
}

// rival is one way to turn the tree into bytes and back.
type rival struct {
	name   string
	encode func(error) []byte
	decode func([]byte) error
}

func rivals() []rival {
	codec := shop()
	return []rival{
		{"errcodec", codec.Encode, codec.Decode},
		{"msgpack", func(err error) []byte {
			r := toRecord(err)
			b, _ := msgpack.Marshal(&r)
			return b
		}, func(b []byte) error {
			var r record
			if err := msgpack.Unmarshal(b, &r); err != nil {
				return err
			}
			return r.toError()
		}},
		{"json", func(err error) []byte {
			r := toRecord(err)
			b, _ := json.Marshal(&r)
			return b
		}, func(b []byte) error {
			var r record
			if err := json.Unmarshal(b, &r); err != nil {
				return err
			}
			return r.toError()
		}},
		{"gob", func(err error) []byte {
			var b bytes.Buffer
			r := toRecord(err)
			_ = gob.NewEncoder(&b).Encode(&r)
			return b.Bytes()
		}, func(b []byte) error {
			var r record
			if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&r); err != nil {
				return err
			}
			return r.toError()
		}},
	}
}

func TestRivalsCarryTheSameTree(t *testing.T) {
	want := measured()
	for _, r := range rivals() {
		got := r.decode(r.encode(want))
		require.EqualError(t, got, want.Error(), r.name)
		require.ErrorIs(t, got, errTaken, r.name)
		var typed *shortfall
		require.ErrorAs(t, got, &typed, r.name)
		require.Equal(t, 999, typed.Have, r.name)
	}
}

// BenchmarkTree compares, in one run, ways to send one error alone.
func BenchmarkTree(b *testing.B) {
	tree := measured()
	for _, r := range rivals() {
		data := r.encode(tree)
		b.Run("both/"+r.name, func(b *testing.B) {
			b.ReportAllocs()
			b.ReportMetric(float64(len(data)), "bytes")
			for b.Loop() {
				_ = r.decode(r.encode(tree))
			}
		})
		b.Run("encode/"+r.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = r.encode(tree)
			}
		})
		b.Run("decode/"+r.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = r.decode(data)
			}
		})
	}
}

// BenchmarkRatio says how many times as long as errcodec the others take, both
// ways together. Rounds are interleaved, and the best of each counts, so that
// a busy machine changes little: use -benchtime 300x.
func BenchmarkRatio(b *testing.B) {
	tree, all := measured(), rivals()
	best := make([]time.Duration, len(all))
	for b.Loop() {
		for i, r := range all {
			took := round(r, tree)
			if best[i] == 0 || took < best[i] {
				best[i] = took
			}
		}
	}
	b.ReportMetric(float64(best[0])/perRound, "ns/errcodec")
	for i, r := range all[1:] {
		b.ReportMetric(float64(best[i+1])/float64(best[0]), "×"+r.name)
	}
	b.ReportMetric(0, "ns/op")
}

const perRound = 100

func round(r rival, tree error) time.Duration {
	begin := time.Now()
	for range perRound {
		_ = r.decode(r.encode(tree))
	}
	return time.Since(begin)
}

// BenchmarkEntries shows that the number of registered entries does not matter.
func BenchmarkEntries(b *testing.B) {
	tree := measured()
	for _, n := range []int{10, 10_000} {
		codec := shop().With(numbered(n)...)
		data := codec.Encode(tree)
		b.Run(fmt.Sprintf("encode/%d", n), func(b *testing.B) {
			for b.Loop() {
				_ = codec.Encode(tree)
			}
		})
		b.Run(fmt.Sprintf("decode/%d", n), func(b *testing.B) {
			for b.Loop() {
				_ = codec.Decode(data)
			}
		})
	}
}

// BenchmarkKinds shows what other errors cost, from error to bytes.
func BenchmarkKinds(b *testing.B) {
	codec := app()
	passing := new(errcodec.Codec).Decode(codec.Encode(&stage{"pay", &status{7, "typed"}}))
	for name, err := range map[string]error{
		"sentinel":          errDeclined,
		"wrapped sentinel":  fmt.Errorf("a: %w", errDeclined),
		"typed":             &status{7, "typed"},
		"foreign":           stranger{"strange"},
		"foreign with Is":   strangeIs{errDeclined},
		"wrapped foreign":   fmt.Errorf("a: %w", stranger{"strange"}),
		"foreign wrapper":   &strangeWrap{"a: ", stranger{"strange"}},
		"opaque, passed on": passing,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = codec.Encode(err)
			}
		})
	}
}
