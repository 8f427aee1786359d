// Package flow composes steps into flows, and runs sagas of them.
//
//	var Order = flow.New[Request]("order").           // Flow[Request, Request]
//		Also(Reserve, Request.withHold).              // Flow[Request, Held]
//		Use(Charge, Held.cents, Held.withPayment).    // Flow[Request, Paid]
//		If("carrier", Paid.express, Courier, ByPost). // both arms Paid → Label
//		Both("notify", Email, Points, receipt)        // joined by func(Label, string, int) Receipt
//
// # Composition
//
// A part takes a value and promises one: a step.Step, a Flow, or a flow.Child, which is a saga of its
// own. A Flow[I, O] that is not finished promises an O; what is added to it goes on from there:
//
//	Then, Also, Use      run a part on the value; replace it, add to it, or adapt both ways
//	Map                  computes
//	If, When, Switch     run one of several parts, or none
//	Both, All3, Each     run parts side by side, and wait for all of them
//	Race                 runs parts side by side, and undoes all but the first that succeeds
//	Loop                 runs a part until its output satisfies
//	Delay, Wait, WaitFor wait for a time, for a signal, for whichever comes first
//
// Everything that is wrong with a flow, other than a type that the compiler refuses, panics in the
// call that makes the mistake.
//
// # Pure functions
//
// The functions given to a flow – conditions, joins, items – are pure: for equal values they give
// equal values, they do not block, and they change nothing, not even through a pointer, slice or map
// in what they are given. They run again whenever a saga is taken up. What they decided is recorded,
// and not decided again. Only steps touch the world.
//
// # Names
//
// Every step has a durable path in its flow: its name, after the names of what is around it:
// carrier/by-post/audit. If, Switch, Each and the like add their name, arms add nothing; items count
// from 0, rounds from 1: pick[3]/pick, poll#2/ask. Paths are unique: what is used twice is renamed
// with As. Steps lists them.
//
// # Pivots
//
// A pivot is the step after which a saga only goes forward. It stands in the main sequence, or in
// every arm of an If or Switch there, never where other parts run beside it or where it may be left
// out. Behind it no step has a compensation, and nothing races. A child whose flow has a pivot is one.
package flow
