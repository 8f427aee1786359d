package travel

import (
	"fmt"
	"testing"

	"github.com/skald-go/skald/examples/internal/partner"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/sagatest"
	"github.com/skald-go/skald/step"
)

// bookings is how many times each was booked, less how often it was cancelled.
func (a *Agency) bookings() any {
	count := map[string]int{}
	for _, c := range a.Calls() {
		switch {
		case c.Err != nil || c.Again:
		case c.Undo:
			count[c.Step]--
		default:
			count[c.Step]++
		}
	}
	for what, n := range count {
		if n == 0 {
			delete(count, what)
		}
	}
	return count
}

func TestMatrix(t *testing.T) {
	for name, saga := range map[string]func(*Agency) flow.Flow[Trip, Itinerary]{
		"one by one": (*Agency).OneByOne, "at once": (*Agency).AtOnce, "in order": (*Agency).InOrder, "by children": (*Agency).ByChildren,
	} {
		t.Run(name, func(t *testing.T) {
			sagatest.Matrix(t, saga, sagatest.World[*Agency, Trip]{
				New:      func() *Agency { return &Agency{Partners: partner.New(), Retry: step.Retry{Attempts: 2}} },
				Input:    func(*Agency) Trip { return Trip{Who: "ada", Where: "Oslo"} },
				Snapshot: (*Agency).bookings,
				Invariants: []sagatest.Invariant[*Agency]{
					sagatest.Check("all or nothing is booked", func(a *Agency, f sagatest.Final) error {
						if n := len(a.bookings().(map[string]int)); n != 0 && n != 3 {
							return fmt.Errorf("%v", a.bookings())
						}
						return nil
					}),
				},
				Break: func(a *Agency, path string) func() {
					a.SetDown(path, true)
					return func() { a.SetDown(path, false) }
				},
				Options: flow.Options{Errors: Errors},
			})
		})
	}
}
