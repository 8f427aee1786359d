// Package contract is what the services of the shop share: the values that they send one another, the errors that they answer with, and
// references to the flows that each of them serves. It is small, and holds no business.
package contract

// Goods is what stock is asked to reserve.
type Goods struct {
	Item  string
	Count int
}

// Reservation is what stock answers.
type Reservation struct {
	Number string
	Cents  int // the price of all of it
}

// Bill is what payments is asked to charge. The token shows who pays.
type Bill struct {
	Token string
	Cents int
}

// Payment is what payments answers.
type Payment struct {
	Number string
	Payer  string
}

// Parcel is what shipping is asked to send.
type Parcel struct {
	Item    string
	Count   int
	Address string
}

// Label is what shipping answers.
type Label struct{ Number string }
