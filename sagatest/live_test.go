package sagatest

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSnapshotsThatShareWhatSagasChange(t *testing.T) {
	type books struct {
		money map[string]int
		Log   []string
	}
	b := &books{money: map[string]int{"ada": 1}, Log: []string{"a"}}
	for name, c := range map[string]struct {
		snapshot func() any
		says     string
	}{
		"a map":     {func() any { return b.money }, "the map[string]int"},
		"a pointer": {func() any { return b }, "the map[string]int.money"},
		"a list":    {func() any { return books{maps.Clone(b.money), b.Log} }, "the []string.Log"},
		"inside":    {func() any { return map[string]any{"x": []any{b.money}} }, "the map[string]int[x][0]"},
		"a copy":    {func() any { return books{maps.Clone(b.money), append([]string{}, b.Log...)} }, ""},
		"nothing":   {func() any { return nil }, ""},
		"a number":  {func() any { return 7 }, ""},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.says, live(c.snapshot(), c.snapshot())) })
	}
}
