package main

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// The program runs itself as a worker. In a test that is the test's.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, workerCommand) {
		if err := run(context.Background(), []string{workerCommand}, os.Stdout); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func TestBothTablesHaveAllRows(t *testing.T) {
	var out bytes.Buffer
	args := "-rounds 1 -length 20ms -callers 8 -redis-callers 8 -left 0 -progress=false"
	require.NoError(t, run(t.Context(), strings.Fields(args), &out))
	for _, row := range []string{
		"with step timeouts", "floor El", "floor E", "skald, local start", "skald, rollback", "skald, two processes",
		"floor El, one at a time", "skald, one at a time", "an event a step, batched (A)", "an event a step, unbatched (N)",
		"skald, second step in another service", "an event that three groups handle", "a remote step adds",
	} {
		assert.Contains(t, out.String(), row)
	}
	for _, goal := range []string{"% (≥ 60)", "% (≥ 50)", "(≤ 2.5)", "(≤ 1600)", "(≤ 25)", "x (≤ 1.5)", "(≤ 8)", "(≤ 50)", "(≤ 10)"} {
		assert.Contains(t, out.String(), goal)
	}
}

func TestNumbersThatMakeNoSenseAreRefused(t *testing.T) {
	for _, args := range []string{"-on paper", "-rounds 0", "-length 0s", "-callers 0", "-redis-callers x"} {
		assert.Error(t, run(t.Context(), strings.Fields(args), &bytes.Buffer{}), args)
	}
}

func TestMedian(t *testing.T) {
	of := func(runs ...float64) float64 { return median(runs, func(f float64) float64 { return f }) }
	assert.Equal(t, 2.0, of(3, 1, 2))
	assert.Equal(t, 1.0, of(1))
}
