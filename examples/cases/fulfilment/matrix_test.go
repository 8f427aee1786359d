package fulfilment

import (
	"testing"

	"github.com/skald-go/skald/examples/internal/partner"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/sagatest"
)

func TestMatrix(t *testing.T) {
	sagatest.Matrix(t, (*Warehouse).Fulfil, sagatest.World[*Warehouse, Order]{
		New:      func() *Warehouse { return &Warehouse{Partners: partner.New(), Stock: 10} },
		Input:    func(*Warehouse) Order { return Order{ID: "o-1", Account: "ada", Pieces: 2} },
		Snapshot: func(w *Warehouse) any { return w.Stock },
		Signals: func(_ *Warehouse, at sagatest.Waiting) error {
			return at.Send(CardChosen, Cleared{Card: "visa"})
		},
		Meanwhile: func(w *Warehouse) { w.Stock += 3 },
		Break: func(w *Warehouse, path string) func() {
			w.SetDown(path, true)
			return func() { w.SetDown(path, false) }
		},
		Options: flow.Options{Errors: Errors},
	})
}
