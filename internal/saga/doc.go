// Package saga is the state machine of a run: what a saga has recorded, what follows from it, and what
// is to be recorded and attempted next. It is pure: it reads no clock, starts no goroutine and talks to
// no broker; time, mail and the outcomes of attempts are given to it.
//
// Everything that changes a Machine is a Fact. A fact is made by a decision (a step's outcome, the arm of
// an If, a timer that is due, a cancel), encoded into the journal, and applied. Loading a saga applies the same facts in the same order,
// so a machine that was loaded is in the state of the one that recorded them.
//
// The values that flow between steps are not part of that state: they are computed when somebody needs them, from
// recorded outputs through the pure functions of the flow. So going back calls no pure function.
package saga
