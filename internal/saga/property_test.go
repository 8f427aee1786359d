package saga_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
)

// simulate runs one random saga among random faults, to its end.
func simulate(d dice, fatal func(string, ...any), decodeAll bool) *world {
	w := newWorld(d, fatal)
	w.env.DecodeAll = decodeAll
	if d.n(4) == 3 {
		simulateOf[box](w, box{N: uint64(d.n(1000))})
	} else {
		simulateOf[num](w, num(d.n(1000)))
	}
	return w
}

func simulateOf[T value[T]](w *world, input T) {
	d := w.dice
	g := newMaker[T](d, &w.pures)
	w.serve(erased(g.saga("main", where{})))
	if d.n(2) == 1 {
		w.env.Moment = 0
	}
	if oneIn(d, 3) {
		w.env.SlowAfter = 200 * time.Millisecond
	}
	w.faults = d.n(16)
	w.flaky = flaky{crash: 30, giveBack: 40, twice: 6, abandon: 5, time: 12, mail: 30, withdraw: 30}
	w.answers = w.roll
	w.answer = input.mix("by hand")
	w.start("main", "m", input)
	w.run()
	for n := 0; w.nudge(input.mix("signal")); n++ {
		if n > 100 {
			w.fail("the sagas do not end, whatever is done for them")
		}
		w.run()
	}
	w.bank.settle()
	w.checkEnd()
}

// nudge does what a person or the world has to do when nothing goes on by itself. It says false if everything has ended.
func (w *world) nudge(signal any) bool {
	for _, s := range w.buried() {
		w.decide(s)
		return true
	}
	for _, id := range w.ids {
		s := w.stored[id]
		if s.state == broker.Parked {
			for _, name := range w.awaited(s) {
				data, _ := payloads{}.Marshal(signal)
				w.post(id, saga.EventSignal, name, data)
				return true
			}
		}
	}
	for _, id := range w.ids {
		if s := w.stored[id]; s.state != broker.Finished {
			w.adopt(s)
			w.fail("%s is left, and nothing will ever happen to it:\n%s", id, s.owner.m.Dump(w.now))
		}
	}
	return false
}

// decide is what a person does with a dead letter.
func (w *world) decide(s *stored) {
	note := saga.Note{Who: "ann", Why: "because"}
	f := w.fails[s.ID]
	switch stuck := stuckUndos(f); {
	case hopeless(f.Cause) || w.bereft(s) || oneIn(w.dice, 10):
		note.Out, _ = payloads{}.Marshal(w.answer)
		if w.dice.n(2) == 0 {
			note.Out, note.Err = nil, []byte("a person ended it")
		}
		s.settled = true
		w.resolve(s, saga.EventSettle, "", note)
	case len(stuck) > 0 && w.dice.n(3) == 0:
		w.resolve(s, saga.EventSkip, pick(w.dice, stuck...), note)
	default:
		if s.relays++; s.relays > 1 && w.faults == 0 {
			w.fail("%s: a relay without faults did not end it", s.ID)
		}
		w.faults = 0
		w.resolve(s, saga.EventRelay, "", note)
	}
}

// hopeless says that a relay meets the same again: the flow has no way on.
func hopeless(err error) bool {
	text := fmt.Sprint(err)
	return strings.Contains(text, "no such case") || strings.Contains(text, "within its rounds")
}

// bereft says that a person ended a child of a saga that is past its pivot.
func (w *world) bereft(s *stored) bool {
	for id, child := range w.stored {
		if s.pivoted && child.settled && strings.HasPrefix(id, s.ID+"/") {
			return true
		}
	}
	return false
}

func stuckUndos(f saga.Failure) (paths []string) {
	for _, u := range f.Undone {
		if u.Err != nil {
			paths = append(paths, u.Path)
		}
	}
	return paths
}

// runs is how many runs a test makes: SAGA_RUNS, or what it makes by itself.
func runs(n uint64) uint64 {
	if more, err := strconv.ParseUint(os.Getenv("SAGA_RUNS"), 10, 64); err == nil {
		return more
	}
	return n
}

func fatal(t *testing.T, seed uint64) func(string, ...any) {
	return func(format string, args ...any) {
		t.Helper()
		t.Logf("seed %d", seed)
		t.Fatalf(format, args...)
	}
}

func TestSimulation(t *testing.T) {
	facts, ends, commits := map[saga.FactKind]int{}, map[string]int{}, 0
	for seed := range runs(2000) {
		w := simulate(newSeeded(seed), fatal(t, seed), seed%2 == 0)
		commits += w.commits
		for _, s := range w.stored {
			ends[s.ending()]++
			for _, f := range s.facts {
				facts[f.Kind]++
			}
		}
	}
	t.Logf("%d commits, sagas %v, facts %v", commits, ends, facts)
	for kind := saga.Done; kind <= saga.Passed; kind++ {
		assert.NotZero(t, facts[kind], "no run records %v", kind)
	}
	for _, end := range []string{"done", "undone", "done by hand", "undone by hand", "done after a relay", "undone after a relay"} {
		assert.NotZero(t, ends[end], "no saga ends %s", end)
	}
}

// ending says in words how a saga ended.
func (s *stored) ending() string {
	o, _ := saga.DecodeOutcome(s.outcome)
	end := map[saga.End]string{saga.Succeeded: "done", saga.Compensated: "undone"}[o.End]
	switch {
	case s.settled:
		return end + " by hand"
	case s.relays > 0:
		return end + " after a relay"
	}
	return end
}

func TestSimulationShrinks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { simulate(drawn{t}, t.Fatalf, rapid.Bool().Draw(t, "decode all")) })
}

// TestLiveValuesAreWhatARestartReads runs each saga twice.
func TestLiveValuesAreWhatARestartReads(t *testing.T) {
	for seed := range runs(1500) {
		live := simulate(newSeeded(seed), fatal(t, seed), false)
		decoded := simulate(newSeeded(seed), fatal(t, seed), true)
		require.Equal(t, live.log, decoded.log, "seed %d", seed)
		for id, s := range live.stored {
			require.Equal(t, s.Journal, decoded.stored[id].Journal, "seed %d, saga %s", seed, id)
			require.Equal(t, s.outcome, decoded.stored[id].outcome, "seed %d, saga %s", seed, id)
		}
	}
}
