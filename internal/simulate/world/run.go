package world

import (
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
)

// Config is a run: the same one gives the same run.
type Config struct {
	Seed      uint64
	Order     uint64    // another order in which things happen
	Flows     int       // how many definitions; 0 is 4
	Sagas     int       // how many are started; 0 is 64
	Parts     int       // how large a flow is; 0 is 14
	Only      []int     // the numbers of the sagas that are started; nil: all
	Without   []FaultID // faults that do not happen
	DecodeAll bool      // no live value is used where a restart would read a recorded one
	Log       bool      // tell everything that happens
	Thorough  bool      // look at every commit, not at every eleventh, for what a restart would find
}

// Tally counts what happened in runs.
type Tally struct {
	Runs     int
	Sagas    int // that were started with at least three steps, and met a fault
	Calm     int // that met none
	Children int
	Steps    int // that ended
	Attempts int // of steps and undos
	Commits  int
	Faults   map[Fault]int
	Ends     map[string]int
	Facts    [32]int
}

// Add adds what another tally counted.
func (t *Tally) Add(u *Tally) {
	t.Runs, t.Sagas, t.Calm, t.Children = t.Runs+u.Runs, t.Sagas+u.Sagas, t.Calm+u.Calm, t.Children+u.Children
	t.Steps, t.Attempts, t.Commits = t.Steps+u.Steps, t.Attempts+u.Attempts, t.Commits+u.Commits
	if t.Faults == nil {
		t.Faults, t.Ends = map[Fault]int{}, map[string]int{}
	}
	for k, n := range u.Faults {
		t.Faults[k] += n
	}
	for k, n := range u.Ends {
		t.Ends[k] += n
	}
	for k, n := range u.Facts {
		t.Facts[k] += n
	}
}

// Violation is something that must not happen, and did.
type Violation struct {
	What   string    // is wrong, and what happened if the Config said Log
	Faults []FaultID // that happened
	Family int       // the saga that was looked at
}

// Error tells what is wrong.
func (v *Violation) Error() string { return v.What }

// Run makes a run. The error is a *Violation.
func Run(c Config) (w *World, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *Violation:
			err = p
		default:
			err = &Violation{What: fmt.Sprintf("panic: %v\n%s", p, debug.Stack())}
		}
		if v, ok := err.(*Violation); ok && w != nil {
			v.Faults, v.Family = w.struck(), w.acting
		}
	}()
	w = New(Seeded(c.Seed, c.Order<<20), func(format string, args ...any) { panic(&Violation{What: fmt.Sprintf(format, args...)}) })
	w.begin(c)
	for _, k := range w.chosen(c) {
		w.enter(c, k)
	}
	for n := 0; ; n++ {
		if w.RunOut(); !w.Nudge() {
			break
		}
		if n > 100 {
			w.fail("the sagas do not end, whatever is done for them")
		}
	}
	w.CheckEnd()
	w.count()
	return w, nil
}

// begin sets what may go wrong, and makes the flows.
func (w *World) begin(c Config) {
	w.silent, w.thrifty, w.Env.DecodeAll = !c.Log, !c.Thorough, c.DecodeAll
	w.Answers = w.Roll
	w.Flaky = Flaky{Crash: 60, GiveBack: 80, Twice: 12, Abandon: 5, Time: 12, Mail: 40, Withdraw: 40, Worker: 9, Commit: 40}
	if len(c.Without) > 0 {
		w.without = map[FaultID]bool{}
		for _, id := range c.Without {
			w.without[id] = true
		}
	}
	if w.dice.N(2) == 1 {
		w.Env.Moment = 0
	}
	if OneIn(w.dice, 3) {
		w.Env.SlowAfter = 200 * time.Millisecond
	}
	for k := range c.flows() {
		d := Seeded(c.Seed, 1+uint64(k))
		if k%4 == 3 {
			w.serve(generate[box](d, c, k, &w.pures))
		} else {
			w.serve(generate[Num](d, c, k, &w.pures))
		}
	}
}

func (c Config) flows() int { return orElse(c.Flows, 4) }

func orElse(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// chosen gives the numbers of the sagas that are started.
func (w *World) chosen(c Config) (all []int) {
	for k := range orElse(c.Sagas, 64) {
		if c.Only == nil || slices.Contains(c.Only, k) {
			all = append(all, k)
		}
	}
	return all
}

// enter starts the k-th saga. One of its first three attempts meets a fault.
func (w *World) enter(c Config, k int) {
	d := Seeded(c.Seed, 1000+uint64(k))
	f := &family{dice: d, number: k, left: 1 + d.N(8), doomed: 1 + d.N(3), started: true}
	flow := fmt.Sprintf("flow%d", d.N(c.flows()))
	var input any = Num(d.N(1000))
	if w.flows[flow].Def.Root.In.Zero() != any(Num(0)) {
		input = box{N: uint64(d.N(1000))}
	}
	w.startIn(f, flow, fmt.Sprintf("saga%d", k), input)
}

// struck gives the faults that happened.
func (w *World) struck() (all []FaultID) {
	for _, s := range w.sagas {
		if !strings.Contains(s.ID, "/") {
			all = append(all, s.family.struck...)
		}
	}
	return all
}

// count adds up what happened.
func (w *World) count() {
	w.tally.Runs, w.tally.Ends = 1, map[string]int{}
	for _, s := range w.sagas {
		w.tally.Ends[s.ending()]++
		switch {
		case strings.Contains(s.ID, "/"):
			w.tally.Children++
		case len(s.family.struck) == 0:
			w.tally.Calm++
		default:
			w.tally.Sagas++
		}
	}
}

// Tally gives what happened.
func (w *World) Tally() *Tally { return &w.tally }

// ending says in words how a saga ended.
func (s *Stored) ending() string {
	o, _ := saga.DecodeOutcome(s.Outcome)
	end := "done"
	if o.End == saga.Compensated {
		end = "undone"
	}
	switch {
	case s.settled:
		return end + " by hand"
	case s.Relays > 0:
		return end + " after a relay"
	}
	return end
}

// generate makes the k-th flow.
func generate[T value[T]](d Dice, c Config, k int, pures *int) *plan.Def {
	g := newMaker[T](d, fmt.Sprintf("f%d", k), orElse(c.Parts, 14), pures)
	return Erased(g.saga(fmt.Sprintf("flow%d", k), where{root: true}))
}
