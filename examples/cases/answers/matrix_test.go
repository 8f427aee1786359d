package answers

import (
	"testing"

	"github.com/skald-go/skald/examples/internal/partner"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/sagatest"
)

// parcels is what was done with parcels and was not undone.
func (p *Post) parcels() any {
	count := map[string]int{}
	for _, c := range p.Calls() {
		if c.Err == nil && !c.Again {
			count[c.Step] += map[bool]int{false: 1, true: -1}[c.Undo]
		}
		if count[c.Step] == 0 {
			delete(count, c.Step)
		}
	}
	return count
}

func matrix(recall func(Effect) error) sagatest.World[*Post, Parcel] {
	return sagatest.World[*Post, Parcel]{
		New:      func() *Post { return &Post{Partners: partner.New(), Recall: recall} },
		Input:    func(*Post) Parcel { return Parcel{ID: "p-1", To: "Oslo"} },
		Snapshot: (*Post).parcels,
		Options:  flow.Options{Errors: Errors},
	}
}

func TestMatrix(t *testing.T) {
	world := matrix(func(Effect) error { return nil })
	world.Pairs = sagatest.AllPairs()
	sagatest.Matrix(t, (*Post).Send, world)
}
