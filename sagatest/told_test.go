package sagatest_test

import (
	"os"
	"os/exec"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/sagatest"
)

// brokenSaga has the test binary run TestBrokenSaga, which fails, in a process of its own.
const brokenSaga = "SAGATEST_BROKEN_SAGA"

func TestBrokenSaga(t *testing.T) {
	world := buying()
	switch os.Getenv(brokenSaga) {
	case "undo":
		sagatest.Matrix(t, variants[0].saga, world)
	case "names":
		world.Expect, world.Skip = map[string]flow.State{"pay/refused": flow.StateDone}, map[string]string{"ship": "no reason"}
		sagatest.Matrix(t, (*town).Buy, world)
	case "input":
		world.Input = nil
		sagatest.Matrix(t, (*town).Buy, world)
	case "world":
		world.Limit, world.Patience, world.Attempts = -1, -1, -1
		world.Invariants = []sagatest.Invariant[*town]{{}, sagatest.NothingHeld[*town]("stock", nil), sagatest.Conserved[*town, int]("points", nil)}
		world.Expect = map[string]flow.State{"charge/refused": flow.StateRunning}
		world.Pairs = []sagatest.Pair{{Step: sagatest.RunsTwice, Undo: sagatest.Cancelled}}
		sagatest.Matrix(t, (*town).Buy, world)
	case "keeps":
		world.Keeps, world.Expect = []string{"charrge", "charge"}, map[string]flow.State{"announce/undo-runs-twice": flow.StateDone}
		world.Expect["announce/undo-fails-once"] = flow.StateUndone
		sagatest.Matrix(t, (*town).Buy, world)
	case "examine":
		world.Expect = map[string]flow.State{"pay/refused": flow.StateDone}
		sagatest.Examine(t, (*town).Buy, world)
	case "bubble":
		synctest.Test(t, func(t *testing.T) { sagatest.Matrix(t, (*town).Buy, world) })
	default:
		t.Skip("it fails: other tests run it in a process of its own")
	}
}

func runBroken(t *testing.T, which, pattern string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", pattern)
	cmd.Env = append(os.Environ(), brokenSaga+"="+which)
	out, err := cmd.CombinedOutput()
	require.Error(t, err, "%s", out)
	return string(out)
}

func TestMatrixFailsWithTheMistakeAndHowToRunItAgain(t *testing.T) {
	out := runBroken(t, "undo", "^TestBrokenSaga$")
	for _, text := range []string{
		"--- FAIL: TestBrokenSaga/charge/undo-runs-twice",
		"undo charge, undo-runs-twice: undone",
		"not as it was: the saga is undone, and the world differs: Points[ada]: 140, was 100; Points[shop]: -40, was 0",
		"mistake: the undo of charge is not idempotent: after its second run: Points[ada]: 140, was 100; Points[shop]: -40, was 0",
		"undo charge [undo-runs-twice]",
		"again: go test -run '^TestBrokenSaga$/^charge$/^undo-runs-twice$'",
		"5 of them with mistakes",
		"mistake in 3 cells, such as charge/undo-loses-reply:\n            the undo of charge is not idempotent",
		"undo reserve   undo-runs-twice ",
	} {
		assert.Contains(t, out, text)
	}
	assert.NotContains(t, out, "FAIL: TestBrokenSaga/reserve")
}

func TestASingleCellRunsAgain(t *testing.T) {
	out := runBroken(t, "undo", "^TestBrokenSaga$/^charge$/^undo-runs-twice$")
	assert.Contains(t, out, "mistake: the undo of charge is not idempotent")
	assert.NotContains(t, out, "FAIL: TestBrokenSaga/charge/undo-loses-reply")
}

func TestNamesOfCellsThatDoNotExist(t *testing.T) {
	assert.Contains(t, runBroken(t, "names", "^TestBrokenSaga$"),
		"sagatest: the matrix has no such cells: World.Expect: pay/refused, World.Skip: ship")
}

func TestAMatrixNeedsAWorld(t *testing.T) {
	assert.Contains(t, runBroken(t, "input", "^TestBrokenSaga$"), "sagatest: the matrix cannot run:\n          World.Input is needed\n")
}

func TestAWorldThatCannotBe(t *testing.T) {
	out := runBroken(t, "world", "^TestBrokenSaga$")
	for _, says := range []string{
		"World.Limit is -1ns", "World.Patience is -1ns", "World.Attempts is -1",
		`World.Invariants[0] ("") has no function that checks`, `World.Invariants[1] ("stock") has no function that checks`, `World.Invariants[2] ("points")`,
		`World.Expect of "charge/refused" is running, and a cell ends as StateDone, StateUndone or StateDeadLetter`,
		`World.Pairs: no step fails by "runs-twice"`, `World.Pairs: "cancelled" is no fault of an undo`,
	} {
		assert.Contains(t, out, says)
	}
}

func TestWhatIsKeptMustBeAStepWithAnEffectThatStays(t *testing.T) {
	out := runBroken(t, "keeps", "^TestBrokenSaga$")
	assert.Contains(t, out, "World.Keeps: charrge is no step; these are: reserve, charge, deliver, announce; charge has a compensation")
	assert.Contains(t, out, "World.Expect: announce/undo-fails-once (it has no compensation)")
	assert.Contains(t, out, "World.Expect: announce/undo-runs-twice")
}

func TestExamineFindsNamesThatDoNotExist(t *testing.T) {
	assert.Contains(t, runBroken(t, "examine", "^TestBrokenSaga$"), "sagatest: the matrix has no such cells: World.Expect: pay/refused")
}

func TestAMatrixInABubble(t *testing.T) {
	assert.Contains(t, runBroken(t, "bubble", "^TestBrokenSaga$"), "sagatest: Matrix and Examine make a bubble for each cell: call them outside of synctest.Test")
}
