package saga_test

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/saga"
	"github.com/skald-go/skald/internal/simulate/world"
	"github.com/skald-go/skald/step"
)

// TestDurableNumbers: stored sagas have these numbers. A new kind gets a new number; an old number never changes its meaning.
func TestDurableNumbers(t *testing.T) {
	var names []string
	for k := saga.FactKind(1); k.String() != "?"; k++ {
		names = append(names, fmt.Sprintf("%d %v", k, k))
	}
	golden(t, "facts.golden", strings.Join(names, "\n")+"\n")
	assert.Equal(t, []saga.End{0, 1, 2, 3, 4}, []saga.End{saga.Running, saga.Succeeded, saga.Compensated, saga.DeadLetter, saga.Compensating})
	assert.Equal(t, "?", saga.FactKind(0).String())
}

func TestDurableEvents(t *testing.T) {
	assert.Equal(t, "signal cancel undo release reply relay skip settle", strings.Join([]string{
		saga.EventSignal, saga.EventCancel, saga.EventUndo, saga.EventRelease, saga.EventReply, saga.EventRelay, saga.EventSkip, saga.EventSettle,
	}, " "))
}

var update = flag.Bool("update-durable", false, "write the golden files anew: stored sagas will not be read any more")

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(filepath.Join("testdata", name), []byte(got), 0o644))
	}
	want, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

// TestDurableBytes compares the encodings of everything that is stored with those of the first release.
func TestDurableBytes(t *testing.T) {
	header := saga.Header{Started: world.Epoch, Headers: map[string]string{"trace": "t1"}, Parent: "p", Path: "a/b", Forward: true, Input: []byte("in")}
	done := saga.Outcome{End: saga.Succeeded, Value: []byte("v")}
	undone := saga.Outcome{End: saga.Compensated, Err: []byte("e"), Kept: []string{"a", "b/c"}, By: "cancel-1", Hand: true, Attempts: 3,
		Hands: []saga.Hand{{Kind: saga.Skipped, Path: "a", Who: "ann", Why: "gone", At: world.Epoch}}}
	remote := header
	remote.Service, remote.Expects = "orders", "int>text"
	final := saga.Outcome{End: saga.Succeeded, Value: []byte("v"), Final: true}
	note := saga.Note{Who: "ann", Why: "because", Out: []byte{}}
	settled := saga.Note{Who: "ann", Err: []byte("e")}
	var b strings.Builder
	for _, line := range []struct {
		name string
		data []byte
	}{
		{"header", header.Append(nil)},
		{"outcome done", done.Append(nil)},
		{"outcome undone", undone.Append(nil)},
		{"note", note.Append(nil)},
		{"note settled", settled.Append(nil)},
		{"header of a call", remote.Append(nil)},
		{"outcome final", final.Append(nil)},
	} {
		fmt.Fprintf(&b, "%s: %x\n", line.name, line.data)
	}
	golden(t, "records.golden", b.String())

	back, err := saga.DecodeHeader(header.Append(nil))
	require.NoError(t, err)
	assert.True(t, back.Started.Equal(world.Epoch))
	back.Started = world.Epoch
	assert.Equal(t, header, back)
	back, err = saga.DecodeHeader(remote.Append(nil))
	require.NoError(t, err)
	back.Started = world.Epoch
	assert.Equal(t, remote, back)
	last, err := saga.DecodeOutcome(final.Append(nil))
	require.NoError(t, err)
	assert.True(t, last.Final)
	assert.Equal(t, saga.Succeeded, last.End)
	o, err := saga.DecodeOutcome(undone.Append(nil))
	require.NoError(t, err)
	undone.Value = []byte{}
	assert.Equal(t, undone, o)
	n, err := saga.DecodeNote(note.Append(nil))
	require.NoError(t, err)
	assert.Equal(t, note, n)
}

// TestDurableJournal compares the journal of a saga that meets many things, and reads the old one back.
func TestDurableJournal(t *testing.T) {
	p := stage(t, everything())
	p.Env.Jitter = func() float64 { return 1 }
	p.on("do a", errBoom, step.NotYet(time.Second)).on("do both/b", step.NotYet(time.Second), errStop).on("undo a", step.GiveUp(errBoom))
	p.signal("paid", 6)
	p.enter(world.Num(1))
	p.byHand(saga.EventSkip, "a")
	p.ended(saga.Compensated)
	var b strings.Builder
	for _, e := range p.m().Journal {
		fmt.Fprintf(&b, "%q %s\n", e.Path, hex.EncodeToString(e.Data))
	}
	golden(t, "journal.golden", b.String())

	rec := broker.Record{Start: p.m().Start, Rev: 9}
	for line := range strings.Lines(readFile(t, "journal.golden")) {
		var e broker.Entry
		_, err := fmt.Sscanf(line, "%q %x\n", &e.Path, &e.Data)
		require.NoError(t, err)
		rec.Journal = append(rec.Journal, e)
	}
	m, err := saga.Load(&p.Env, p.Program("main"), &rec, p.Now)
	require.NoError(t, err)
	m.Advance(p.Now)
	require.NotNil(t, m.Outcome())
	assert.Equal(t, saga.Compensated, m.Outcome().End)
}

func readFile(t *testing.T, name string) string {
	data, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return string(data)
}

func everything() flow.Flow[world.Num, world.Num] {
	return root().Then(act("a").Retry(step.Retry{Attempts: 3})).
		Wait(paid, takeSignal).
		Delay("nap", func(world.Num) time.Duration { return time.Hour }).
		If("if", func(world.Num) bool { return true }, act("yes"), act("no")).
		Each("each", three, act("e"), noJoin).
		Loop("loop", 3, act("l"), (&counter{2}).reached).
		Race("race", act("x"), act("y")).
		Both("both", act("b"), act("c"), sum)
}
