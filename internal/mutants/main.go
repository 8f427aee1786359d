// Command mutants plants known mistakes in a copy of the code, one at a time, and shows which test finds each. A mistake that no
// test finds, and a patch that does not apply any more, is a failure.
//
// With -by, general detectors look for all mistakes instead of the tests that are named for each: the simulation and the conformance suite.
//
// A mutant is a file in patches/: a line "mutant: what is wrong", a line "test: arguments of go test", and a diff.
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

type mutant struct {
	file, what string
	path       string // of the file that it changes
	test       []string
}

func main() {
	only := flag.String("only", "", "run the mutants whose file names contain this")
	by := flag.String("by", "", "simulate, conformance, or both with a comma: show which of these finds each mutant")
	flag.Parse()
	if err := run(*only, *by); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(only, by string) error {
	looking, err := named(by)
	if by != "" && err != nil {
		return err
	}
	files, err := filepath.Glob("internal/mutants/patches/*.patch")
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no patches: run this in the root of the module (%v)", err)
	}
	tree, err := os.MkdirTemp("", "skald-mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tree)
	if err := copyTree(".", tree); err != nil {
		return err
	}
	var mutants []mutant
	for _, file := range files {
		if !strings.Contains(file, only) {
			continue
		}
		m, err := read(file)
		if err != nil {
			return err
		}
		mutants = append(mutants, m)
	}
	if by != "" {
		return huntBy(tree, mutants, looking)
	}
	if err := sound(tree, mutants); err != nil {
		return err
	}
	return hunt(tree, mutants)
}

// sound says whether the tests pass as long as nothing is planted: otherwise they would find anything.
func sound(tree string, mutants []mutant) error {
	for _, args := range together(mutants) {
		if out, err := test(tree, args); err != nil {
			return fmt.Errorf("go test %s fails before anything is planted:\n%s", strings.Join(args, " "), out)
		}
	}
	return nil
}

// together gives the tests of all mutants, joined where they differ only in what -run selects, so that they are built once.
func together(mutants []mutant) (tests [][]string) {
	selected := map[string][]string{}
	for _, m := range mutants {
		args, pattern := m.test, ""
		if n := len(args) - 2; n > 0 && args[n] == "-run" {
			args, pattern = args[:n+1], args[n+1]
		}
		key := strings.Join(args, " ")
		if _, known := selected[key]; !known {
			tests = append(tests, args)
		}
		if pattern != "" && !slices.Contains(selected[key], pattern) {
			selected[key] = append(selected[key], pattern)
		} else if pattern == "" {
			selected[key] = nil
		}
	}
	for i, args := range tests {
		if patterns := selected[strings.Join(args, " ")]; patterns != nil {
			tests[i] = append(slices.Clone(args), strings.Join(patterns, "|"))
		}
	}
	return tests
}

// test runs go test, without what only people who debug need.
func test(tree string, args []string) (string, error) {
	return command(tree, "go", append([]string{"test", "-timeout", "3m", "-vet=off", "-ldflags=-w"}, args...)...)
}

func hunt(tree string, mutants []mutant) error {
	w := tabwriter.NewWriter(os.Stdout, 70, 0, 2, ' ', 0)
	fmt.Fprintln(w, "mutant\tkilled by\tafter")
	alive, total := 0, len(mutants)
	for _, m := range mutants {
		start := time.Now()
		killer, err := m.try(tree)
		if err != nil {
			return fmt.Errorf("%s: %w", m.file, err)
		}
		if killer == "" {
			alive++
			killer = "NOBODY"
		}
		fmt.Fprintf(w, "%s\t%s\t%v\n", m.what, killer, time.Since(start).Round(100*time.Millisecond))
		w.Flush()
	}
	if alive > 0 {
		return fmt.Errorf("%d of %d mutants live", alive, total)
	}
	fmt.Printf("all %d mutants are killed\n", total)
	return nil
}

func read(file string) (mutant, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return mutant{}, err
	}
	abs, err := filepath.Abs(file)
	if err != nil {
		return mutant{}, err
	}
	m := mutant{file: abs}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		if what, ok := strings.CutPrefix(lines.Text(), "mutant: "); ok {
			m.what = what
		}
		if path, ok := strings.CutPrefix(lines.Text(), "+++ b/"); ok {
			m.path = path
		}
		if test, ok := strings.CutPrefix(lines.Text(), "test: "); ok {
			m.test = strings.Fields(test)
		}
	}
	if m.what == "" || len(m.test) == 0 {
		return m, fmt.Errorf("%s: it needs a line \"mutant: …\" and a line \"test: …\"", file)
	}
	return m, lines.Err()
}

// plant changes tree, and pull changes it back.
func (m mutant) plant(tree string) error {
	if out, err := command(tree, "git", "apply", "--recount", m.file); err != nil {
		return fmt.Errorf("the patch does not apply any more: %s", out)
	}
	return nil
}

func (m mutant) pull(tree string) error {
	if out, err := command(tree, "git", "apply", "--recount", "-R", m.file); err != nil {
		return fmt.Errorf("the patch cannot be taken out: %s", out)
	}
	return nil
}

// What go prints that cannot build, and when a program stops that did not fail a test.
var (
	unbuilt = regexp.MustCompile(`(?m)\[(build|setup) failed\]|cannot find package|^# github.com/skald-go`)
	stopped = regexp.MustCompile(`(?m)^(simulate: a run does not end|panic: test timed out|panic: .{0,60}|fatal error: .{0,60})`)
)

// try plants m in tree, runs its tests, and takes it out again. It gives the first test that failed, or "".
func (m mutant) try(tree string) (string, error) {
	if err := m.plant(tree); err != nil {
		return "", err
	}
	out, failed := test(tree, m.test)
	if err := m.pull(tree); err != nil {
		return "", err
	}
	if failed == nil {
		return "", nil
	}
	if unbuilt.MatchString(out) {
		return "", fmt.Errorf("the mutant does not build:\n%s", out)
	}
	if name := firstFailed(out); name != "" {
		return name, nil
	}
	if stop := stopped.FindString(out); stop != "" {
		return stop, nil
	}
	return "", fmt.Errorf("go test failed without a failing test:\n%s", out)
}

// firstFailed gives the first test that failed, with the names of its first cases that did.
func firstFailed(out string) (name string) {
	for _, failed := range regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`).FindAllStringSubmatch(out, -1) {
		if name == "" || strings.HasPrefix(failed[1], name+"/") {
			name = failed[1]
		}
	}
	return name
}

func command(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, path)
		switch {
		case entry.IsDir() && entry.Name() == ".git":
			return filepath.SkipDir
		case entry.IsDir():
			return os.MkdirAll(target, 0o755)
		case !entry.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, data, 0o644)
	})
}
