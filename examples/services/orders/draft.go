package orders

import "github.com/skald-go/skald/examples/services/contract"

// What is known of an order grows with every service that has done its part.
type (
	// Draft is an order that is written down.
	Draft struct {
		Request
		Number string
	}
	// Reserved is an order with its goods.
	Reserved struct {
		Draft
		Reservation contract.Reservation
	}
	// Paid is an order that is paid for.
	Paid struct {
		Reserved
		Payment contract.Payment
	}
)

func draft(r Request, number string) Draft { return Draft{r, number} }

func (d Draft) goods() contract.Goods { return contract.Goods{Item: d.Item, Count: d.Count} }

func (d Draft) withReservation(r contract.Reservation) Reserved { return Reserved{d, r} }

func (r Reserved) bill() contract.Bill {
	return contract.Bill{Token: r.Token, Cents: r.Reservation.Cents}
}

func (r Reserved) withPayment(p contract.Payment) Paid { return Paid{r, p} }

func (p Paid) parcel() contract.Parcel {
	return contract.Parcel{Item: p.Item, Count: p.Count, Address: p.Address}
}

func (p Paid) withLabel(l contract.Label) Receipt {
	return Receipt{p.Number, p.Reservation.Cents, p.Payment.Payer, p.Reservation.Number, p.Payment.Number, l.Number}
}
