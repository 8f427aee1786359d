// Package answers sends parcels, with an undo that may answer in every way there is.
package answers

import (
	"context"
	"errors"
	"time"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/examples/internal/partner"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

var (
	// ErrStrike is why the carrier takes nothing.
	ErrStrike = errors.New("carrier is on strike")
	// ErrLost is why a parcel cannot come back.
	ErrLost = errors.New("parcel cannot be found")
)

// Errors is how they travel.
var Errors = errcodec.New(partner.Errors, errcodec.Sentinel("carrier.strike", ErrStrike), errcodec.Sentinel("carrier.lost", ErrLost))

// Parcel is to be sent.
type Parcel struct{ ID, To string }

// Label is what a carrier gives for a parcel.
type Label struct{ Carrier, Number string }

// Sent is a parcel with its label.
type Sent struct {
	Parcel Parcel
	Label  Label
}

// Effect is what the carrier's undo gets.
type Effect = step.Effect[Parcel, Label]

// Post is the services that send parcels. Recall is what the undo of the carrier's label answers.
type Post struct {
	*partner.Partners
	Recall func(Effect) error
}

// Send is the saga of a parcel: it is packed, gets a label, and is handed over.
func (p *Post) Send() flow.Flow[Parcel, Sent] {
	return flow.New[Parcel]("send").
		Then(step.Do("pack", p.pack).Compensate(p.unpack)).
		Also(step.New("label", p.label).Compensate(p.recall).
			RetryUndo(step.Retry{Attempts: 3, Delay: time.Second}), func(parcel Parcel, l Label) Sent { return Sent{parcel, l} }).
		Then(step.Do("hand-over", p.handOver).Compensate(p.takeBack))
}

func (p *Post) pack(ctx context.Context, _ Parcel) error { return p.did(ctx) }

func (p *Post) handOver(ctx context.Context, _ Sent) error { return p.did(ctx) }

func (p *Post) did(ctx context.Context) error {
	_, err := p.Do(ctx, func() (bool, error) { return true, nil })
	return err
}

func (p *Post) unpack(ctx context.Context, e step.Effect[Parcel, Parcel]) error {
	return p.Undo(ctx, e.Known, func() error { return nil })
}

func (p *Post) takeBack(ctx context.Context, e step.Effect[Sent, Sent]) error {
	return p.Undo(ctx, e.Known, func() error { return nil })
}

func (p *Post) label(ctx context.Context, parcel Parcel) (Label, error) {
	return p.Do(ctx, func() (Label, error) { return Label{"express", parcel.ID}, nil })
}

func (p *Post) recall(ctx context.Context, e Effect) error {
	answer := p.Recall(e)
	if err := p.Undo(ctx, e.Known, func() error { return answer }); err != nil {
		return err
	}
	return answer
}
