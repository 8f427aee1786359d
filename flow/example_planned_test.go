package flow_test

import (
	"fmt"

	"github.com/skald-go/skald/flow"
)

// What a start would be, for a package that stores it and makes it later.
func ExampleFlow_Planned() {
	order := flow.New[int]("order").Map(func(cents int) int { return cents }).Version(2)
	planned, err := order.Planned(flow.ID("order-42"))
	fmt.Println(planned.Flow, planned.Version, planned.ID, err)
	// Output: order 2 order-42 <nil>
}
