package participants

import "github.com/skald-go/skald/examples/petshop/domain"

// offers holds what is for sale.
type offers struct {
	service
	offers map[string]domain.Offer
}

func (o *offers) routes() {
	o.name = "offers"
	o.handle("POST /offers/{id}", o.insert)
	o.handle("POST /offers/{id}/reserve", o.reserve)
	o.handle("POST /offers/{id}/withdraw", o.withdraw)
	o.handle("POST /offers/{id}/release", o.release)
	o.handle("POST /offers/{id}/sell", o.sell)
	o.handle("POST /offers/{id}/delete", o.remove)
}

func (o *offers) insert(r *request) (any, error) {
	var offer domain.Offer
	if err := r.decode(&offer); err != nil {
		return nil, err
	}
	for _, other := range o.offers {
		if other.ID == offer.ID || other.Pet.ID == offer.Pet.ID && other.Status != domain.Sold {
			return nil, domain.ErrAlreadyOffered
		}
	}
	return o.set(offer, domain.OnSale)
}

// reserve is for a buyer with enough points.
func (o *offers) reserve(r *request) (any, error) {
	var in struct{ Buyer domain.Balance }
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	offer, err := o.find(r, domain.OnSale)
	if err != nil {
		return nil, err
	}
	if in.Buyer.Points < offer.Price {
		return nil, &domain.NotEnoughPoints{User: in.Buyer.User, Have: in.Buyer.Points, Need: offer.Price}
	}
	return o.set(offer, domain.Reserved)
}

func (o *offers) withdraw(r *request) (any, error) {
	var in struct{ Seller string }
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	offer, err := o.find(r, domain.OnSale)
	if err != nil {
		return nil, err
	}
	if offer.Seller != in.Seller {
		return nil, domain.ErrNotYourOffer
	}
	return o.set(offer, domain.Withdrawing)
}

// release undoes reserve and withdraw.
func (o *offers) release(r *request) (any, error) {
	offer, err := o.find(r, domain.Reserved, domain.Withdrawing)
	if err != nil {
		return nil, err
	}
	return o.set(offer, domain.OnSale)
}

func (o *offers) sell(r *request) (any, error) {
	offer, err := o.find(r, domain.Reserved)
	if err != nil {
		return nil, err
	}
	return o.set(offer, domain.Sold)
}

func (o *offers) remove(r *request) (any, error) {
	offer, err := o.find(r, domain.Withdrawing)
	if err != nil {
		return nil, err
	}
	delete(o.offers, offer.ID)
	return offer, nil
}

// find gives the offer of the path, which must have one of the statuses.
func (o *offers) find(r *request, statuses ...domain.Status) (domain.Offer, error) {
	offer, found := o.offers[r.PathValue("id")]
	if !found {
		return offer, domain.ErrNoOffer
	}
	for _, s := range statuses {
		if offer.Status == s {
			return offer, nil
		}
	}
	return offer, domain.ErrNotOnSale
}

func (o *offers) set(offer domain.Offer, s domain.Status) (any, error) {
	offer.Status = s
	o.offers[offer.ID] = offer
	return offer, nil
}
