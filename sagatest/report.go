package sagatest

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/skald-go/skald/flow"
)

// Report is what the cells of a matrix came to.
type Report struct {
	Cells    []Cell
	Failures []Cell // those in which something is wrong
}

// Cell is one saga with what went wrong in it.
type Cell struct {
	Name    string // of its subtest
	Path    string // of the step or wait
	Undo    bool   // its undo was made to fail
	Fault   Fault
	None    string     // why the fault cannot happen; then there is nothing else
	State   flow.State // StateUnknown if it did not end
	Relayed bool       // it was a dead letter on its way
	Undone  []string   // paths, in order
	Broken  []string   // what is wrong
	Mistake Mistake    // that probably is behind it
}

// Mistake is what is probably wrong with a saga.
type Mistake struct {
	Step string // path of the step in whose definition it is; empty if that is not known
	Text string
}

func (x *explorer) report(skip map[string]string) Report {
	var r Report
	for _, c := range x.cells {
		cell := x.cellOf(c)
		if why := skipped(skip, c); why != "" {
			cell.None = why
		}
		if cell.None == "" && c.result == nil {
			continue // go test -run left it out
		}
		r.Cells = append(r.Cells, cell)
		if len(cell.Broken) > 0 && cell.None == "" {
			r.Failures = append(r.Failures, cell)
		}
	}
	return r
}

func (x *explorer) cellOf(c *cell) Cell {
	cell := Cell{Name: c.name(), Path: c.node.path, Undo: c.node.undo, Fault: c.fault, None: c.none}
	if r := c.result; r != nil && c.none == "" {
		cell.State, cell.Relayed, cell.Undone = r.final.State, r.final.Relayed, r.undos()
		for _, p := range r.broken {
			cell.Broken = append(cell.Broken, p.String())
		}
		if len(r.broken) > 0 {
			cell.Mistake = x.diagnose(c)
		}
	}
	return cell
}

// String is a table for people: a line for each cell, and what is wrong.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d cells, %d of them with mistakes\n", r.ran(), len(r.Failures))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "node\tfault\toutcome\tundone, in order\t\n")
	for _, c := range r.Cells {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", c.node(), c.Fault, c.outcome(), strings.Join(c.Undone, ", "), firstLine(c.verdict()))
	}
	_ = w.Flush()
	for _, m := range r.Mistakes() {
		fmt.Fprintf(&b, "\nmistake in %d cells, such as %s:\n    %s\n", m.Cells, m.First, m.Text)
	}
	return b.String()
}

// Found is a mistake with the cells that show it.
type Found struct {
	Mistake
	Cells int    // how many
	First string // name of one
}

// Mistakes lists what is probably wrong, each once, that with the most cells first.
func (r Report) Mistakes() []Found {
	var list []Found
	for _, c := range r.Failures {
		k := slices.IndexFunc(list, func(f Found) bool { return f.Step == c.Mistake.Step && f.kind() == c.Mistake.kind() })
		if k < 0 {
			k = len(list)
			list = append(list, Found{Mistake: c.Mistake, First: c.Name})
		}
		list[k].Cells++
	}
	slices.SortStableFunc(list, func(a, b Found) int { return cmp.Compare(b.Cells, a.Cells) })
	return list
}

// kind is what mistakes of one kind have in common.
func (m Mistake) kind() string {
	kind, _, _ := strings.Cut(m.Text, ": ")
	return kind
}

func (r Report) ran() (n int) {
	for _, c := range r.Cells {
		if c.None == "" {
			n++
		}
	}
	return n
}

func (c Cell) node() string { return node{c.Path, c.Undo}.String() }

func (c Cell) outcome() string {
	switch {
	case c.None != "":
		return "–"
	case c.Relayed:
		return "dead letter, " + c.State.String()
	}
	return c.State.String()
}

func (c Cell) verdict() string {
	switch {
	case c.None != "":
		return "not applicable: " + c.None
	case len(c.Broken) > 0:
		return "✗ " + c.Mistake.Text
	}
	return ""
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func (c *cell) title() string {
	if c.fault == NoFault {
		return string(NoFault)
	}
	return fmt.Sprintf("%s, %s", c.node, c.fault)
}

func (r *result) outcome() string {
	text := r.final.State.String()
	if r.final.Relayed {
		text = "dead letter, relayed: " + text
	}
	if r.final.Err != nil {
		text += " (" + r.final.Err.Error() + ")"
	}
	return text
}

// replay is the command that runs one cell.
func replay(test, cell string) string {
	var parts []string
	for part := range strings.SplitSeq(test+"/"+cell, "/") {
		parts = append(parts, "^"+regexp.QuoteMeta(strings.ReplaceAll(part, " ", "_"))+"$")
	}
	return "go test -run '" + strings.Join(parts, "/") + "'"
}
