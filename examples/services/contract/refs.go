package contract

import "github.com/skald-go/skald/flow"

// What services do for one another. Each is a flow that the named service serves, and a part of the flows of others.
var (
	Reserve = flow.Ref[Goods, Reservation]{Service: "stock", Name: "reserve"}
	Charge  = flow.Ref[Bill, Payment]{Service: "payments", Name: "charge"}
	Ship    = flow.Ref[Parcel, Label]{Service: "shipping", Name: "ship"}
)
