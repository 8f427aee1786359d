package sagatest_test

import (
	"os"
	"os/exec"
	"testing"

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
	assert.Contains(t, runBroken(t, "input", "^TestBrokenSaga$"), "sagatest: Matrix needs a saga, World.New and World.Input")
}
