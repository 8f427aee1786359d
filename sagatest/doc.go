// Package sagatest finds the mistakes of a saga before production does: the step that had its effect and lost its reply, the undo that ran
// twice, the worker that died between two steps.
//
// # The matrix
//
// Matrix runs a saga on a broker in memory and in virtual time, once for each point of failure of its own definition, each time in a
// fresh world, and checks how it ends:
//
//	func TestOrder(t *testing.T) {
//		sagatest.Matrix(t, (*Shop).Order, sagatest.World[*Shop, Request]{
//			New:      NewShop,
//			Input:    func(*Shop) Request { return Request{Customer: "ada", Cents: 4200} },
//			Snapshot: (*Shop).Books, // what is as before when the saga is undone
//			Invariants: []sagatest.Invariant[*Shop]{
//				sagatest.Conserved("money", (*Shop).AllMoney),
//				sagatest.NothingHeld("stock", (*Shop).Holds),
//			},
//			Options: flow.Options{Errors: Errors},
//		})
//	}
//
// A saga is a function of its world, such as a method, and a world is the saga's participants as fakes in memory. Every cell is a
// subtest, and what it says when it fails names the mistake and its place, and how to run it again:
//
//	undo charge, undo-runs-twice: undone (…); undone: charge, reserve
//	    invariant: money: 142, was 100
//	    mistake: the undo of charge is not idempotent: after its second run: money: 142, was 100
//	    again: go test -run '^TestOrder$/^charge$/^undo-runs-twice$'
//
// World lists what can be said besides: signals, what others do meanwhile, participants that fail, outcomes that are expected, pairs of faults.
// Fault lists what goes wrong. Examine gives the same as a Report, and fails nothing.
//
// # Single runs
//
// Given tests one run, in a bubble of package testing/synctest: what goes wrong, what comes, and what is expected of it.
//
//	synctest.Test(t, func(t *testing.T) {
//		sagatest.Given(t, shop.Order(), flow.Options{Errors: Errors}).
//			LoseReply("charge").
//			Start(request).
//			Waits("card-chosen").
//			After(time.Hour).
//			Signal(CardChosen, "visa").
//			Ran("reserve").Undid("charge", "reserve").Undone(sagatest.ErrInjected)
//	})
//
// Case has Refuse, Fail, LoseReply, Crash, FailUndo and Inject, each for a path, then Start. Run has After, Signal and Cancel, the
// expectations Waits, Ran, Undid, Gives, Undone, RefusedWith and DeadLetter, and Result and Calls.
//
// # What was executed
//
// A Recorder keeps every attempt of every step and undo. It is a flow.Interceptor, and works with any engine:
//
//	var rec sagatest.Recorder
//	engine := flow.NewEngine(broker, flow.Options{Interceptors: []flow.Interceptor{rec.Intercept}})
//
// # Production in a test
//
// Replay lets a saga that was exported from production (skald export --payloads, flow.Export) go on with the present code: a dead letter is relayed,
// and what waited goes on at its time. Golden keeps the durable names of a saga in a file. Compatible says whether the sagas of a definition that
// was deployed can go on with the present one. The files of both are written when SKALD_UPDATE is 1 in the environment.
package sagatest
