package reservation

import (
	"maps"
	"testing"
	"time"

	"github.com/skald-go/skald/examples/internal/partner"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/sagatest"
)

type shelves struct{ Held, Lent map[string]string }

func matrix() sagatest.World[*Library, Wish] {
	return sagatest.World[*Library, Wish]{
		New: func() *Library {
			return &Library{Partners: partner.New(), Hold: 72 * time.Hour, Held: map[string]string{}, Lent: map[string]string{}}
		},
		Input:    func(*Library) Wish { return Wish{Book: "Dune", Reader: "ada"} },
		Snapshot: func(l *Library) any { return shelves{maps.Clone(l.Held), maps.Clone(l.Lent)} },
		Invariants: []sagatest.Invariant[*Library]{
			sagatest.NothingHeld("books", func(l *Library) (held []string) {
				for book := range l.Held {
					held = append(held, book)
				}
				return held
			}),
		},
		Break: func(l *Library, path string) func() {
			l.SetDown(path, true)
			return func() { l.SetDown(path, false) }
		},
		Options: flow.Options{Errors: Errors},
	}
}

func TestMatrixOfBooksThatAreCollected(t *testing.T) {
	world := matrix()
	world.Signals = func(_ *Library, at sagatest.Waiting) error { return at.Send(Collected, "desk 1") }
	sagatest.Matrix(t, (*Library).Reserve, world)
}

func TestMatrixOfBooksThatAreNot(t *testing.T) {
	world := matrix()
	world.Keeps = []string{"collected/expire"} // a book that is free again is what an undo would leave, too
	sagatest.Matrix(t, (*Library).Reserve, world)
}
