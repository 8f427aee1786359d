package world

import "math/rand/v2"

// Dice decide everything that is random in a world.
type Dice interface {
	// N gives a number in [0, k).
	N(k int) int
}

// seeded dice repeat a run from its seed.
type seeded struct{ rand.PCG }

// Seeded gives dice that follow from a seed and a stream: streams of one seed are independent of each other.
func Seeded(seed, stream uint64) Dice {
	var d seeded
	d.Seed(seed, stream*0x9e3779b97f4a7c15+1)
	return &d
}

// N takes the upper bits of a product: good enough for small k, and without a division.
func (d *seeded) N(k int) int { return int((d.Uint64() >> 33) * uint64(k) >> 31) }

// Loaded dice always give 0, which is: no fault.
type Loaded struct{}

// N gives 0.
func (Loaded) N(int) int { return 0 }

// OneIn says yes once in k throws, and never if all throws are 0.
func OneIn(d Dice, k int) bool { return d.N(k) == k-1 }

// Pick throws for one of several.
func Pick[T any](d Dice, of ...T) T { return of[d.N(len(of))] }
