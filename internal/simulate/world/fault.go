package world

import "slices"

// Fault is something that goes wrong.
type Fault string

// The faults.
const (
	Refuses      Fault = "a step refuses"
	FailsBefore  Fault = "a step fails before its effect"
	FailsAfter   Fault = "a step fails after its effect"
	FailsForGood Fault = "a step fails for good"
	Panics       Fault = "a step panics"
	AsksLater    Fault = "a step says: not yet"
	IsCutOff     Fault = "a step is cut off"
	UndoFails    Fault = "an undo fails before its effect"
	UndoRepeats  Fault = "an undo fails after its effect"
	UndoGivesUp  Fault = "an undo gives up"
	UndoLater    Fault = "an undo says: not yet"
	UndoProceeds Fault = "an undo proceeds"
	DiesBefore   Fault = "a process dies before a commit"
	DiesAfter    Fault = "a process dies after a commit"
	Dies         Fault = "a process dies"
	WorkerDies   Fault = "a worker dies with all its sagas"
	WorkerFenced Fault = "a worker is declared dead and lives on"
	CommitFails  Fault = "a commit fails and is repeated"
	ReplyLost    Fault = "a commit's reply is lost"
	MailTwice    Fault = "mail comes twice"
	MailStrange  Fault = "mail nobody asked for"
	GivenBack    Fault = "a saga is given back while it runs"
	HandedOver   Fault = "a saga is handed over unread"
	Abandoned    Fault = "an attempt is abandoned"
	Withdrawn    Fault = "an attempt is withdrawn"
)

// Flaky is how often, one in so many times, something goes wrong; 0 is never. Worker counts for each open saga.
type Flaky struct{ Crash, GiveBack, Twice, Abandon, Time, Mail, Withdraw, Worker, Commit int }

// FaultID names one fault of a run: the saga with which everything of it began, and which of its faults it is.
type FaultID struct{ Family, Nth int }

// family is a saga that somebody started, and its children: what goes wrong with one of them follows from dice of their own.
type family struct {
	dice    Dice
	number  int
	left    int // how many things may still go wrong
	rolled  int
	struck  []FaultID
	doomed  int // the attempt that certainly fails, counted from 1; 0: none
	steps   int // attempts
	started bool
}

// strike says 1 if something goes wrong with f, as often as once in k times.
func (w *World) strike(f *family, k int, what Fault) int {
	if k == 0 || f.left <= 0 || !OneIn(f.dice, k) {
		return 0
	}
	if !w.spend(f, what) {
		return 0
	}
	return 1
}

// spend uses up one of the faults of f. It says false if this one is not to happen.
func (w *World) spend(f *family, what Fault) bool {
	f.left--
	f.rolled++
	id := FaultID{f.number, f.rolled}
	if w.without[id] {
		return false
	}
	f.struck = append(f.struck, id)
	w.tally.Faults[what]++
	return true
}

// Kinds gives the faults of a tally, the most frequent first.
func (t *Tally) Kinds() []Fault {
	var kinds []Fault
	for k := range t.Faults {
		kinds = append(kinds, k)
	}
	slices.SortFunc(kinds, func(a, b Fault) int {
		if n := t.Faults[b] - t.Faults[a]; n != 0 {
			return n
		}
		if a < b {
			return -1
		}
		return 1
	})
	return kinds
}
