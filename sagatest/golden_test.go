package sagatest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

func wide() flow.Flow[int, int] {
	return flow.New[int]("order").
		Then(with("reserve").Retry(step.Retry{Attempts: 3})).
		If("carrier", even, inFlow("courier", with("label")), bare("post").ReadOnly()).
		Both("notify", with("mail"), with("points"), first).
		Each("pick", three, with("take"), firstOf, flow.Parallel(2)).
		Race("rates", with("ups"), with("dhl")).
		Loop("poll", 5, bare("ask"), threes).
		Delay("rest", anHour).
		WaitFor(paid, time.Hour, plus, with("late")).
		Then(flow.Child(inFlow("invoice", with("print")))).
		Deadline(48 * time.Hour).UndoInOrder().StopUndoOnFailure()
}

func TestGolden(t *testing.T) {
	file := filepath.Join(t.TempDir(), "deep", "order.golden")
	said := saidBy(t, func(tb testing.TB) { Golden(tb, wide(), file) })
	assert.Contains(t, said, "is not there yet")
	assert.Contains(t, said, "SKALD_UPDATE=1 go test -run '^TestGolden$'")
	t.Setenv(UpdateVariable, "1")
	Golden(t, wide(), file)
	t.Setenv(UpdateVariable, "")
	assert.Empty(t, saidBy(t, func(tb testing.TB) { Golden(tb, wide(), file) }))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, `order, version 1, deadline 48h0m0s, undo in order, stop undo on failure
reserve step, compensated, 3 attempts, timeout 1m0s
carrier choice, arms no yes
carrier/courier/label step, compensated, timeout 1m0s
carrier/post step, read only, timeout 1m0s
notify all, 2 parts
notify/mail step, compensated, timeout 1m0s
notify/points step, compensated, timeout 1m0s
pick each, 2 at once
pick[]/take step, compensated, timeout 1m0s
rates race, 2 parts
rates/ups step, compensated, timeout 1m0s
rates/dhl step, compensated, timeout 1m0s
poll loop, at most 5 rounds
poll#/ask step, timeout 1m0s
rest delay
paid wait, signal paid, within 1h0m0s
paid/late step, compensated, timeout 1m0s
invoice child, of invoice, version 1
`, string(text))

	renamed := flow.New[int]("order").Then(with("hold"))
	said = saidBy(t, func(tb testing.TB) { Golden(tb, renamed, file) })
	assert.Contains(t, said, "  - reserve step, compensated, 3 attempts, timeout 1m0s\n")
	assert.Contains(t, said, "  + hold step, compensated, timeout 1m0s\n")
}

func TestCompatibleRecordsOnceAndThenCompares(t *testing.T) {
	file := filepath.Join(t.TempDir(), "order.v1.json")
	check := func(f flow.Flow[int, int]) string {
		return saidBy(t, func(tb testing.TB) { Compatible(tb, f, file) })
	}
	assert.Contains(t, check(wide()), "is not there yet")
	t.Setenv(UpdateVariable, "1")
	require.Empty(t, check(wide()))
	before, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Empty(t, check(wide()))
	said := check(of(with("a")).As("order"))
	assert.Contains(t, said, "reserve: it is gone")
	assert.Contains(t, said, `.As("reserve")`)
	assert.Contains(t, said, "serve both")
	after, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, before, after, "a record is never overwritten")

	for text, says := range map[string]string{
		`{"skald": "definition", "version": 7}`: "version 7", `{"skald": "export"}`: "no recorded definition", `{`: "damaged", `[1]`: "no recorded definition",
	} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		assert.Contains(t, check(wide()), says)
	}
}

func TestAGoldenFileThatGitWroteWithOtherLineEnds(t *testing.T) {
	file := filepath.Join(t.TempDir(), "order.golden")
	t.Setenv(UpdateVariable, "1")
	Golden(t, wide(), file)
	t.Setenv(UpdateVariable, "")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "\n", "\r\n")), 0o600))
	assert.Empty(t, saidBy(t, func(tb testing.TB) { Golden(tb, wide(), file) }))
}
