package shop

import (
	"context"

	"github.com/skald-go/skald/examples/petshop/domain"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// OnOffer names an offer that a user wants to buy, or to take back.
type OnOffer struct {
	Caller Caller
	Offer  string
}

// NewOffer puts a pet on offer.
type NewOffer struct {
	Caller Caller
	ID     string
	Pet    string
	Price  int
}

// lockOffer refuses a buyer who cannot pay.
func (c *client) lockOffer() step.Step[OnOffer, domain.Offer] {
	lock := func(ctx context.Context, o OnOffer) (domain.Offer, error) {
		balance, err := c.balance(ctx, o.Caller)
		if err != nil {
			return domain.Offer{}, err
		}
		in := struct{ Buyer domain.Balance }{balance}
		return c.post[domain.Offer](ctx, o.Caller, in, "offers", "offers", o.Offer, "reserve")
	}
	return step.New("lock-offer", lock).Compensate(c.backOnSale).Retry(retry).RetryUndo(retryUndo)
}

func (c *client) withdraw() step.Step[OnOffer, domain.Offer] {
	withdraw := func(ctx context.Context, o OnOffer) (domain.Offer, error) {
		in := struct{ Seller string }{o.Caller.User}
		return c.post[domain.Offer](ctx, o.Caller, in, "offers", "offers", o.Offer, "withdraw")
	}
	return step.New("withdraw", withdraw).Compensate(c.backOnSale).Retry(retry).RetryUndo(retryUndo)
}

func (c *client) backOnSale(ctx context.Context, e step.Effect[OnOffer, domain.Offer]) error {
	return c.undo(ctx, nil, "offers", "offers", e.In.Offer, "release")
}

// sellOffer and deleteOffer end an offer.
func (c *client) sellOffer() step.Step[OnOffer, domain.Offer] {
	return step.New("sell-offer", func(ctx context.Context, o OnOffer) (domain.Offer, error) {
		return c.post[domain.Offer](ctx, o.Caller, nil, "offers", "offers", o.Offer, "sell")
	}).Pivot().Retry(retry)
}

func (c *client) deleteOffer() step.Step[OnOffer, domain.Offer] {
	return step.New("delete-offer", func(ctx context.Context, o OnOffer) (domain.Offer, error) {
		return c.post[domain.Offer](ctx, o.Caller, nil, "offers", "offers", o.Offer, "delete")
	}).Pivot().Retry(retry)
}

// deal is an offer and who acts on it.
type deal struct {
	By    OnOffer
	Offer domain.Offer
}

func newDeal(by OnOffer, offer domain.Offer) deal { return deal{by, offer} }

func (d deal) price() Points {
	return Points{d.By.Caller, d.By.Caller.User, d.Offer.Price}
}

func (d deal) earnings() Points { return Points{d.By.Caller, d.Offer.Seller, d.Offer.Price} }

func (d deal) pet() Pets {
	return Pets{d.By.Caller, d.By.Caller.User, []domain.Pet{d.Offer.Pet}}
}

// buyPet sells what is on offer to the caller, and gives the pet.
func (c *client) buyPet() flow.Flow[OnOffer, domain.Pet] {
	return flow.New[OnOffer]("buy-pet").
		Also(c.lockOffer(), newDeal).
		Use(c.takePoints(), deal.price, keep).
		Use(c.putPet("move-pet"), deal.pet, keep).
		Use(c.givePoints("pay-seller"), deal.earnings, keep).
		Use(c.sellOffer(), func(d deal) OnOffer { return d.By }, keep).
		Map(func(d deal) domain.Pet { return d.Offer.Pet })
}

// withdrawOffer gives the pet on offer back to the caller, who offered it.
func (c *client) withdrawOffer() flow.Flow[OnOffer, domain.Pet] {
	return flow.New[OnOffer]("withdraw-offer").
		Also(c.withdraw(), newDeal).
		Use(c.putPet("return-pet"), deal.pet, keep).
		Use(c.deleteOffer(), func(d deal) OnOffer { return d.By }, keep).
		Map(func(d deal) domain.Pet { return d.Offer.Pet })
}

// supply is a new offer and its pet.
type supply struct {
	Of  NewOffer
	Pet domain.Pet
}

func (c *client) insertOffer() step.Step[supply, domain.Offer] {
	insert := func(ctx context.Context, s supply) (domain.Offer, error) {
		offer := domain.Offer{ID: s.Of.ID, Seller: s.Of.Caller.User, Pet: s.Pet, Price: s.Of.Price}
		return c.post[domain.Offer](ctx, s.Of.Caller, offer, "offers", "offers", offer.ID)
	}
	return step.New("insert-offer", insert).Pivot().Retry(retry)
}

// offerPet takes a pet from the caller, and offers it.
func (c *client) offerPet() flow.Flow[NewOffer, domain.Offer] {
	return flow.New[NewOffer]("offer-pet").
		Use(c.takePet(), func(o NewOffer) TakePet { return TakePet{o.Caller, o.Pet} }, func(o NewOffer, p domain.Pet) supply { return supply{o, p} }).
		Then(c.insertOffer())
}
