// Package saga is the state machine of a run: what a saga has recorded, what follows from it, and what
// is to be recorded and attempted next. It is pure: it reads no clock, starts no goroutine and talks to
// no broker; time, mail and the outcomes of attempts are given to it.
//
// Everything that changes a Machine is a Fact. A fact is made by a decision (a step's outcome, the arm of
// an If, a timer that is due, a cancel), encoded into the journal, and applied. Loading a saga applies the
// same facts in the same order, so a machine that was loaded is in the state of the one that recorded them.
//
// The values that flow between steps are not part of that state: they are computed when somebody needs them, from
// recorded outputs through the pure functions of the flow. So going back calls no pure function.
//
// # Who drives a machine
//
// One goroutine at a time. It makes a Machine with New or Load, gives it events with Mail, and then, again and again:
// Advance; if Transition has something, commits it, says Committed, and gives it the mail that the broker's answer holds;
// cuts off what Stopped names; makes the attempts that Next gives, and tells their outcomes with Report. When there is
// nothing to commit and no attempt to make, it waits for a report, for mail, or until Wake.
//
// # Where things are
//
//	machine, queue, timer   the Machine itself: its memory, what waits in it, and until when
//	program, inst           a definition made ready to run; one node of a run
//	fact, apply, foreign    what is recorded, how it becomes true, and which records are refused
//	forward, decide         nodes begin and end; decisions are made
//	attempt, result, retry  steps run, what came of it, and when they run again
//	suspicion               attempts that may have had an effect which nobody recorded
//	back, undo              the way back: what is cancelled, and the undo of a step
//	race, child, wait       nodes with more to them
//	mail, deadletter        what others want of the saga; what persons decide
//	value                   what enters and leaves nodes
//	transition, load        between the machine and the broker
//	outcome, failure, nodes what there is to tell of a saga
package saga
