package workload

import (
	"time"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// The services of a call.
const (
	Here = "bench-here"
	Away = "bench-away"
)

var chargeAway = flow.Ref[Hold, Payment]{Service: Away, Name: "charge"}

// Calling is Success with its second step in the service Away, which runs Called for it.
var (
	Calling = flow.New[Order]("calling").
		Then(step.New("reserve", reserve).Compensate(undo[Order, Hold]).Timeout(10 * time.Second)).
		Then(chargeAway).
		Then(step.New("ship", ship).Compensate(undo[Payment, Label]).Timeout(10 * time.Second))
	Called = flow.New[Hold]("charge").
		Then(step.New("charge", charge).Compensate(undo[Hold, Payment]).Timeout(10 * time.Second))
	CallingSaga = Of(Calling, Input(), nil)
)

// Placed are events with the input of a saga.
var Placed = flow.NewTopic[Order]("placed")
