package flow

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// grow adds a random part to f. Names are few, so that they often clash; then f comes back as it was.
func grow(t *rapid.T, f Flow[string, string], depth int) (grown Flow[string, string]) {
	defer func() {
		switch text := recover().(type) {
		case nil:
		case string:
			if !strings.Contains(text, "two parts have the path") {
				panic(text)
			}
			grown = f
		default:
			panic(text) // rapid's
		}
	}()
	name := rapid.SampledFrom([]string{"k", "l", "m", "n"}).Draw(t, "name")
	switch rapid.IntRange(0, 11).Draw(t, "kind") {
	case 0:
		return f.Also(drawPart(t, depth), join2)
	case 1:
		return f.Map(itself)
	case 2:
		return f.If(name, isX, drawPart(t, depth), drawPart(t, depth))
	case 3:
		return f.When(name, isX, drawPart(t, depth))
	case 4:
		return f.Switch(name, itself, Case("1", drawPart(t, depth)), Default(drawPart(t, depth)))
	case 5:
		return f.Both(name, drawPart(t, depth), drawPart(t, depth), join3)
	case 6:
		return f.Each(name, func(s string) []string { return []string{s} }, drawPart(t, depth), func(s string, _ []string) string { return s })
	case 7:
		return f.Race(name, drawPart(t, depth), drawPart(t, depth))
	case 8:
		return f.Loop(name, 3, drawPart(t, depth), isX)
	case 9:
		return f.Delay(name, minute)
	case 10:
		return f.WaitFor(sig.As(name), time.Hour, received, drawPart(t, depth))
	default:
		return f.Then(drawPart(t, depth))
	}
}

func drawPart(t *rapid.T, depth int) Part[string, string] {
	name := rapid.SampledFrom([]string{"a", "b", "c", "k"}).Draw(t, "part")
	if depth == 0 {
		return named(name)
	}
	inner := drawFlow(t, name, depth-1)
	if rapid.IntRange(0, 3).Draw(t, "child") == 0 {
		return Child(inner)
	}
	return inner
}

func drawFlow(t *rapid.T, name string, depth int) Flow[string, string] {
	f := New[string](name)
	for range rapid.IntRange(1, 4).Draw(t, "length") {
		f = grow(t, f, depth)
	}
	return f
}

func TestStepsOfAnyFlowAreUnique(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seen := map[string]bool{}
		for _, path := range drawFlow(t, "f", 2).Steps() {
			require.False(t, seen[path], path)
			seen[path] = true
		}
	})
}

func TestGrowingLeavesTheOriginalAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFlow(t, "f", 2)
		steps, print, picture := f.Steps(), f.Fingerprint(), f.Mermaid()
		left := grow(t, f, 1)
		leftPicture := left.Mermaid()
		right := grow(t, f, 1)
		f.As("g").Deadline(time.Hour)
		require.Equal(t, steps, f.Steps())
		require.Equal(t, print, f.Fingerprint())
		require.Equal(t, picture, f.Mermaid())
		require.Equal(t, leftPicture, left.Mermaid())
		require.Equal(t, steps, append([]string(nil), right.Steps()[:len(steps)]...))
	})
}
