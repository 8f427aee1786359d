package brokerfault_test

import (
	"context"
	"fmt"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokerfault"
	"github.com/skald-go/skald/inmem"
)

// The reply of the first commit is lost. The commit was applied, and its repeat is acknowledged.
func Example() {
	ctx := context.Background()
	b := brokerfault.Wrap(inmem.New(), brokerfault.Options{Rules: []brokerfault.Rule{
		{Method: brokerfault.Commit, ID: "order-42", Nth: 1, Try: 1, Fault: brokerfault.Lose},
	}})
	defer b.Close()

	worker, _ := b.Join(ctx, broker.Member{Lease: time.Minute})
	b.Start(ctx, broker.Start{ID: "order-42", By: worker})
	transition := broker.Transition{ID: "order-42", Rev: 1}
	for range 2 {
		ack, err := worker.Commit(ctx, transition)
		fmt.Println(ack.Rev, err)
	}
	// Output:
	// 0 brokerfault: commit "order-42", call 1, try 1: injected fault
	// 2 <nil>
}
