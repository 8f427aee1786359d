package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/chaos/history"
	"github.com/skald-go/skald/internal/chaos/sagas"
)

// tally is what happened in a run.
type tally struct {
	Acked, Checked int            // sagas started, and histories checked (children have one of their own)
	Outcomes       map[string]int // by kind of saga and end
	Faults         map[string]int
	Takeovers      int // sagas received from a dead worker
	Fenced         int // commits refused because their worker was declared dead
	Stale          int // commits refused because another went on with the saga
	Unknown        int // commits and starts that failed, or whose process died meanwhile
	Repeats        int // calls to the town whose key was known
	Late           int // calls to the town by an attempt whose step had been undone
	Told           int // how often a caller was told how a saga ended
}

func (r *run) count(ctx context.Context, entries []history.Entry, checked int) (*tally, error) {
	t := &tally{Acked: r.desk.acks, Checked: checked, Outcomes: map[string]int{}, Faults: r.deck.counts}
	for _, s := range r.desk.sagas {
		t.Told += s.told
		if s.outcome != nil {
			t.Outcomes[s.job.Kind()+" "+s.outcome.End]++
		}
	}
	for _, e := range entries {
		switch {
		case e.Method == "receive" && e.Takeovers > 0:
			t.Takeovers++
		case e.Method != "commit" && e.Method != "start":
		case strings.Contains(e.Err, broker.ErrFenced.Error()):
			t.Fenced++
		case strings.Contains(e.Err, broker.ErrStale.Error()):
			t.Stale++
		case e.Open || e.Err != "":
			t.Unknown++
		}
	}
	var err error
	t.Repeats, t.Late, err = r.town.Repeats(ctx)
	return t, err
}

// demand notes what there was too little of.
func (r *run) demand(t *tally) {
	if t.Acked < r.Sagas {
		r.desk.found("", fmt.Sprintf("%d sagas were started in twice the time, %d are asked for", t.Acked, r.Sagas))
	}
	if least := r.deck.least(); least < r.Faults {
		r.desk.found("", fmt.Sprintf("a kind of fault happened %d times in twice the time, %d are asked for", least, r.Faults))
	}
}

func (t *tally) print(w io.Writer) {
	fmt.Fprintf(w, "  sagas          %6d acknowledged, %d answers to callers, %d histories checked\n", t.Acked, t.Told, t.Checked)
	for _, k := range slices.Sorted(maps.Keys(t.Outcomes)) {
		fmt.Fprintf(w, "    %-24s %6d\n", k, t.Outcomes[k])
	}
	fmt.Fprintf(w, "  takeovers      %6d\n  commits        %6d fenced, %d stale, %d calls with an unknown outcome\n", t.Takeovers, t.Fenced, t.Stale, t.Unknown)
	fmt.Fprintf(w, "  steps          %6d repeats, %d too late\n  faults\n", t.Repeats, t.Late)
	for _, k := range slices.Sorted(maps.Keys(t.Faults)) {
		fmt.Fprintf(w, "    %-38s %4d\n", k, t.Faults[k])
	}
}

// show prints what must not be, and for the first of each the history of its saga.
func (r *run) show(ctx context.Context, w io.Writer) error {
	wrong := r.desk.wrong
	slices.SortStableFunc(wrong, func(a, b finding) int { return cmp.Compare(a.ID, b.ID) })
	entries, err := r.histories()
	if err != nil {
		return err
	}
	shown := map[string]bool{}
	for n, f := range wrong {
		if n == 50 {
			fmt.Fprintf(w, "WRONG  and %d more\n", len(wrong)-n)
			break
		}
		fmt.Fprintf(w, "WRONG  seed %d, saga %q: %s\n", r.Seed, f.ID, f.What)
		if root, _, _ := strings.Cut(f.ID, "/"); root != "" && !shown[root] && len(shown) < 5 {
			shown[root] = true
			if err := r.tell(ctx, w, root, entries); err != nil {
				return err
			}
		}
	}
	return nil
}

// tell prints all that the logs have of a saga and its children.
func (r *run) tell(ctx context.Context, w io.Writer, id string, entries []history.Entry) error {
	if s := r.desk.sagas[id]; s != nil {
		fmt.Fprintf(w, "       job: %+v\n", s.job)
	}
	lines, err := r.desk.reports(ctx, id)
	if err != nil {
		return err
	}
	for _, l := range lines {
		fmt.Fprintf(w, "       report: %s\n", l)
	}
	effects, err := r.town.Effects(ctx, id, sagas.Shop)
	if err != nil {
		return err
	}
	for _, e := range effects {
		fmt.Fprintf(w, "       effect: %+v\n", e)
	}
	for of, list := range history.ByID(entries) {
		if of != id && !strings.HasPrefix(of, id+"/") && !strings.HasPrefix(of, sagas.Away(id, "")) {
			continue
		}
		for _, e := range list {
			fmt.Fprintf(w, "       broker: %s  %s\n", of, e)
		}
	}
	return nil
}
