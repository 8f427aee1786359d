package saga_test

import (
	"math/rand/v2"

	"pgregory.net/rapid"
)

// dice decides everything that is random in a simulation.
type dice interface {
	// n gives a number in [0, k).
	n(k int) int
}

// seeded dice repeat a run from its seed.
type seeded struct{ *rand.Rand }

func newSeeded(seed uint64) seeded { return seeded{rand.New(rand.NewPCG(seed, 0))} }

func (s seeded) n(k int) int { return s.IntN(k) }

// drawn dice let rapid find the smallest run that fails.
type drawn struct{ t *rapid.T }

func (d drawn) n(k int) int {
	if k == 1 {
		return 0
	}
	return rapid.IntRange(0, k-1).Draw(d.t, "n")
}

// loaded dice always give 0, which is: no fault.
type loaded struct{}

func (loaded) n(int) int { return 0 }

// oneIn says yes once in k throws, and never if all throws are 0.
func oneIn(d dice, k int) bool { return d.n(k) == k-1 }

// pick throws for one of several.
func pick[T any](d dice, of ...T) T { return of[d.n(len(of))] }
