package createorder

import (
	"fmt"
	"maps"
	"testing"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/sagatest"
)

// books is what the services hold.
type books struct {
	Orders, Tickets map[string]string
	Totals, Cards   map[string]int
}

func (r *Restaurant) books() any {
	return books{maps.Clone(r.Orders), maps.Clone(r.Tickets), maps.Clone(r.Totals), maps.Clone(r.Cards)}
}

// settled says that nothing is left in the middle of something.
func (r *Restaurant) settled() error {
	for _, status := range r.Orders {
		if status != "approved" && status != "cancelled" && status != "rejected" {
			return fmt.Errorf("an order is %s", status)
		}
	}
	for _, status := range r.Tickets {
		if status != "confirmed" && status != "cancelled" {
			return fmt.Errorf("a ticket is %s", status)
		}
	}
	return nil
}

// unpaid says that no card pays for an order that is not there.
func (r *Restaurant) unpaid() error {
	for _, total := range r.Cards {
		if total > 0 && r.Orders["o-1"] != "approved" {
			return fmt.Errorf("a card pays %d for an order that is %s", total, r.Orders["o-1"])
		}
	}
	return nil
}

func matrix[I any](in I, open func() *Restaurant) sagatest.World[*Restaurant, I] {
	return sagatest.World[*Restaurant, I]{
		New: open, Input: func(*Restaurant) I { return in },
		Invariants: []sagatest.Invariant[*Restaurant]{
			sagatest.Holds("nothing is left half done", (*Restaurant).settled),
			sagatest.Holds("no card pays for nothing", (*Restaurant).unpaid),
		},
		Break: func(r *Restaurant, path string) func() {
			r.SetDown(path, true)
			return func() { r.SetDown(path, false) }
		},
		Pairs:   sagatest.AllPairs(),
		Options: flow.Options{Errors: Errors},
	}
}

// atLunch is a restaurant that lunch was ordered in.
func atLunch() *Restaurant {
	r := Open()
	r.Orders["o-1"], r.Tickets[ticket.ID], r.Cards["visa"] = "approved", "confirmed", 40
	return r
}

// An order that is undone stays, as rejected, and so does its ticket.
func TestMatrixCreate(t *testing.T) { sagatest.Matrix(t, (*Restaurant).Create, matrix(lunch, Open)) }

func TestMatrixCancel(t *testing.T) {
	world := matrix(eaten, atLunch)
	world.Snapshot = (*Restaurant).books
	sagatest.Matrix(t, (*Restaurant).Cancel, world)
}

func TestMatrixRevise(t *testing.T) {
	world := matrix(Revision{Of: eaten, Percent: 150}, atLunch)
	world.Snapshot = (*Restaurant).books
	sagatest.Matrix(t, (*Restaurant).Revise, world)
}
