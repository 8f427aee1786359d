package errcodec_test

import (
	"errors"
	"fmt"
	"runtime/debug"
	"testing"

	"github.com/skald-go/skald/errcodec"
	"github.com/stretchr/testify/assert"
)

// allocs counts without the garbage collector, which empties pools.
func allocs(t *testing.T, f func()) float64 {
	if raceEnabled {
		t.Skip("the race detector empties pools")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	return testing.AllocsPerRun(100, f)
}

func TestEncodingAllocatesTheResultOnly(t *testing.T) {
	codec, tree := app(), errors.Join(fmt.Errorf("a: %w", fmt.Errorf("b: %w", &status{7, "typed"})), errDeclined)
	assert.LessOrEqual(t, allocs(t, func() { codec.Encode(tree) }), 1.0)
	buf := make([]byte, 0, 1024)
	assert.LessOrEqual(t, allocs(t, func() { codec.Append(buf, tree) }), 0.0)
}

func TestMeasuredTreeAllocatesAtMostThreeTimes(t *testing.T) {
	codec, tree := shop(), measured()
	assert.LessOrEqual(t, allocs(t, func() { codec.Encode(tree) }), 3.0)
}

func TestDecodingAllocatesWhatItReturns(t *testing.T) {
	codec := shop()
	data := codec.Encode(measured())
	assert.LessOrEqual(t, allocs(t, func() { _ = codec.Decode(data) }), 8.0)
}

func TestAllocationsDoNotDependOnTheNumberOfEntries(t *testing.T) {
	tree := measured()
	few, many := shop(), shop().With(numbered(10_000)...)
	assert.Equal(t, allocs(t, func() { few.Encode(tree) }), allocs(t, func() { many.Encode(tree) }))
	data := few.Encode(tree)
	assert.Equal(t, allocs(t, func() { _ = few.Decode(data) }), allocs(t, func() { _ = many.Decode(data) }))
}

func numbered(n int) (entries []errcodec.Entry) {
	for i := range n {
		entries = append(entries, errcodec.Sentinel(fmt.Sprintf("test.number-%d", i), fmt.Errorf("number %d", i)))
	}
	return entries
}
