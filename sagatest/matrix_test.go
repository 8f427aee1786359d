package sagatest_test

import (
	"testing"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/sagatest"
)

func buying() sagatest.World[*town, wish] {
	return sagatest.World[*town, wish]{
		New:      newTown,
		Input:    func(*town) wish { return wish{"ada", "cat", 40} },
		Snapshot: (*town).Books,
		Invariants: []sagatest.Invariant[*town]{
			sagatest.Conserved("points", (*town).AllPoints),
			sagatest.Conserved("cats", (*town).AllCats),
		},
		Meanwhile: func(t *town) { t.Points["ada"] += 7; t.Stock["cat"] += 2 },
		Break: func(t *town, path string) func() {
			t.down = path
			return func() { t.down = "" }
		},
		Options: flow.Options{Errors: errShop},
	}
}

func TestMatrix(t *testing.T) { sagatest.Matrix(t, (*town).Buy, buying()) }
