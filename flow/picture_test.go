package flow_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

var update = flag.Bool("update-pictures", false, "write the golden pictures anew")

func nothing(context.Context, string) error                       { return nil }
func takeBack(context.Context, step.Effect[string, string]) error { return nil }
func yes(string) bool                                             { return true }
func first(s string, _ int) string                                { return s }
func passes(name string) step.Step[string, string]                { return step.Do(name, nothing) }
func undone(name string) step.Step[string, string]                { return passes(name).Compensate(takeBack) }
func both(s, _, _ string) string                                  { return s }
func every(s string, _ []string) string                           { return s }
func minute(string) time.Duration                                 { return time.Minute }
func one(s string) []string                                       { return []string{s} }

func TestPictures(t *testing.T) {
	asked := flow.NewSignal[int]("asked")
	for name, f := range map[string]interface{ Mermaid() string }{
		"empty":    flow.New[string]("empty"),
		"sequence": flow.New[string]("sequence").Then(undone("a")).Then(passes("b")).Then(undone("c")).Then(passes("d").Pivot()).Then(passes("e")),
		"branches": flow.New[string]("branches").
			Then(undone("a")).
			When("maybe", yes, undone("b")).
			If("if", yes, undone("c"), flow.New[string]("inner").Then(undone("d")).Then(undone("e"))).
			Switch("switch", func(s string) string { return s }, flow.Case("\"eu\" | [1]\n", passes("f")), flow.Default(undone("g"))),
		"parallel": flow.New[string]("parallel").
			Both("both", undone("a"), passes("b"), both).
			Each("each", one, undone("c"), every, flow.Parallel(2)).
			Each("all", one, passes("d"), every).
			Race("race", undone("e"), flow.Child(flow.New[string]("child").Then(undone("f")))),
		"waits": flow.New[string]("waits").
			Loop("poll", 3, passes("ask"), yes).
			Loop("idle", 1, flow.New[string]("empty"), yes).
			Delay("settle", minute).
			Wait(asked, first).
			WaitFor(asked.As("asked again"), time.Hour, first, undone("remind")).
			Then(flow.Child(flow.New[string]("child"))),
		"order": orderFlow,
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", "pictures", name+".mmd")
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(f.Mermaid()), 0o644))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, string(want), f.Mermaid())
		})
	}
}

func TestAFingerprintIsTheShapeThatRecordsReferTo(t *testing.T) {
	base := func() flow.Flow[string, string] {
		return flow.New[string]("f").Then(passes("a")).If("if", yes, passes("b"), passes("c"))
	}
	sig := flow.NewSignal[int]("sig")
	sub := flow.New[string]("sub").Then(passes("x"))
	cases := func(keys ...string) string {
		return flow.New[string]("f").Switch("s", func(s string) string { return s }, flow.Case(keys[0], passes("b")), flow.Case(keys[1], passes("c"))).Fingerprint()
	}
	same := map[string]string{
		"made again":       base().Fingerprint(),
		"another name":     base().As("g").Fingerprint(),
		"settings":         base().Deadline(time.Hour).Version(4).UndoInOrder().Fingerprint(),
		"policies":         flow.New[string]("f").Then(undone("a").Retry(step.Retry{}).Timeout(time.Hour)).If("if", yes, passes("b"), passes("c")).Fingerprint(),
		"a Map":            base().Map(func(s string) int { return len(s) }).Fingerprint(),
		"another function": flow.New[string]("f").Then(passes("a")).If("if", func(string) bool { return false }, passes("b"), passes("c")).Fingerprint(),
	}
	for name, got := range same {
		require.Equal(t, base().Fingerprint(), got, name)
	}
	require.Regexp(t, "^[0-9a-f]{16}$", base().Fingerprint())

	different := map[string]string{
		"base":            base().Fingerprint(),
		"one more step":   base().Then(passes("d")).Fingerprint(),
		"other order":     flow.New[string]("f").If("if", yes, passes("b"), passes("c")).Then(passes("a")).Fingerprint(),
		"other step":      flow.New[string]("f").Then(passes("z")).If("if", yes, passes("b"), passes("c")).Fingerprint(),
		"arms exchanged":  flow.New[string]("f").Then(passes("a")).If("if", yes, passes("c"), passes("b")).Fingerprint(),
		"a When":          flow.New[string]("f").When("s", yes, passes("b")).Fingerprint(),
		"a Switch":        flow.New[string]("f").Switch("s", func(s string) string { return s }, flow.Case("yes", passes("b"))).Fingerprint(),
		"cases":           cases("1", "2"),
		"other cases":     cases("1", "3"),
		"cases exchanged": cases("2", "1"),
		"Both":            flow.New[string]("f").Both("x", passes("a"), passes("b"), both).Fingerprint(),
		"Race":            flow.New[string]("f").Race("x", passes("a"), passes("b")).Fingerprint(),
		"a wait":          flow.New[string]("f").Wait(sig, first).Fingerprint(),
		"another signal":  flow.New[string]("f").Wait(flow.NewSignal[int]("other").As("sig"), first).Fingerprint(),
		"a flow":          flow.New[string]("f").Then(sub).Fingerprint(),
		"a child":         flow.New[string]("f").Then(flow.Child(sub)).Fingerprint(),
		"another child":   flow.New[string]("f").Then(flow.Child(sub.As("other")).As("sub")).Fingerprint(),
	}
	seen := map[string]string{}
	for name, got := range different {
		require.Emptyf(t, seen[got], "%s is like another", name)
		seen[got] = name
	}
}
