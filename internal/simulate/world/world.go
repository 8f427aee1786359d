// Package world is everything around state machines, on one goroutine and in virtual time: a broker that stores sagas and their mail,
// workers that drive them and may die, be declared dead or lose replies, participants that their steps call, persons who deal
// with dead letters, and an oracle that looks at all of it. A run follows from its Config alone.
package world

import (
	"fmt"
	"strings"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
)

// World is made by New, for a test that says what happens in it, and by Run, where dice do. It is not safe for concurrent use.
type World struct {
	Env     saga.Env
	Now     time.Time
	Faults  int                // how many things may still go wrong with each saga that is started
	Flaky   Flaky              // which of them
	Answers func(*Call) Answer // what an attempt answers when it ends
	Watch   func(*Stored)      // called after each commit; may be nil
	Calls   []*Call            // all attempts, in order of their starts
	Fails   map[string]saga.Failure
	Log     []string

	dice    Dice
	flows   map[string]*definition
	stored  map[string]*Stored
	sagas   []*Stored // in order of their births
	open    []*Stored // that have not finished
	busy    []*Stored // where something can happen now
	early   map[string][]broker.Event
	posts   []post  // mail on its way
	late    []*Call // attempts of dead processes that still run
	strays  []*Process
	workers []*worker
	tokens  int

	acting int  // the number of the saga that does something
	audits bool // others run the sagas

	fatal   func(format string, args ...any)
	silent  bool
	thrifty bool // compares what is loaded with what ran only now and then
	without map[FaultID]bool
	pures   int // calls of pure functions
	mails   int
	tally   Tally
}

// Epoch is when a world begins.
var Epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// New makes a world that serves these flows, and their children. fatal is called with what is wrong, and must not return.
func New(d Dice, fatal func(string, ...any), flows ...*plan.Def) *World {
	w := &World{
		dice: d, Now: Epoch, fatal: fatal, Fails: map[string]saga.Failure{},
		flows: map[string]*definition{}, stored: map[string]*Stored{}, early: map[string][]broker.Event{},
	}
	w.tally.Faults = map[Fault]int{}
	w.Env = saga.Env{
		Payloads: Payloads{}, Errors: texts{}, Namespace: "test",
		Fail:       func(f saga.Failure) error { w.Fails[f.Saga] = f; return &failure{f} },
		Jitter:     func() float64 { return float64(w.dice.N(5)) / 4 },
		MaxPayload: 256 << 10, MaxRecord: 1 << 20, NotYetLimit: 24 * time.Hour, Moment: 100 * time.Millisecond, Keep: time.Hour,
	}
	for range 3 {
		w.hire()
	}
	for _, f := range flows {
		w.serve(f)
	}
	return w
}

// definition is a flow, and what the oracle has to ask of it again and again.
type definition struct {
	*saga.Program
	places map[string]place
	races  bool // there is a race in it
	pivots bool // there is a pivot in it, or in a child
}

func (w *World) serve(def *plan.Def) {
	if w.flows[def.Name] != nil {
		return
	}
	d := &definition{Program: saga.Compile(def), places: map[string]place{}, pivots: turns(def.Root)}
	w.flows[def.Name] = d
	for _, n := range everyNode(def.Root) {
		d.races = d.races || n.Kind == plan.Race
		if n.Kind == plan.Child {
			w.serve(n.Child)
		}
	}
}

// Program gives a flow as machines run it.
func (w *World) Program(flow string) *saga.Program { return w.flows[flow].Program }

// Saga gives a saga that was started, or nil.
func (w *World) Saga(id string) *Stored { return w.stored[id] }

// IDs gives those of all sagas in order of their births.
func (w *World) IDs() (ids []string) {
	for _, s := range w.sagas {
		ids = append(ids, s.ID)
	}
	return ids
}

func everyNode(n *plan.Node) []*plan.Node {
	all := []*plan.Node{n}
	for _, kid := range n.Kids {
		all = append(all, everyNode(kid)...)
	}
	return all
}

func (w *World) logf(format string, args ...any) {
	if w.silent {
		return
	}
	w.Log = append(w.Log, fmt.Sprintf("%8v  ", w.Now.Sub(Epoch).Truncate(time.Millisecond))+fmt.Sprintf(format, args...))
}

// fail ends the run, and tells everything that happened.
func (w *World) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(w.Log) > 0 {
		text += "\n" + strings.Join(w.Log, "\n")
	}
	w.fatal("%s", text)
}
