package flow

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/internal/plan"
)

type purchase struct {
	Customer string
	Cents    int
	Items    []string
	Notes    map[string]int
}

var aPurchase = purchase{Customer: "sigrid", Cents: 1250, Items: []string{"sword", "mead"}, Notes: map[string]int{"gift": 1, "fragile": 2}}

func codecs(t *testing.T) map[string]Codec {
	sealed, err := Cipher(nil, Key{"old", bytes.Repeat([]byte{1}, 16)})
	require.NoError(t, err)
	sealedJSON, err := Cipher(JSON(), Key{"new", bytes.Repeat([]byte{2}, 32)})
	require.NoError(t, err)
	return map[string]Codec{"default": nil, "msgpack": MsgPack(), "json": JSON(), "cipher": sealed, "json cipher": sealedJSON}
}

func TestPayloadsComeBack(t *testing.T) {
	typ := plan.TypeOf[purchase]()
	for name, codec := range codecs(t) {
		t.Run(name, func(t *testing.T) {
			p := newPayloads(codec)
			data, err := p.Append([]byte("head"), typ, aPurchase)
			require.NoError(t, err)
			require.Equal(t, "head", string(data[:4]))
			back, err := p.Decode(typ, data[4:])
			require.NoError(t, err)
			assert.Equal(t, aPurchase, back)
		})
	}
}

func TestSealAndOpen(t *testing.T) {
	for name, codec := range codecs(t) {
		t.Run(name, func(t *testing.T) {
			p := newPayloads(codec)
			data, err := p.Seal([]byte("head"), []byte("an error"))
			require.NoError(t, err)
			back, err := p.Open(data[4:])
			require.NoError(t, err)
			assert.Equal(t, "an error", string(back))
		})
	}
}
