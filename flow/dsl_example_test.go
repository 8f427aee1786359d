package flow_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// The examples of composition: what they show, they show without running a saga.

type (
	exRequest struct {
		SKUs  []string
		Cents int
	}
	exHeld struct {
		exRequest
		Hold string
	}
)

func (r exRequest) withHold(hold string) exHeld { return exHeld{r, hold} }
func (h exHeld) cents() int                     { return h.Cents }
func (h exHeld) express() bool                  { return h.Cents > 10_000 }
func (h exHeld) skus() []string                 { return h.SKUs }
func (h exHeld) same(string) exHeld             { return h }

func exHold(context.Context, exRequest) (string, error)               { return "", nil }
func exRelease(context.Context, step.Effect[exRequest, string]) error { return nil }
func exCharge(context.Context, int) (string, error)                   { return "", nil }
func exRefund(context.Context, step.Effect[int, string]) error        { return nil }
func exShip(context.Context, exHeld) error                            { return nil }
func exPack(context.Context, string) error                            { return nil }

// What a step needs and gives is its own business; a flow joins it to what is known.
var (
	exReserve = step.New("reserve", exHold).Compensate(exRelease)
	exPay     = step.New("charge", exCharge).Compensate(exRefund)
	exCourier = step.Do("courier", exShip)
	exPost    = step.Do("post", exShip)
)

func Example_composition() {
	order := flow.New[exRequest]("order").
		Deadline(time.Hour).
		Also(exReserve, exRequest.withHold).
		Use(exPay, exHeld.cents, exHeld.same).
		If("carrier", exHeld.express, exCourier, exPost)

	fmt.Println(strings.Join(order.Steps(), "\n"))
	// Output:
	// reserve
	// charge
	// carrier/courier
	// carrier/post
}

func ExampleFlow_Steps() {
	order := flow.New[exHeld]("order").
		Each("pack", exHeld.skus, step.Do("wrap", exPack), func(h exHeld, _ []string) exHeld { return h }).
		Loop("ship", 3, exCourier, exHeld.express).
		Then(flow.New[exHeld]("goodbye").Then(exPost))

	for _, path := range order.Steps() {
		fmt.Println(path)
	}
	// Output:
	// pack[]/wrap
	// ship#/courier
	// goodbye/post
}

func ExampleFlow_Mermaid() {
	order := flow.New[exRequest]("order").
		Also(exReserve, exRequest.withHold).
		When("express", exHeld.express, exCourier)

	fmt.Println(order.Mermaid())
	// Output:
	// flowchart TD
	//     n1(["order"])
	//     n2["reserve"]
	//     n3["undo: reserve"]:::undo
	//     n4{"express"}
	//     n5["courier"]
	//     n6(["done"])
	//     undone(["undone"]):::undo
	//     n1 --> n2
	//     n2 -.-> n3
	//     n3 -.-> undone
	//     n2 --> n4
	//     n3 ~~~ n4
	//     n4 -->|"yes"| n5
	//     n5 --> n6
	//     n4 -->|"no"| n6
	//     classDef pivot stroke-width:3px
	//     classDef undo fill:#fdecea,stroke:#c0392b,color:#7b241c
	//     linkStyle 1,2 stroke:#c0392b
}

func ExampleFlow_Fingerprint() {
	before := flow.New[exHeld]("order").Then(exCourier)
	patient := flow.New[exHeld]("order").Then(exCourier.Timeout(time.Hour))
	renamed := flow.New[exHeld]("order").Then(exCourier.As("bicycle"))

	fmt.Println(patient.Fingerprint() == before.Fingerprint())
	fmt.Println(renamed.Fingerprint() == before.Fingerprint())
	// Output:
	// true
	// false
}

func ExampleFlow_As() {
	ship := flow.New[exHeld]("ship").Then(exPost)
	order := flow.New[exHeld]("order").Then(ship).Then(ship.As("ship-again"))

	fmt.Println(order.Steps())
	// Output: [ship/post ship-again/post]
}

func ExampleSignal_As() {
	approve := flow.NewSignal[string]("approve")
	order := flow.New[exHeld]("order").
		Wait(approve, exHeld.same).
		Then(exCourier).
		Wait(approve.As("approve-refund"), exHeld.same)

	fmt.Println(order.Steps())
	// Output: [approve courier approve-refund]
}

// A mistake in a flow panics where the flow is defined, which is when the program starts.
func Example_mistake() {
	defer func() { fmt.Println(recover()) }()

	flow.New[exHeld]("order").Then(exPost).Then(exPost)
	// Output: flow: "order".Then: two parts have the path "post", a step and a step: give one of them another name with As
}
