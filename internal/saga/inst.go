package saga

import (
	"strconv"
	"time"

	"github.com/skald-go/skald/internal/plan"
)

// phase is how far a node has come on its way forward.
type phase uint8

const (
	open    phase = iota // entered, and not at its end
	done                 // has its output
	refused              // ended without an effect
	failed               // ended, and its effect is unknown
	void                 // was cancelled before it did anything
)

// back is how far a node has come on its way back.
type back uint8

const (
	ahead   back = iota // nobody asked it to go back
	undoing             // it was asked
	undone              // it is back, or its undo failed for good
)

// inst is one node of a run. A Loop's or Each's kids are as many as its rounds or items.
type inst struct {
	op        *op
	up        *inst
	kids      []*inst
	index     int32 // item (from 0) or round (from 1) in up; -1 elsewhere
	phase     phase
	back      back
	cancelled bool  // it goes forward no more
	own       bool  // its own undo runs first, and may answer Proceed
	proceeded bool  // its own undo has answered Proceed
	running   bool  // an attempt runs in this process
	queued    bool  // in Machine.runnable
	suspect   bool  // an attempt may have had an effect that is not recorded
	noted     bool  // suspect stands in the journal
	saved     bool  // inData stands in the journal
	asking    bool  // its kids are just being asked to go back
	owed      bool  // its undo failed for good, and the others went on without it
	fresh     bool  // suspect only says that an attempt runs now
	halted    bool  // failed for good: waits for a person
	kept      bool  // its effect stays
	ended     bool  // a child whose saga has ended: it cannot be undone any more
	stays     bool  // a child that a person ended as done
	forward   bool  // a child after the pivot
	overdue   bool  // a child of another service that did not answer in time
	decided   bool  // Choice, Each, Delay, Wait: the decision is recorded
	attempts  int   // of do that counted
	pick      int32 // Choice: the arm; Race: the winner; Each: how many items have been entered
	pending   int32 // All, Each: kids that are not done
	in, out   any
	hasIn     bool
	hasOut    bool
	inData    []byte // what entered, if it is not a recorded output
	outData   []byte // recorded output, items, reply or signal
	trouble   *trouble
	path      string
}

// trouble is what only an inst that met some has.
type trouble struct {
	next     time.Time // not before
	since    time.Time // first NotYet
	failure  lastError // of the way forward
	undoing  lastError // of the undo
	undos    int       // attempts of the undo that counted
	fails    []*inst   // of a boundary: what failed in it, in order
	order    int       // of its failure among all
	timer    int       // generation of its live timer
	dirty    bool      // next, attempts or err are not recorded
	tries    int       // facts in the journal that say it waits for its next attempt
	memo     []byte    // the last such fact, if it stands in the memo
	notYet   bool
	dead     lastError // of a child of another service that is a dead letter there
	kept     []string  // of a child
	attempts int       // Error.Attempts of a child
}

func (i *inst) ill() *trouble {
	if i.trouble == nil {
		i.trouble = new(trouble)
	}
	return i.trouble
}

// Path is the durable name of i.
func (i *inst) Path() string {
	if !i.op.dynamic {
		return i.op.path
	}
	if i.path == "" {
		i.path = join(i.prefix(), i.op.Name)
	}
	return i.path
}

// prefix is the path of what i is in.
func (i *inst) prefix() string {
	switch up := i.up; {
	case up == nil:
		return ""
	case up.op.Kind == plan.Each:
		return up.Path() + "[" + strconv.Itoa(int(i.index)) + "]"
	case up.op.Kind == plan.Loop:
		return up.Path() + "#" + strconv.Itoa(int(i.index))
	case up.op.Name != "":
		return up.Path()
	default:
		return up.prefix()
	}
}

// backward says that the undo of i is to be run, or waits for something.
func (i *inst) backward() bool { return i.back == undoing || i.owed }

// leaf says that i does something itself.
func (i *inst) leaf() bool { return i.op.Kind == plan.Step || i.op.Kind == plan.Child }

// boundary is the largest part that fails when i fails: a competitor of a race, or the whole saga.
func (i *inst) boundary() *inst {
	for i.up != nil && i.up.op.Kind != plan.Race {
		i = i.up
	}
	return i
}

// walk visits i and everything entered below it.
func (i *inst) walk(visit func(*inst)) {
	visit(i)
	for _, kid := range i.kids {
		if kid != nil {
			kid.walk(visit)
		}
	}
}
