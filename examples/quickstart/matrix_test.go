package main

import (
	"testing"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/sagatest"
)

func TestMatrix(t *testing.T) {
	type nothing struct{}
	sagatest.Matrix(t, func(nothing) flow.Flow[Order, string] { return Buy }, sagatest.World[nothing, Order]{
		New:     func() nothing { return nothing{} },
		Input:   func(nothing) Order { return Order{"Dune", "visa"} },
		Options: flow.Options{Errors: errcodec.New(errcodec.Sentinel("bank.declined", ErrDeclined))},
	})
}
