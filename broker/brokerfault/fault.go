package brokerfault

import (
	"errors"
	"time"
)

// ErrInjected is what a call answers that was made to fail: a passing error, after which the call may be
// repeated.
var ErrInjected = errors.New("injected fault")

// Method names a method of a broker or a worker that faults can happen to.
type Method string

// The methods.
const (
	Start   Method = "start"
	Deliver Method = "deliver"
	Lookup  Method = "lookup"
	Resolve Method = "resolve"
	Restore Method = "restore"
	List    Method = "list"
	Stats   Method = "stats"
	Join    Method = "join"
	Receive Method = "receive"
	Commit  Method = "commit"
	Leave   Method = "leave"

	Publish   Method = "publish" // and the other methods of a broker.Bus
	Subscribe Method = "subscribe"
	Hear      Method = "hear" // Subscriber.Receive
	Settle    Method = "settle"
	Groups    Method = "groups"
	Dead      Method = "dead"
	Relive    Method = "relive"
	Drop      Method = "drop"
	Forget    Method = "forget"
	Entries   Method = "entries" // of a broker.Ledger
	Add       Method = "add"
)

// Fault is what happens to a call.
type Fault string

// The faults.
const (
	None       Fault = ""            // nothing
	Fail       Fault = "fail"        // ErrInjected, before any effect
	Lose       Fault = "lose"        // ErrInjected, after the effect: the reply is lost
	Repeat     Fault = "repeat"      // it is made twice, as a resending client would; Receive gives mail a second time
	Delay      Fault = "delay"       // it takes longer, up to Options.MaxDelay
	Reorder    Fault = "reorder"     // Receive answers in another order
	KillBefore Fault = "kill before" // the process of the worker dies before the effect
	KillAfter  Fault = "kill after"  // the process of the worker dies after it, and nobody sees the reply
)

// Call is a call that a fault can happen to.
type Call struct {
	Method Method
	ID     string // of the saga, or the name of the worker for Join, Receive and Leave, else ""
	Nth    int    // counts the calls of Method for ID, from 1, without those that repeat a failed one
	Try    int    // 1, and one more for each time in a row that this wrapper made the call fail before
}

// Rule makes a fault happen to the calls that it matches. Zero fields match everything:
//
//	Rule{Method: Commit, ID: "order-42", Nth: 2, Fault: KillAfter} // once its second commit is applied
//	Rule{Try: 1, Fault: Lose}                                      // every reply is lost once
type Rule struct {
	Method Method
	ID     string
	Nth    int
	Try    int
	Fault  Fault
}

func (r Rule) matches(c Call) bool {
	return (r.Method == "" || r.Method == c.Method) && (r.ID == "" || r.ID == c.ID) &&
		(r.Nth == 0 || r.Nth == c.Nth) && (r.Try == 0 || r.Try == c.Try)
}

// Odds are the probabilities of faults, each between 0 and 1.
type Odds map[Fault]float64

// Options says what goes wrong. The zero value is a wrapper that does nothing.
type Options struct {
	Rules    []Rule        // the first that matches decides
	Odds     Odds          // of calls that no rule matches
	Seed     uint64        // of the odds; 0: a random one
	MaxDelay time.Duration // 10 ms by default

	// Logf, unless nil, is told the seed of the odds and every fault: testing.T.Logf, for example.
	Logf func(format string, args ...any)
}
