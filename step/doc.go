// Package step defines what a step of a saga is: a function, its compensation, and its policies.
//
//	var Charge = step.New("charge", bank.Charge).
//		Compensate(bank.Refund).
//		Refuses(bank.ErrDeclined).
//		Retry(step.Retry{Attempts: 5}).
//		Timeout(5 * time.Second)
//
// # What an outcome means
//
//	returned by the step        means                               tried again   its own undo
//	nil                         done                                –             yes, Known
//	Refused(err), or Refuses    it had no effect                    no            no
//	any other error, a panic,   failed: the outcome is unknown      by Retry      yes, not Known
//	  a timeout, a dead worker
//	Permanent(err)              unknown, useless to try again       no            yes, not Known
//	NotYet(d)                   ask again, not an attempt           after d       –
//
// A refusal counts only if no attempt may have had an effect: after an attempt whose outcome is
// unknown, it ends the step as unknown, so that the undo runs.
//
// An undo returns nil when it is done, an error to be called again by RetryUndo, NotYet, GiveUp, or
// Effect.Proceed. Both may run more than once, at any time, in any process: InfoFrom(ctx).Key() tells a repeat.
package step
