package errcodec_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/skald-go/skald/errcodec"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

// faulty has functions that fail in every way.
type faulty struct{ how string }

func (f *faulty) Error() string { return "faulty: " + f.how }

func faultyEntry() errcodec.Entry {
	return errcodec.Type("test.faulty", func(enc *msgpack.Encoder, f *faulty) error {
		switch f.how {
		case "encode fails":
			return errors.New("cannot")
		case "encode panics":
			panic("cannot")
		case "encode writes too much":
			for range 100_000 {
				_ = enc.EncodeString(f.how)
			}
		case "encode writes no msgpack":
			_, err := enc.Writer().Write([]byte{0xc1})
			return err
		}
		return enc.EncodeString(f.how)
	}, func(dec *msgpack.Decoder) (*faulty, error) {
		how, err := dec.DecodeString()
		switch how {
		case "decode fails":
			return nil, errors.New("cannot")
		case "decode panics":
			panic("cannot")
		case "decode gives nil":
			return nil, nil
		case "decode reads too much":
			return new(faulty), dec.DecodeMulti(&how, &how)
		}
		return &faulty{how}, err
	})
}

func TestFunctionsThatFail(t *testing.T) {
	codec := errcodec.New(append(appEntries(), faultyEntry())...)
	for how, why := range map[string]string{
		"encode fails":             `encoding "test.faulty" failed: cannot`,
		"encode panics":            `encoding "test.faulty" panicked: cannot`,
		"encode writes too much":   "too large",
		"encode writes no msgpack": "no msgpack values",
		"decode fails":             "decoding *errcodec_test.faulty: cannot",
		"decode panics":            "decoding *errcodec_test.faulty panicked: cannot",
		"decode gives nil":         "decoding *errcodec_test.faulty gave nil",
		"decode reads too much":    "decoding *errcodec_test.faulty: EOF",
	} {
		t.Run(how, func(t *testing.T) {
			want := fmt.Errorf("a: %w", errors.Join(&faulty{how}, errDeclined))
			data := codec.Encode(want)
			got := codec.Decode(data)
			requireSameTree(t, want, got)
			require.ErrorIs(t, got, errDeclined)
			var opaque *errcodec.Opaque
			require.ErrorAs(t, got, &opaque)
			assert.Contains(t, opaque.Why(), why)
			assert.True(t, bytes.Equal(data, codec.Encode(got)), "the same bytes again")
		})
	}
	requireSameTree(t, &faulty{"not at all"}, trip(codec, &faulty{"not at all"}))
}
