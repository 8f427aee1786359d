package broker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/inmem"
)

func TestStatesHaveNames(t *testing.T) {
	var names []string
	for state := range broker.Finished + 2 {
		names = append(names, state.String())
	}
	assert.Equal(t, []string{"unknown", "ready", "owned", "parked", "held", "buried", "finished", "unknown"}, names)
}

// A saga that waits for an event parks. The event makes it ready, and it is handed out with its journal and its mail.
func Example() {
	ctx := context.Background()
	b := inmem.New()
	defer b.Close()
	order := broker.Served{Flow: "order", Version: 1}
	worker, _ := b.Join(ctx, broker.Member{Name: "engine", Flows: []broker.Served{order}, Lease: time.Minute})

	b.Start(ctx, broker.Start{ID: "order-42", Served: order, By: worker})
	worker.Commit(ctx, broker.Transition{
		ID: "order-42", Rev: 1, Next: broker.Park, Append: []broker.Entry{{Path: "invoice"}},
	})
	b.Deliver(ctx, "order-42", broker.Event{ID: "payment-7", Kind: "signal", Name: "paid"})

	got, _ := worker.Receive(ctx, 1)
	saga := got[0].Saga
	fmt.Println(saga.ID, "at revision", saga.Rev, "after", saga.Journal[0].Path, "with", saga.Mail[0].Name)

	_, err := worker.Commit(ctx, broker.Transition{ID: "order-42", Rev: 7})
	fmt.Println("from another revision:", errors.Is(err, broker.ErrStale))
	// Output:
	// order-42 at revision 2 after invoice with paid
	// from another revision: true
}
