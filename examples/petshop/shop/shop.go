// Package shop is a pet shop: every trade is a saga over services that know nothing of one another.
//
// Its steps are thin clients of those services. The last step of a saga that others see at once, such as
// a new offer, has no undo and is a pivot: it is asked until it says that it happened. A last step that
// may well be refused has an undo like any other, because after a lost reply a refusal leaves it open
// whether it happened.
package shop

import (
	"net/http"
	"time"

	"github.com/skald-go/skald/examples/petshop/domain"
	"github.com/skald-go/skald/examples/petshop/identity"
	"github.com/skald-go/skald/examples/petshop/trace"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// Caller is the user that a saga acts for, with a token that expires.
type Caller struct{ User, Token string }

var (
	retry     = step.Retry{Attempts: 3, Delay: 10 * time.Millisecond, MaxDelay: time.Second}
	retryUndo = step.Retry{Attempts: 5, Delay: 10 * time.Millisecond, MaxDelay: time.Second}
)

// Shop is the sagas of the shop.
type Shop struct {
	BuyPet        flow.Flow[OnOffer, domain.Pet]
	WithdrawOffer flow.Flow[OnOffer, domain.Pet]
	OfferPet      flow.Flow[NewOffer, domain.Offer]
	DrawCapsules  flow.Flow[Draw, []domain.Pet]
	PostQuiz      flow.Flow[NewQuiz, domain.Quiz]
	BuyBackdrop   flow.Flow[WantBackdrop, domain.Backdrop]
	ReleasePet    flow.Flow[TakePet, domain.Balance]
}

// New makes a shop that finds its participants where urls says.
func New(urls func(service string) string, id *identity.Identity) *Shop {
	// Every request has a connection of its own: on one that was used before, net/http would itself
	// repeat a request with an idempotency key whose reply is lost, and nobody would see it.
	return NewOver(&http.Transport{DisableKeepAlives: true}, urls, id)
}

// NewOver is New, and calls the participants over a transport of the caller's.
func NewOver(transport http.RoundTripper, urls func(service string) string, id *identity.Identity) *Shop {
	c := newClient(transport, urls, id)
	return &Shop{
		BuyPet: c.buyPet(), WithdrawOffer: c.withdrawOffer(), OfferPet: c.offerPet(), DrawCapsules: c.drawCapsules(),
		PostQuiz: c.postQuiz(), BuyBackdrop: c.buyBackdrop(), ReleasePet: c.releasePet(),
	}
}

// Flows lists all sagas, for flow.Engine.Serve.
func (s *Shop) Flows() []flow.Definition {
	return []flow.Definition{s.BuyPet, s.WithdrawOffer, s.OfferPet, s.DrawCapsules, s.PostQuiz, s.BuyBackdrop, s.ReleasePet}
}

// Options are what the shop asks of its engine.
func Options() flow.Options {
	return flow.Options{Namespace: "petshop", Errors: domain.Errors, Propagators: []flow.Propagator{trace.Propagator{}}}
}

// keep goes on with what was known before a step.
func keep[V, O any](value V, _ O) V { return value }
