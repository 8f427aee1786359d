//go:build !race

package flow_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/internal/workload"
)

// The budget of a saga in memory: what it allocates in all, broker and caller included. The race detector drops pooled memory
// on purpose, so the budget is checked without it.
func TestBudgetOfASaga(t *testing.T) {
	e := engineFor(t, workload.Success)
	callAll(t, e, workload.Success, inFlight, 20_000)
	var before, after runtime.MemStats
	const n = 50_000
	runtime.ReadMemStats(&before)
	callAll(t, e, workload.Success, inFlight, n)
	runtime.ReadMemStats(&after)
	allocs := float64(after.Mallocs-before.Mallocs) / n
	bytes := float64(after.TotalAlloc-before.TotalAlloc) / n
	t.Logf("%.1f allocations, %.0f bytes a saga", allocs, bytes)
	require.LessOrEqual(t, allocs, 25.0)
	require.LessOrEqual(t, bytes, 3584.0)
}
