package errcodec

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

type points struct {
	have, need int
	who        string
}

func (p *points) Error() string { return fmt.Sprintf("%s has %d of %d points", p.who, p.have, p.need) }

type foreign struct{ err error }

func (f foreign) Error() string { return "foreign: " + f.err.Error() }
func (f foreign) Unwrap() error { return f.err }

var errDeclined = errors.New("bank: card declined")

func pointsEntry() Entry {
	return Type("shop.points", func(enc *msgpack.Encoder, p *points) error {
		enc.EncodeInt(int64(p.have))
		enc.EncodeInt(int64(p.need))
		return enc.EncodeString(p.who)
	}, func(dec *msgpack.Decoder) (*points, error) {
		var p points
		var err error
		p.have, _ = dec.DecodeInt()
		p.need, _ = dec.DecodeInt()
		p.who, err = dec.DecodeString()
		return &p, err
	})
}

func TestSmoke(t *testing.T) {
	c := New(Sentinel("bank.declined", errDeclined), pointsEntry())
	tree := errors.Join(fmt.Errorf("a: %w", fmt.Errorf("b: %w", &points{1, 2, "bob"})), errDeclined, foreign{foreign{io.EOF}})
	b := c.Encode(tree)
	t.Logf("%d %q", len(b), b)
	back := c.Decode(b)
	require.Equal(t, tree.Error(), back.Error())
	require.ErrorIs(t, back, errDeclined)
	var p *points
	require.ErrorAs(t, back, &p)
	require.Equal(t, b, c.Encode(back))
	var none *Codec
	far := none.Decode(b)
	require.Equal(t, b, none.Encode(far))
	require.NoError(t, c.Decode(nil))
	require.Nil(t, c.Encode(nil))
}

func BenchmarkSmoke(b *testing.B) {
	c := New(Sentinel("bank.declined", errDeclined), pointsEntry())
	tree := errors.Join(fmt.Errorf("a: %w", fmt.Errorf("b: %w", &points{1, 2, "bob"})), errDeclined)
	data := c.Encode(tree)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.Encode(tree)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.Decode(data)
		}
	})
	f := error(foreign{foreign{errDeclined}})
	b.Run("foreign", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.Encode(f)
		}
	})
}
