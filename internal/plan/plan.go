// Package plan holds the erased tree of a flow: what the typed constructors of step and flow build,
// and what the state machine and the pictures read. Types end here: the closures of a Node were made
// by generic code that knew them, and everything behind takes and gives values as any.
//
// Nodes are immutable once built, and shared by every flow and saga that uses them.
package plan

import (
	"context"
	"time"
)

// Kind says what a node does with the value that reaches it.
type Kind uint8

// The kinds of nodes. Only nodes with a Name have a segment in the paths of what is inside them.
const (
	Step   Kind = iota + 1 // calls the world
	Seq                    // Kids one after the other; Name is set if it is a named flow inside another
	Map                    // Pure
	Join                   // Adapt, then Kids[0], then Combine; Also and Use
	Choice                 // one of Kids, or none; If, When, Switch
	All                    // all Kids side by side; Both, All3
	Each                   // Kids[0] for every item
	Race                   // all Kids side by side, the first success wins
	Loop                   // Kids[0] until satisfied
	Delay                  // goes on later
	Wait                   // for a signal; Kids[0], if any, when it is late
	Child                  // a saga of its own
)

var kindNames = [...]string{"", "step", "flow", "map", "join", "choice", "all", "each", "race", "loop", "delay", "wait", "child"}

// String gives the kind in lower case; it is part of fingerprints.
func (k Kind) String() string { return kindNames[k] }

// Node is one node of a flow's tree. Which fields are set depends on Kind.
type Node struct {
	Kind    Kind
	Name    string // durable; empty for Map, Join and a flow that is not inside another
	Kids    []*Node
	In, Out *Type // of the value that enters and leaves

	Step     *StepSpec // Step
	Settings *Settings // Seq: flow-wide settings, or nil
	Child    *Def      // Child, unless Remote
	Remote   *Remote   // Child: what another service runs

	Pure     func(in any) any             // Map
	Adapt    func(in any) any             // Join: nil passes the value itself
	Combine  func(in, out any) any        // Join, Wait: what is known, and what came
	Pick     func(in any) (int, error)    // Choice: index of a kid, or None
	Labels   []string                     // Choice: names of the arms, for people
	Optional bool                         // Choice: Pick may give None
	Gather   func(in any, outs []any) any // All, Each
	Items    func(in any) any             // Each: a slice, of type ItemsType
	Count    func(items any) int          // Each
	Item     func(items any, i int) any   // Each
	Slice    *Type                        // Each: the type of what Items gives
	Parallel int                          // Each: how many items at once; 0: all
	Until    func(out any) bool           // Loop
	Max      int                          // Loop: rounds
	For      func(in any) time.Duration   // Delay
	Signal   string                       // Wait
	Letter   *Type                        // Wait: the type of the signal
	Within   time.Duration                // Wait: 0 waits for ever
}

// None is what Pick gives when no kid is to run and the value goes on as it is.
const None = -1

// Otherwise is the label of the arm that a Switch takes for every key that no other arm names.
const Otherwise = "default"

// Typed is a Node with the types that its constructors proved.
type Typed[I, O any] struct{ *Node }

// Def is a whole flow: the root of a tree, under a name.
type Def struct {
	Name string
	Root *Node // Seq
}

// Remote is a flow of another service.
type Remote struct {
	Service, Flow string
	Timeout       time.Duration // how long its outcome is waited for; 0: for ever
	Contract      string        // what goes in and comes out, as Contract gives it
	Alone         *Def          // a flow of nothing else
}

// Settings are what a flow says of all of its sagas.
type Settings struct {
	Version      int           // 0 is version 1
	Deadline     time.Duration // 0: none
	UndoInOrder  bool          // parallel parts are undone one after the other
	StopAtFailed bool          // an undo that failed for good stops the undos that would follow it

	KeyedBy func(in any) string   // orders sagas by key; nil: no order
	Lock    func(in any) []string // what a saga locks; nil: nothing
	Refuse  bool                  // a start whose Lock another saga holds is refused; otherwise it waits
}

// StepSpec is what a step knows of itself.
type StepSpec struct {
	Do        func(ctx context.Context, in any) (any, error)
	Undo      func(ctx context.Context, e Effect) error // nil: none
	Retry     Retry
	RetryUndo Retry
	Timeout   time.Duration // of one attempt, do or undo
	Refuses   []error
	Pivot     bool
	Retriable bool
	ReadOnly  bool
	Pass      bool // the output is the input itself, and is not recorded
}

// Retry is a policy with every field set.
type Retry struct {
	Attempts        int // in all
	Delay, MaxDelay time.Duration
}

// Effect is the erased form of step.Effect.
type Effect struct {
	In, Out any // Out is the zero value of its type if not Known
	Known   bool
	Cause   error
}

// WithName returns a copy of n under another name.
func (n *Node) WithName(name string) *Node {
	c := *n
	c.Name = name
	return &c
}

// Version is the version of the flow, at least 1.
func (d *Def) Version() int {
	if s := d.Root.Settings; s != nil && s.Version > 0 {
		return s.Version
	}
	return 1
}
