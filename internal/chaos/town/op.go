package town

import "strings"

// Op is what a step wants of the town: to move Amount of a Ledger from one purse to another, or a pet from one owner to another.
type Op struct {
	Ledger   string `json:",omitempty"` // "money" or "points"; "" is about a pet
	From, To string `json:",omitempty"`
	Amount   int    `json:",omitempty"`
	Pet      string `json:",omitempty"` // From owns it; with an empty To it is set free for the next purchase
}

// Call asks for an op to be done, or for the op of the same step to be undone.
type Call struct {
	Key    string // of idempotency
	Saga   string
	Path   string
	Undo   bool
	Op     Op
	Worker string // who asks
}

// done is the key under which the step of c was, or would be, done.
func (c Call) done() string { return strings.TrimSuffix(c.Key, "/undo") + "/do" }

// undone is the key under which the step of c was, or would be, undone.
func (c Call) undone() string { return strings.TrimSuffix(c.Key, "/do") + "/undo" }

// Verdict is what the town says to a call.
type Verdict string

// The verdicts. All but Done say that nothing was changed by the step.
const (
	Done  Verdict = "done"
	Poor  Verdict = "poor"  // the purse does not hold so much
	Taken Verdict = "taken" // somebody else has the pet, or is about to buy it
	Late  Verdict = "late"  // the step was undone before: this is an attempt of somebody who slept
)
