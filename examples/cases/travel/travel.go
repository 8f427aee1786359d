// Package travel books a flight, a car and a hotel, and takes back what cannot be had with the rest.
package travel

import (
	"context"
	"errors"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/examples/internal/partner"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// ErrFull refuses a booking.
var ErrFull = errors.New("everything is booked")

// Errors is how it travels.
var Errors = errcodec.New(partner.Errors, errcodec.Sentinel("booking.full", ErrFull))

// Trip is what somebody wants.
type Trip struct{ Who, Where string }

// Itinerary is the numbers of the bookings.
type Itinerary struct{ Flight, Car, Hotel string }

// Agency books with others.
type Agency struct {
	*partner.Partners
	Retry step.Retry // of bookings and cancellations
}

func (a *Agency) book(what string) step.Step[Trip, string] {
	book := func(ctx context.Context, t Trip) (string, error) {
		return a.Do(ctx, func() (string, error) { return what + " for " + t.Who, nil })
	}
	cancel := func(ctx context.Context, e step.Effect[Trip, string]) error {
		return a.Undo(ctx, e.Known, func() error { return nil })
	}
	return step.New(what, book).Compensate(cancel).Refuses(ErrFull).
		Retry(a.Retry).RetryUndo(a.Retry)
}

// plan is a trip with what is booked of it.
type plan struct {
	Trip   Trip
	Booked Itinerary
}

func (p plan) trip() Trip { return p.Trip }

// OneByOne books one after the other.
func (a *Agency) OneByOne() flow.Flow[Trip, Itinerary] {
	return flow.New[Trip]("one-by-one").
		Also(a.book("flight"), func(t Trip, n string) plan { return plan{t, Itinerary{Flight: n}} }).
		Use(a.book("car"), plan.trip, func(p plan, n string) plan {
			p.Booked.Car = n
			return p
		}).
		Use(a.book("hotel"), plan.trip, func(p plan, n string) Itinerary {
			p.Booked.Hotel = n
			return p.Booked
		})
}

func booked(_ Trip, flight, car, hotel string) Itinerary { return Itinerary{flight, car, hotel} }

// AtOnce books all three side by side.
func (a *Agency) AtOnce() flow.Flow[Trip, Itinerary] {
	return flow.New[Trip]("at-once").All3("book", a.book("flight"), a.book("car"), a.book("hotel"), booked)
}

// InOrder is AtOnce, but cancels one after the other.
func (a *Agency) InOrder() flow.Flow[Trip, Itinerary] {
	return flow.New[Trip]("in-order").All3("book", a.book("flight"), a.book("car"), a.book("hotel"), booked).UndoInOrder()
}

// ByChildren books each with a saga of its own.
func (a *Agency) ByChildren() flow.Flow[Trip, Itinerary] {
	child := func(what string) flow.ChildSaga[Trip, string] {
		return flow.Child(flow.New[Trip]("book-" + what).Then(a.book(what)))
	}
	return flow.New[Trip]("by-children").All3("book", child("flight"), child("car"), child("hotel"), booked)
}

// Desk is the flow of a service that books one thing for others: its steps, its retries, its compensation.
func (a *Agency) Desk(what string) flow.Flow[Trip, string] {
	return flow.New[Trip]("book").Then(a.book(what))
}

// At refers to the desk of a service: all that an agency knows of it.
func At(service string) flow.Ref[Trip, string] {
	return flow.Ref[Trip, string]{Service: service, Name: "book"}
}

// ByServices books with the desks of three other services, whose names it takes.
func ByServices(flights, cars, hotels string) flow.Flow[Trip, Itinerary] {
	return flow.New[Trip]("by-services").All3("book", At(flights).As("flight"), At(cars).As("car"), At(hotels).As("hotel"), booked)
}
