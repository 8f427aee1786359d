package flow_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

// buying is a flow whose payment is refused, after which the book is to be released.
func buying(release func(context.Context, step.Effect[string, string]) error) flow.Flow[string, string] {
	return flow.New[string]("buy").
		Then(step.Do("reserve", func(context.Context, string) error { return nil }).Compensate(release)).
		Then(step.Do("charge", func(context.Context, string) error { return step.Refused(errors.New("bank: declined")) }))
}

// brokerWithADeadLetter has the saga order-42, whose undo failed for good.
func brokerWithADeadLetter() broker.Broker {
	b := inmem.New()
	buy := buying(func(context.Context, step.Effect[string, string]) error {
		return step.GiveUp(errors.New("stock: no such hold"))
	})
	engine, stop := exampleEngineOn(b, flow.Options{}, buy)
	defer stop()
	future, _ := buy.Start(context.Background(), engine, "Dune", flow.ID("order-42"))
	_, _ = future.Await(context.Background())
	return b
}

func ExampleExport() {
	b := brokerWithADeadLetter()
	saga, err := flow.Export(context.Background(), b, "order-42")
	fmt.Println(saga.ID(), saga.Sagas[0].State, err)
	_, err = flow.Export(context.Background(), b, "order-43")
	fmt.Println(errors.Is(err, flow.ErrUnknown))
	// Output:
	// order-42 buried <nil>
	// true
}

// Without payloads a file is for people.
func ExampleExported_Write() {
	saga, _ := flow.Export(context.Background(), brokerWithADeadLetter(), "order-42")
	var file bytes.Buffer
	_ = saga.Write(&file, flow.ExportOptions{})
	for line := range strings.Lines(file.String()) {
		if strings.Contains(line, `"path"`) || strings.Contains(line, `"error"`) {
			fmt.Println(strings.TrimSpace(line))
		}
	}
	fmt.Println("names the book:", strings.Contains(file.String(), "Dune"))
	// Output:
	// "path": "reserve",
	// "path": "charge",
	// "error": "bank: declined"
	// "path": "reserve",
	// "error": "stock: no such hold"
	// "error": "flow: saga \"order-42\" of \"buy\" is a dead letter: step \"charge\" failed: bank: declined; the undo of \"reserve\" failed: stock: no such hold"
	// names the book: false
}

func ExampleReadExport() {
	saga, _ := flow.Export(context.Background(), brokerWithADeadLetter(), "order-42")
	var file bytes.Buffer
	_ = saga.Write(&file, flow.ExportOptions{Payloads: true})
	again, err := flow.ReadExport(&file)
	fmt.Println(again.ID(), again.Sagas[0].Flow, err)
	_, err = flow.ReadExport(strings.NewReader(`{"skald": "export", "version": 7}`))
	fmt.Println(err)
	// Output:
	// order-42 buy <nil>
	// flow: read an export: it is of version 7, and this Skald reads version 1: use the Skald that wrote it, or a later one
}

// A dead letter goes on elsewhere, with a repaired undo.
func ExampleImport() {
	ctx := context.Background()
	saga, _ := flow.Export(ctx, brokerWithADeadLetter(), "order-42")
	other := inmem.New()
	fmt.Println(flow.Import(ctx, other, saga))
	fmt.Println("twice:", errors.Is(flow.Import(ctx, other, saga), flow.ErrConflict))

	repaired := buying(func(_ context.Context, e step.Effect[string, string]) error {
		fmt.Println("released", e.In)
		return nil
	})
	engine, stop := exampleEngineOn(other, flow.Options{}, repaired)
	defer stop()
	_ = engine.Relay(ctx, "order-42", flow.By{Who: "ada", Why: "the undo is repaired"})
	_, err := repaired.Attach(engine, "order-42").Await(ctx)
	fmt.Println(err)
	// Output:
	// <nil>
	// twice: true
	// released Dune
	// flow: saga "order-42" of "buy" is undone: step "charge" failed: bank: declined
}

func ExampleExported_ID() {
	saga, _ := flow.Export(context.Background(), brokerWithADeadLetter(), "order-42/a-child")
	fmt.Println(saga.ID())
	// Output:
	// order-42
}
