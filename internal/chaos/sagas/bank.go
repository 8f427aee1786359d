package sagas

import (
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/chaos/town"
)

// Payment moves money from one purse to another, in the service of the bank.
type Payment struct {
	From, To string
	Amount   int
}

// Remittance is a Transfer whose steps are the bank's.
type Remittance Transfer

// The services that sagas run in.
const (
	Shop = "chaos"
	Bank = "chaos-bank"
)

// book is what the bank does for others.
var book = flow.Ref[Payment, Payment]{Service: Bank, Name: "book"}

// NewBank makes the flow of the bank, whose step calls the town through ask.
func NewBank(ask Ask) flow.Flow[Payment, Payment] {
	return flow.New[Payment]("book").Then(effect(ask, "pay", func(p Payment) town.Op { return pay("money", p.From, p.To, p.Amount) }))
}

// newRemittance calls the bank twice, and may fail then.
func newRemittance() flow.Flow[Remittance, Remittance] {
	out := func(r Remittance) Payment { return Payment{r.From, town.Till, r.Amount} }
	in := func(r Remittance) Payment { return Payment{town.Till, r.To, r.Amount} }
	same := func(r Remittance, _ Payment) Remittance { return r }
	return flow.New[Remittance]("remittance").
		Use(book.As("withdraw"), out, same).
		Use(book.As("deposit"), in, same).
		Then(last("confirm", func(r Remittance) bool { return r.Broken }))
}

// Away is the ID of the bank's saga that saga id of the shop calls at a path.
func Away(id, path string) string { return Shop + "~" + id + "/" + path }
