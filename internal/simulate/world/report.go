package world

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"
)

// Report tells what happened in runs, and how fast if they took any time.
func (t *Tally) Report(out io.Writer, took time.Duration) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(n int, what string) { fmt.Fprintf(w, "%d\t  %s\n", n, what) }
	row(t.Runs, "runs")
	row(t.Sagas, "sagas of three steps or more, each with a fault at least")
	row(t.Calm, "sagas that ended before their fault came")
	row(t.Children, "children of theirs")
	row(t.Steps, "steps ended")
	row(t.Attempts, "attempts of steps and undos")
	row(t.Commits, "commits")
	faults := 0
	for _, n := range t.Faults {
		faults += n
	}
	row(faults, "faults:")
	for _, kind := range t.Kinds() {
		row(t.Faults[kind], "  "+string(kind))
	}
	fmt.Fprintf(w, "\t  ends:\n")
	for _, end := range slices.Sorted(maps.Keys(t.Ends)) {
		row(t.Ends[end], "  "+end)
	}
	w.Flush()
	if took > 0 {
		fmt.Fprintf(out, "%.0f sagas with faults per minute\n", float64(t.Sagas)/took.Minutes())
	}
}
