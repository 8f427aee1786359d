package world

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/internal/saga"
)

// faults are all that may happen.
var faults = []Fault{
	Refuses, FailsBefore, FailsAfter, FailsForGood, Panics, AsksLater, IsCutOff, UndoFails, UndoRepeats, UndoGivesUp, UndoLater, UndoProceeds,
	DiesBefore, DiesAfter, Dies, WorkerDies, WorkerFenced, CommitFails, ReplyLost, MailTwice, MailStrange, GivenBack, HandedOver, Abandoned, Withdrawn,
}

func TestRuns(t *testing.T) {
	var all Tally
	for seed := range uint64(40) {
		c := Config{Seed: seed, DecodeAll: seed%2 == 1, Thorough: seed%10 == 0}
		w, err := Run(c)
		if err != nil {
			small, v := Shrink(c)
			t.Fatalf("go run ./internal/simulate %s\n%s", small.Flags(), v.What)
		}
		all.Add(w.Tally())
	}
	t.Logf("%+v", all)
	for kind := saga.Done; kind <= saga.Passed; kind++ {
		assert.NotZero(t, all.Facts[kind], "no run records %v", kind)
	}
	for _, end := range []string{"done", "undone", "done by hand", "undone by hand", "done after a relay", "undone after a relay"} {
		assert.NotZero(t, all.Ends[end], "no saga ends %s", end)
	}
	for _, fault := range faults {
		assert.NotZero(t, all.Faults[fault], "%s: in no run", fault)
	}
	assert.Greater(t, all.Sagas, 10*all.Calm, "too many sagas meet no fault")
}

func TestAConfigIsARun(t *testing.T) {
	for seed := range uint64(5) {
		c := Config{Seed: seed, Log: true}
		first, err := Run(c)
		require.NoError(t, err)
		second, err := Run(c)
		require.NoError(t, err)
		require.Equal(t, first.Log, second.Log)
		c.Order++
		other, err := Run(c)
		require.NoError(t, err)
		require.NotEqual(t, first.Log, other.Log, "another order changes nothing")
	}
}

func TestLiveValuesAreWhatARestartReads(t *testing.T) {
	for seed := range uint64(6) {
		live, err := Run(Config{Seed: seed, Log: true})
		require.NoError(t, err)
		decoded, err := Run(Config{Seed: seed, Log: true, DecodeAll: true})
		require.NoError(t, err)
		require.Equal(t, live.Log, decoded.Log, "seed %d", seed)
		for k, s := range live.sagas {
			require.Equal(t, s.Journal, decoded.sagas[k].Journal, "seed %d, saga %s", seed, s.ID)
			require.Equal(t, s.Outcome, decoded.sagas[k].Outcome, "seed %d, saga %s", seed, s.ID)
		}
	}
}

// failsIf pretends that a run fails if it has the saga and the fault.
func failsIf(saga int, fault FaultID, parts int) func(Config) *Violation {
	return func(c Config) *Violation {
		w, err := Run(c)
		if err != nil || orElse(c.Parts, 14) < parts || !slices.Contains(c.numbers(), saga) || !slices.Contains(w.struck(), fault) {
			return nil
		}
		return &Violation{What: "pretended", Family: saga, Faults: w.struck()}
	}
}

func TestShrinkLeavesWhatTheFailureNeeds(t *testing.T) {
	s := &shrinker{c: Config{Seed: 7}, run: failsIf(5, FaultID{5, 1}, 4)}
	s.shrink()
	require.NotNil(t, s.worst)
	assert.Equal(t, []int{5}, s.c.Only)
	assert.Equal(t, 4, s.c.Parts)
	assert.Equal(t, []FaultID{{5, 1}}, s.worst.Faults)
	assert.True(t, s.c.Log)
}

func TestShrinkGivesNothingForARunThatDoesNotFail(t *testing.T) {
	_, v := Shrink(Config{Seed: 7})
	assert.Nil(t, v)
}

func TestFaultIDs(t *testing.T) {
	id, err := ParseFaultID(FaultID{17, 2}.String())
	require.NoError(t, err)
	assert.Equal(t, FaultID{17, 2}, id)
	_, err = ParseFaultID("17")
	assert.ErrorContains(t, err, "should be like 17.2")
}

func TestAViolationIsAnError(t *testing.T) {
	w := New(Loaded{}, func(format string, args ...any) { panic(&Violation{What: "x"}) })
	assert.PanicsWithError(t, "x", func() { w.fail("anything") })
}
