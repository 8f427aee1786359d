package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// detector is a way to find mistakes that knows nothing of the mistake.
type detector struct {
	name    string
	covers  []string // beginnings of the paths of files whose mistakes it can find
	command []string
	runs    *regexp.Regexp // finds in the output how many runs it took; nil: it is a test, and its name is told
}

// detectors are tried in this order, those that are asked for.
var detectors = []detector{
	{
		name: "conformance", covers: []string{"inmem/"},
		command: []string{"go", "test", "-timeout", "3m", "-vet=off", "-short", "-run", "TestBroker", "./inmem"},
	},
	{
		name: "worlds", covers: []string{"internal/saga/", "step/"},
		command: []string{"go", "run", "./internal/simulate", "-rough", "-from", "1", "-runs", "3000", "-for", "1m"},
		runs:    regexp.MustCompile(`fails, in run (\d+)`),
	},
	{
		name: "engines", covers: []string{"internal/saga/", "step/", "flow/", "inmem/"},
		command: []string{"go", "test", "-timeout", "80s", "-vet=off", "./internal/simulate/engines", "-from", "1", "-for", "30s"},
		runs:    regexp.MustCompile(`run (\d+), again`),
	},
}

// patience is how long a detector may take. A mistake that makes it hang is found, too.
const patience = 3 * time.Minute

// named gives the detectors of a list with commas. "simulate" is worlds and engines.
func named(list string) (chosen []detector, err error) {
	list = strings.ReplaceAll(list, "simulate", "worlds,engines")
	for name := range strings.SplitSeq(list, ",") {
		k := slices.IndexFunc(detectors, func(d detector) bool { return d.name == name })
		if k < 0 {
			return nil, fmt.Errorf("-by %s: there are simulate, worlds, engines and conformance", name)
		}
		chosen = append(chosen, detectors[k])
	}
	return chosen, nil
}

// huntBy shows for each mutant which of the detectors finds it first. Those that none of them covers, as the mutants of Redis, are left out.
func huntBy(tree string, mutants []mutant, by []detector) error {
	w := tabwriter.NewWriter(os.Stdout, 76, 0, 2, ' ', 0)
	fmt.Fprintln(w, "mutant\tfound by\ttook")
	alive, total := 0, 0
	for _, m := range mutants {
		if !slices.ContainsFunc(by, func(d detector) bool { return d.covered(m) }) {
			continue
		}
		total++
		start := time.Now()
		finder, err := m.find(tree, by)
		if err != nil {
			return fmt.Errorf("%s: %w", m.file, err)
		}
		if finder == "" {
			alive++
		}
		fmt.Fprintf(w, "%s\t%s\t%v\n", m.what, cmp.Or(finder, "NOBODY"), time.Since(start).Round(time.Second))
		w.Flush()
	}
	if alive > 0 {
		return fmt.Errorf("%d of %d mutants live", alive, total)
	}
	fmt.Printf("all %d mutants are found\n", total)
	return nil
}

// covered says that d can find mistakes in what m changes.
func (d detector) covered(m mutant) bool {
	return slices.ContainsFunc(d.covers, func(prefix string) bool { return strings.HasPrefix(m.path, prefix) })
}

// find plants m in tree, lets the detectors look, and takes it out again. It gives the first that found it, or "".
func (m mutant) find(tree string, by []detector) (finder string, err error) {
	if err := m.plant(tree); err != nil {
		return "", err
	}
	for _, d := range by {
		if d.covered(m) && finder == "" && err == nil {
			finder, err = d.look(tree)
		}
	}
	return finder, errors.Join(err, m.pull(tree))
}

// look says how d found something in tree, or "".
func (d detector) look(tree string) (how string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, d.command[0], d.command[1:]...)
	cmd.Dir, cmd.WaitDelay = tree, time.Second
	out, failed := cmd.CombinedOutput()
	text := string(out)
	switch {
	case failed == nil:
		return "", nil
	case unbuilt.MatchString(text):
		return "", fmt.Errorf("the mutant does not build:\n%s", text)
	case ctx.Err() != nil:
		return d.name + ": it does not end", nil
	}
	if name := firstFailed(text); d.runs == nil && name != "" {
		return d.name + ": " + name, nil
	}
	if d.runs == nil {
		return d.name + ": " + stopped.FindString(text), nil
	}
	if found := d.runs.FindStringSubmatch(text); found != nil {
		return fmt.Sprintf("%s: run %s", d.name, found[1]), nil
	}
	if stop := stopped.FindString(text); stop != "" {
		return d.name + ": " + stop, nil
	}
	return "", fmt.Errorf("%s fails without telling why:\n%s", d.name, text)
}
