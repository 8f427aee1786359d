package inmem_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/inmem"
)

// What an engine does with a broker, for one saga.
func Example() {
	ctx := context.Background()
	b := inmem.New(inmem.Backlog(10_000))
	defer b.Close()

	order := broker.Served{Flow: "order", Version: 1}
	worker, _ := b.Join(ctx, broker.Member{
		Name: "engine 1", Build: "v1.2.0", Flows: []broker.Served{order}, Lease: 15 * time.Second,
	})
	b.Watch("order-42", func(s broker.Snapshot) { fmt.Printf("%s: %s\n", s.State, s.Outcome) })
	b.Start(ctx, broker.Start{ID: "order-42", Served: order, Record: []byte("input")})

	got, _ := worker.Receive(ctx, 1)
	saga := got[0].Saga
	ack, _ := worker.Commit(ctx, broker.Transition{
		ID: saga.ID, Rev: saga.Rev, Append: []broker.Entry{{Path: "charge", Data: []byte("output")}},
	})
	worker.Commit(ctx, broker.Transition{
		ID: saga.ID, Rev: ack.Rev, Next: broker.Finish, Outcome: []byte("receipt"), Keep: time.Hour,
	})
	// Output: finished: receipt
}

// A test of what happens when a process dies.
func ExampleBroker_Kill() {
	ctx := context.Background()
	b := inmem.New()
	defer b.Close()

	order := broker.Served{Flow: "order", Version: 1}
	member := broker.Member{Flows: []broker.Served{order}, Lease: 10 * time.Millisecond}
	doomed, _ := b.Join(ctx, member)
	b.Start(ctx, broker.Start{ID: "order-42", Served: order, By: doomed})
	b.Kill(doomed)
	_, err := doomed.Commit(ctx, broker.Transition{ID: "order-42", Rev: 1})
	fmt.Println(errors.Is(err, broker.ErrFenced))

	heir, _ := b.Join(ctx, member)
	got, _ := heir.Receive(ctx, 1)
	fmt.Println(got[0].ID, "taken over", got[0].Saga.Takeovers, "time")
	// Output:
	// true
	// order-42 taken over 1 time
}

// Two services in one process: what one sends, the other gets.
func ExampleNetwork() {
	ctx := context.Background()
	network := inmem.NewNetwork()
	order := broker.Served{Flow: "order", Version: 1}
	worker, _ := network.Broker("orders").Join(ctx, broker.Member{Flows: []broker.Served{order}, Lease: time.Minute})
	network.Broker("orders").Start(ctx, broker.Start{ID: "order-42", Served: order, By: worker})
	worker.Commit(ctx, broker.Transition{ID: "order-42", Rev: 1, Next: broker.Park, Send: []broker.Message{{
		ID: "order-42/charge~start", Service: "payments", To: "orders~order-42/charge",
		Start: &broker.Start{ID: "orders~order-42/charge", Served: broker.Served{Flow: "charge"}},
	}}})
	for s := range network.Broker("payments").List(ctx, broker.Filter{}) {
		fmt.Println(s.ID, s.Flow, s.State == broker.Ready)
	}
	// Output: orders~order-42/charge charge true
}
