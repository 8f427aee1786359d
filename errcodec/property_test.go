package errcodec_test

import (
	"errors"
	"testing"

	"github.com/skald-go/skald/errcodec"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const levels = 4

func TestDecodedTreeHasSameTextsAndShape(t *testing.T) {
	codec := app()
	rapid.Check(t, func(t *rapid.T) {
		want := trees(levels).Draw(t, "tree")
		requireSameTree(t, want, codec.Decode(codec.Encode(want)))
	})
}

func TestDecodedTreeAnswersIsAndAsAlike(t *testing.T) {
	codec := app()
	rapid.Check(t, func(t *rapid.T) {
		want := trees(levels).Draw(t, "tree")
		requireSameAnswers(t, want, codec.Decode(codec.Encode(want)))
	})
}

func TestDecodedTreeEncodesToSameBytes(t *testing.T) {
	codec := app()
	rapid.Check(t, func(t *rapid.T) {
		data := codec.Encode(trees(levels).Draw(t, "tree"))
		require.Equal(t, data, codec.Encode(codec.Decode(data)))
	})
}

func TestProcessThatKnowsLessLosesNothing(t *testing.T) {
	codec := app()
	rapid.Check(t, func(t *rapid.T) {
		want := trees(levels).Draw(t, "tree")
		data := codec.Encode(want)
		known := rapid.SliceOfDistinct(rapid.IntRange(0, len(appEntries())-1), func(i int) int { return i }).Draw(t, "known")
		var some []errcodec.Entry
		for _, i := range known {
			some = append(some, appEntries()[i])
		}
		middle := errcodec.New(some...)
		passed := middle.Decode(data)
		requireSameTree(t, want, passed)
		require.Equal(t, data, middle.Encode(passed))
	})
}

func TestTreeInsideAnotherPassesThroughProcessThatKnowsNothing(t *testing.T) {
	codec := app()
	var middle *errcodec.Codec
	rapid.Check(t, func(t *rapid.T) {
		want := trees(2).Draw(t, "tree")
		passed := &strangeWrap{texts().Draw(t, "text"), middle.Decode(codec.Encode(want))}
		got := codec.Decode(middle.Encode(passed))
		requireSameTree(t, passed, got)
		requireSameAnswers(t, want, got)
	})
}

func TestEncodingIsDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := trees(levels).Draw(t, "tree")
		data := app().Encode(tree)
		require.Equal(t, data, app().Encode(tree))
		require.Equal(t, append([]byte("before"), data...), app().Append([]byte("before"), tree))
	})
}

func TestAnyChangeOfBytesGivesUsableError(t *testing.T) {
	codec := app()
	rapid.Check(t, func(t *rapid.T) {
		data := codec.Encode(trees(levels).Draw(t, "tree"))
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			data[rapid.IntRange(0, len(data)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		data = data[:rapid.IntRange(1, len(data)).Draw(t, "length")]
		requireUsable(t, codec, data)
	})
}

// requireUsable checks what holds for any bytes.
func requireUsable(t tester, codec *errcodec.Codec, data []byte) {
	t.Helper()
	err := codec.Decode(data)
	if len(data) == 0 {
		require.NoError(t, err)
		return
	}
	require.Error(t, err)
	_ = err.Error()
	requireAnswers(err)
	again := codec.Encode(err)
	require.NotEmpty(t, again)
	_ = codec.Decode(again)
}

// requireAnswers walks a tree as callers do; it must not panic.
func requireAnswers(err error) {
	for _, target := range targets {
		_ = errors.Is(err, target)
	}
	var s *status
	_ = errors.As(err, &s)
}
