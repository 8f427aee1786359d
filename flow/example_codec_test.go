package flow_test

import (
	"bytes"
	"context"
	"fmt"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

func ExampleJSON() {
	type order struct {
		Book  string `json:"book"`
		Cents int    `json:"cents"`
	}
	sell := step.Do("sell", func(context.Context, order) error { return nil })
	buy := flow.New[order]("buy").Then(sell)

	// Whoever looks into the store can read it. All engines of a broker need the same Codec.
	engine, stop := exampleEngine(flow.Options{Codec: flow.JSON()}, buy)
	defer stop()
	future, _ := buy.Start(context.Background(), engine, order{"Dune", 1290})
	fmt.Println(future.Await(context.Background()))

	stored, _ := flow.JSON().Marshal(order{"Dune", 1290})
	fmt.Println(string(stored))
	// Output:
	// {Dune 1290} <nil>
	// {"book":"Dune","cents":1290}
}

func ExampleCipher() {
	secret := bytes.Repeat([]byte{7}, 32) // from where you keep secrets
	codec, err := flow.Cipher(flow.MsgPack(), flow.Key{ID: "2025-01", Secret: secret})
	if err != nil {
		fmt.Println(err)
		return
	}
	stored, _ := codec.Marshal("4111 1111 1111 1111")
	fmt.Println(bytes.Contains(stored, []byte("4111")))

	pay := flow.New[string]("pay").Then(step.Do("charge", func(context.Context, string) error { return nil }))
	engine, stop := exampleEngine(flow.Options{Codec: codec}, pay)
	defer stop()
	future, _ := pay.Start(context.Background(), engine, "4111 1111 1111 1111")
	fmt.Println(future.Await(context.Background()))
	// Output:
	// false
	// 4111 1111 1111 1111 <nil>
}

func ExampleCipher_rotation() {
	before := flow.Key{ID: "2024", Secret: bytes.Repeat([]byte{1}, 32)}
	after := flow.Key{ID: "2025", Secret: bytes.Repeat([]byte{2}, 32)}
	old, _ := flow.Cipher(nil, before)
	stored, _ := old.Marshal("Dune")

	// The first key seals, all of them open.
	rotated, _ := flow.Cipher(nil, after, before)
	var book string
	fmt.Println(rotated.Unmarshal(stored, &book), book)

	// Without the old key its values are lost.
	alone, _ := flow.Cipher(nil, after)
	fmt.Println(alone.Unmarshal(stored, &book))
	// Output:
	// <nil> Dune
	// it is sealed with key "2024", which the codec does not have
}
