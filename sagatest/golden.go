package sagatest

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/plan"
)

// UpdateVariable is the environment variable that lets Golden and Compatible write their files: set it to 1.
//
// They also heed a flag -update of the test's own package, if it defines one as a bool. They define none: two packages that define the same
// flag end a test before it begins.
const UpdateVariable = "SKALD_UPDATE"

// updating says that files are to be written.
func updating() bool {
	if on := os.Getenv(UpdateVariable); on != "" && on != "0" {
		return true
	}
	f := flag.Lookup("update")
	if f == nil {
		return false
	}
	getter, ok := f.Value.(flag.Getter)
	if !ok {
		return false
	}
	on, _ := getter.Get().(bool)
	return on
}

// howToUpdate says how files are written.
const howToUpdate = UpdateVariable + "=1 go test -run '^%s$'"

// Golden compares the durable names of a saga with the file: its paths with their kinds and what a running saga depends on, such as the arms of a
// choice or the retries of a step. If they differ it fails the test and shows the lines. A renamed path is one that sagas in flight do not find.
//
// With SKALD_UPDATE=1 in the environment, or a flag -update of the test's package, it writes the file.
func Golden[I, O any](t testing.TB, saga flow.Flow[I, O], file string) {
	t.Helper()
	got := goldenOf(definitionOf(saga))
	if updating() {
		writeFile(t, file, []byte(got))
		return
	}
	data, err := os.ReadFile(file)
	want := strings.ReplaceAll(string(data), "\r\n", "\n") // as git may write it
	switch {
	case errors.Is(err, fs.ErrNotExist):
		t.Fatalf("sagatest: %s is not there yet; write it with\n  "+howToUpdate, file, t.Name())
	case err != nil:
		t.Fatalf("sagatest: %v", err)
	case want != got:
		t.Errorf("sagatest: the durable names of %q differ from %s (- there, + now):\n%s"+
			"A saga in flight finds its steps by these names. If it may be so, because Compatible passes or no saga is in flight:\n  "+howToUpdate,
			saga.Name(), file, lineDiff(want, got), t.Name())
	}
}

func writeFile(t testing.TB, file string, data []byte) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = os.WriteFile(file, data, 0o644)
	}
	if err != nil {
		t.Fatalf("sagatest: %v", err)
	}
	t.Logf("sagatest: wrote %s", file)
}

// definitionOf gives the erased definition of a flow.
func definitionOf[I, O any](saga flow.Flow[I, O]) *plan.Def {
	root := *saga.Plan().Node
	name := root.Name
	root.Name = "" // it has one only inside another flow
	return &plan.Def{Name: name, Root: &root}
}

func versionOf[I, O any](saga flow.Flow[I, O]) int { return definitionOf(saga).Version() }

func goldenOf(def *plan.Def) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, version %d%s\n", def.Name, def.Version(), settingsOf(def))
	for path, n := range def.Nodes() {
		if n.Kind == plan.Seq {
			continue // its name stands in the paths of what is in it
		}
		fmt.Fprintf(&b, "%s %v%s\n", path, n.Kind, policiesOf(n))
	}
	return b.String()
}

func settingsOf(def *plan.Def) string {
	s := def.Root.Settings
	if s == nil {
		return ""
	}
	var words []string
	if s.Deadline > 0 {
		words = append(words, fmt.Sprintf("deadline %v", s.Deadline))
	}
	if s.UndoInOrder {
		words = append(words, "undo in order")
	}
	if s.StopAtFailed {
		words = append(words, "stop undo on failure")
	}
	if s.KeyedBy != nil {
		words = append(words, "keyed")
	}
	if s.Lock != nil && s.Refuse {
		words = append(words, "locks or is refused")
	} else if s.Lock != nil {
		words = append(words, "locks")
	}
	return listed(words)
}

func policiesOf(n *plan.Node) string {
	var words []string
	say := func(on bool, format string, args ...any) {
		if on {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	switch n.Kind {
	case plan.Step:
		s := n.Step
		say(s.Undo != nil, "compensated")
		say(s.ReadOnly, "read only")
		say(s.Pivot, "pivot")
		say(s.Retriable, "retriable")
		say(s.Retry.Attempts > 1, "%d attempts", s.Retry.Attempts)
		say(true, "timeout %v", s.Timeout)
	case plan.Choice:
		labels := slices.Clone(n.Labels)
		slices.Sort(labels)
		say(true, "arms %s", strings.Join(labels, " "))
		say(n.Optional, "or none")
	case plan.All, plan.Race:
		say(true, "%d parts", len(n.Kids))
	case plan.Each:
		say(n.Parallel > 0, "%d at once", n.Parallel)
	case plan.Loop:
		say(true, "at most %d rounds", n.Max)
	case plan.Wait:
		say(true, "signal %s", n.Signal)
		say(n.Within > 0, "within %v", n.Within)
	case plan.Child:
		if n.Remote != nil {
			say(true, "of service %s, flow %s", n.Remote.Service, n.Remote.Flow)
			break
		}
		say(true, "of %s, version %d", n.Child.Name, n.Child.Version())
	}
	return listed(words)
}

func listed(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return ", " + strings.Join(words, ", ")
}

// lineDiff shows which lines are in only one of two texts, in order: a longest common subsequence of lines.
func lineDiff(old, now string) string {
	a, b := strings.Split(strings.TrimSuffix(old, "\n"), "\n"), strings.Split(strings.TrimSuffix(now, "\n"), "\n")
	common := make([][]int, len(a)+1) // of a[i:] and b[j:]
	common[len(a)] = make([]int, len(b)+1)
	for i := len(a) - 1; i >= 0; i-- {
		common[i] = make([]int, len(b)+1)
		for j := len(b) - 1; j >= 0; j-- {
			common[i][j] = max(common[i+1][j], common[i][j+1])
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	var out strings.Builder
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			fmt.Fprintf(&out, "    %s\n", a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			fmt.Fprintf(&out, "  - %s\n", a[i])
			i++
		default:
			fmt.Fprintf(&out, "  + %s\n", b[j])
			j++
		}
	}
	return out.String()
}
