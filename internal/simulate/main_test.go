package main

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/skald-go/skald/internal/simulate/world"
)

func TestRunsAreMadeAndCounted(t *testing.T) {
	assert.NoError(t, run([]string{"-runs", "4", "-from", "1"}))
	assert.NoError(t, run([]string{"-seed", "1", "-order", "2", "-only", "3,4", "-parts", "5", "-without", "3.1,4.2", "-decode", "-log"}))
}

func TestFlagsOfARunAreThoseThatTheCommandTakes(t *testing.T) {
	c := world.Config{Seed: 9, Order: 2, Only: []int{3, 4}, Parts: 5, Without: []world.FaultID{{Family: 3, Nth: 1}}, DecodeAll: true, Log: true}
	assert.Equal(t, "-seed 9 -order 2 -only 3,4 -parts 5 -without 3.1 -decode -log", c.Flags())
}
