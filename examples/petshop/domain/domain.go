// Package domain holds what the pet shop and its participants speak of: pets, offers, and the errors
// of their trade, with the forms in which those travel.
package domain

// Pet is somebody's, or part of an offer.
type Pet struct {
	ID, Kind string
	Level    int
}

// Status is where an offer is in its life.
type Status string

// The statuses of an offer.
const (
	OnSale      Status = "on sale"
	Reserved    Status = "reserved"
	Withdrawing Status = "withdrawing"
	Sold        Status = "sold"
)

// Offer has its pet with it until the pet is sold or given back.
type Offer struct {
	ID, Seller string
	Pet        Pet
	Price      int
	Status     Status
}

// Balance is what an account holds after something happened to it.
type Balance struct {
	User   string
	Points int
}

// Backdrop is what a pet is shown in front of.
type Backdrop struct {
	Name  string
	Price int
	Stock int
}

// Quiz is written by a user, for points.
type Quiz struct{ Title, Author string }

// Release is the record that a pet was let go.
type Release struct {
	User string
	Pet  Pet
}
