package errcodec_test

import (
	"testing"

	"github.com/skald-go/skald/errcodec"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// FuzzDecode gives any bytes to a process that knows everything and to one
// that knows nothing.
func FuzzDecode(f *testing.F) {
	knows, none := goldenCodec().With(faultyEntry(), nestedEntry()), errcodec.New()
	for _, err := range goldens() {
		f.Add(knows.Encode(err))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, codec := range []*errcodec.Codec{knows, none} {
			requireUsable(t, codec, data)
			requireStable(t, codec, data)
		}
	})
}

// requireStable checks that what was decoded travels like any error. Beyond a
// certain size it may be cut.
func requireStable(t *testing.T, codec *errcodec.Codec, data []byte) {
	if len(data) > 4<<10 {
		return
	}
	once := codec.Encode(codec.Decode(data))
	requireSameBytes(t, once, codec.Encode(codec.Decode(once)))
}

// FuzzEncode sends generated trees through processes that know everything,
// something and nothing.
func FuzzEncode(f *testing.F) {
	codec, something, nothing := app(), errcodec.New(appEntries()[:4]...), errcodec.New()
	small := app().With(errcodec.Bounds(errcodec.Limits{Bytes: 512, Nodes: 7}))
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) {
		want := trees(levels).Draw(t, "tree")
		data := codec.Encode(want)
		for _, middle := range []*errcodec.Codec{codec, something, nothing} {
			passed := middle.Decode(data)
			requireSameTree(t, want, passed)
			requireSameBytes(t, data, middle.Encode(passed))
		}
		requireSameAnswers(t, want, codec.Decode(data))
		requireSmall(t, small, want)
	}))
}

// requireSmall checks a codec that must cut most trees.
func requireSmall(t tester, codec *errcodec.Codec, err error) {
	data := codec.Encode(err)
	require.LessOrEqual(t, len(data), 512)
	var unreadable *errcodec.Unreadable
	require.NotErrorAs(t, codec.Decode(data), &unreadable)
}
