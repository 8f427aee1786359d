package sagas

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/skald-go/skald/internal/chaos/town"
)

// Job is a saga to be started. Exactly one of Transfer, Remittance, Purchase and Order is set.
type Job struct {
	ID         string
	Transfer   *Transfer   `json:",omitempty"`
	Remittance *Remittance `json:",omitempty"`
	Purchase   *Purchase   `json:",omitempty"`
	Order      *Order      `json:",omitempty"`
	Approval   Approval    // of an Order
}

// Transfer moves money from one citizen to another.
type Transfer struct {
	From, To string
	Amount   int
	Broken   bool // the last step fails for good
}

// Purchase moves a pet to its buyer and points to its seller.
type Purchase struct {
	Buyer, Seller, Pet string
	Price              int
	Quarantine         time.Duration
	Broken             bool // the last step fails for good
}

// Order sends a parcel, which is a saga of its own, and waits for an approval before the seller is paid.
type Order struct {
	Buyer, Seller string
	Price         int
	Label         string // of the parcel
	Approved      bool
}

// Approval is the signal that an Order waits for.
type Approval struct {
	Yes    bool
	Early  bool          // sent before the saga is started
	Within time.Duration // after that it is sent
}

// Size is how many there are of each in the town, and what each citizen has at first.
type Size struct{ Citizens, Pets, Money, Points int }

// Roll makes up the n-th job. Some are refused because somebody has not enough, some fail at the end.
func Roll(dice *rand.Rand, n int, prefix string, size Size, owner func(pet string) string) Job {
	one, other := dice.IntN(size.Citizens), dice.IntN(size.Citizens-1)
	if other >= one {
		other++
	}
	j := Job{ID: fmt.Sprintf("%s-%d", prefix, n)}
	a, b, broken := town.Citizen(one), town.Citizen(other), dice.IntN(8) == 0
	switch dice.IntN(10) {
	case 0, 1:
		j.Remittance = &Remittance{From: a, To: b, Amount: 1 + dice.IntN(size.Money/2), Broken: broken}
	case 2, 3:
		j.Transfer = &Transfer{From: a, To: b, Amount: 1 + dice.IntN(size.Money/2), Broken: broken}
	case 4, 5, 6:
		pet := town.Pet(dice.IntN(size.Pets))
		seller := owner(pet)
		if seller == a {
			a = b
		}
		j.Purchase = &Purchase{
			Buyer: a, Seller: seller, Pet: pet, Price: 1 + dice.IntN(size.Points/4),
			Quarantine: time.Duration(dice.IntN(600)) * time.Millisecond, Broken: broken,
		}
	default:
		j.Order = &Order{Buyer: a, Seller: b, Price: 1 + dice.IntN(size.Points/4)}
		j.Approval = Approval{Yes: dice.IntN(6) > 0, Early: dice.IntN(4) == 0, Within: time.Duration(dice.IntN(400)) * time.Millisecond}
	}
	return j
}

// Kind names the flow of a job.
func (j Job) Kind() string {
	switch {
	case j.Transfer != nil:
		return "transfer"
	case j.Remittance != nil:
		return "remittance"
	case j.Purchase != nil:
		return "purchase"
	default:
		return "order"
	}
}

// Steps are the IDs and paths of the steps that have an effect if the job is done.
func (j Job) Steps() []string {
	paths := map[string][]string{
		"transfer":   {"/withdraw", "/deposit"},
		"remittance": {"/withdraw/pay", "/deposit/pay"},
		"purchase":   {"/take-points", "/hand-over/move-pet", "/hand-over/pay-seller", "/free-pet"},
		"order":      {"/reserve", "/parcel/pack", "/settle"},
	}[j.Kind()]
	steps := make([]string, len(paths))
	for i, path := range paths {
		steps[i] = j.ID + path
		if j.Remittance != nil {
			steps[i] = Shop + "~" + steps[i]
		}
	}
	return steps
}
