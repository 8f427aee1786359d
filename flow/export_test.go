package flow_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

type secret struct{ Card string }

// letter is a flow whose undo of "charge" fails for good: a dead letter.
func letter(undo func(context.Context, step.Effect[secret, int]) error) flow.Flow[secret, int] {
	charge := step.New("charge", func(context.Context, secret) (int, error) { return 42, nil }).
		Compensate(undo).RetryUndo(step.Retry{Attempts: 1})
	return flow.New[secret]("letter").Then(charge).Then(fails("ship", step.Refused(errDeclined)))
}

func brokenUndo(context.Context, step.Effect[secret, int]) error { return errBroken }

// deadLetter gives the export of one.
func deadLetter(t *testing.T, o flow.Options) flow.Exported {
	t.Helper()
	b := newBroker()
	f := letter(brokenUndo)
	e := running(t, b, o, f)
	failed(t, start(t, f, e, secret{"4111 1111 1111 1111"}, flow.ID("order-42"), flow.WithHeaders(flow.Headers{"user": "ada@example.org"})))
	x, err := flow.Export(t.Context(), b, "order-42")
	require.NoError(t, err)
	return x
}

func text(t *testing.T, x flow.Exported, o flow.ExportOptions) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, x.Write(&b, o))
	return b.String()
}

func TestAnExportSaysWhatItMeans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := text(t, deadLetter(t, flow.Options{}), flow.ExportOptions{Payloads: true})
		for _, part := range []string{
			`"state": "buried"`, `"Card": "4111 1111 1111 1111"`, `"user": "ada@example.org"`, `"kind": "done"`, `"out": 42`,
			`"error": "bank: declined"`, `"kind": "stuck"`, `"error": "stock: out of order"`, `"end": "dead letter"`, `"path": "charge"`,
		} {
			assert.Contains(t, said, part)
		}
	})
}

// What may be secret leaves only when it is asked for.
func TestAnExportWithoutPayloadsHoldsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := text(t, deadLetter(t, flow.Options{}), flow.ExportOptions{})
		for _, part := range []string{"4111 1111 1111 1111", "ada@example.org", `"out"`, `"data"`, `"record"`, `"digest"`} {
			assert.NotContains(t, said, part)
		}
		assert.Contains(t, said, `"error": "bank: declined"`)
		_, err := flow.ReadExport(strings.NewReader(said))
		require.ErrorContains(t, err, "skald export --payloads")
	})
}

func TestAnExportShowsNothingThatACipherSealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sealing, err := flow.Cipher(nil, flow.Key{ID: "k", Secret: make([]byte, 32)})
		require.NoError(t, err)
		x := deadLetter(t, flow.Options{Codec: sealing})
		said := text(t, x, flow.ExportOptions{Payloads: true})
		assert.NotContains(t, said, "4111 1111 1111 1111")
		assert.NotContains(t, said, "declined")
		assert.Contains(t, said, "(sealed by a cipher)")
		roundTrip(t, newBroker(), x)
	})
}

func TestAnImportedDeadLetterIsRelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, b := deadLetter(t, flow.Options{}), newBroker()
		require.NoError(t, flow.Import(t.Context(), b, x))
		require.Equal(t, broker.Buried, stateOf(t, b, "order-42"))
		var got step.Effect[secret, int]
		fixed := letter(func(_ context.Context, e step.Effect[secret, int]) error { got = e; return nil })
		e := running(t, b, flow.Options{}, fixed)
		future := fixed.Attach(e, "order-42")
		require.Equal(t, flow.StateDeadLetter, failed(t, future).State)
		require.NoError(t, e.Relay(t.Context(), "order-42", ada))
		err := failed(t, future)
		require.Equal(t, flow.StateUndone, err.State)
		require.ErrorIs(t, err, errDeclined)
		require.Equal(t, secret{"4111 1111 1111 1111"}, got.In)
		require.Equal(t, 42, got.Out)
	})
}

func TestAnImportRefusesWhatExists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, b := deadLetter(t, flow.Options{}), newBroker()
		e := running(t, b, flow.Options{}, letter(brokenUndo))
		start(t, letter(brokenUndo), e, secret{"other"}, flow.ID("order-42"))
		settle()
		before, err := b.Lookup(t.Context(), "order-42", true)
		require.NoError(t, err)
		err = flow.Import(t.Context(), b, x)
		require.ErrorIs(t, err, flow.ErrConflict)
		require.ErrorContains(t, err, `flow: import saga "order-42"`)
		after, err := b.Lookup(t.Context(), "order-42", true)
		require.NoError(t, err)
		require.Equal(t, before, after)
	})
}

// An import that broke off between the children and their parent is completed by another.
func TestAnImportIsCompleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, target := newBroker(), newBroker()
		child := flow.New[int]("child").Then(adds("a", 1)).Delay("rest", restUntilTomorrow).Then(adds("b", 1))
		f := flow.New[int]("f").Then(flow.Child(child)).Then(adds("c", 1))
		e := newEngine(b, flow.Options{}, f)
		stop := run(e)
		settle()
		start(t, f, e, 1, flow.ID("s"))
		settle()
		require.NoError(t, stop())
		x, err := flow.Export(t.Context(), b, "s/child")
		require.NoError(t, err)
		require.Equal(t, "s", x.ID(), "a child is exported with what it belongs to")
		require.Len(t, x.Sagas, 2)
		broken := &brokenOff{Broker: target}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.Error(t, flow.Import(ctx, broken, x))
		require.Equal(t, broker.Parked, stateOf(t, target, "s/child"))
		require.NoError(t, flow.Import(t.Context(), target, x))
		other := running(t, target, flow.Options{}, f)
		require.Equal(t, 4, done(t, f.Attach(other, "s")))
	})
}

// brokenOff restores no saga without a parent.
type brokenOff struct{ broker.Broker }

func (b *brokenOff) Restore(ctx context.Context, s broker.Snapshot, call string) error {
	if s.Parent == "" {
		return errors.New("connection refused")
	}
	return b.Broker.(broker.Restorer).Restore(ctx, s, call)
}

// An attempt that ran when the saga was exported may have had its effect.
func TestWhatRanWhenItWasExportedIsSuspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, target, g := newBroker(), newBroker(), newGate()
		f := flow.New[int]("f").Then(g.at("charge"))
		e := running(t, b, flow.Options{}, f)
		future := start(t, f, e, 1, flow.ID("s"))
		settle()
		x, err := flow.Export(t.Context(), b, "s")
		require.NoError(t, err)
		require.Equal(t, broker.Owned, x.Sagas[0].State)
		require.NoError(t, flow.Import(t.Context(), target, x))
		undone := false
		refusing := flow.New[int]("f").Then(fails("charge", step.Refused(errDeclined)).
			Compensate(func(_ context.Context, e step.Effect[int, int]) error { undone = !e.Known; return nil }))
		failed(t, refusing.Attach(running(t, target, flow.Options{}, refusing), "s"))
		require.True(t, undone, "a refusal after an attempt that may have had an effect refuses nothing")
		g.open()
		done(t, future)
		_, err = flow.Export(t.Context(), b, "s")
		require.ErrorIs(t, err, flow.ErrSettled)
		_, err = flow.Export(t.Context(), b, "nobody")
		require.ErrorIs(t, err, flow.ErrUnknown)
	})
}

func TestADamagedExportIsRefused(t *testing.T) {
	var whole string
	synctest.Test(t, func(t *testing.T) { whole = text(t, deadLetter(t, flow.Options{}), flow.ExportOptions{Payloads: true}) })
	for name, c := range map[string]struct{ old, with, says string }{
		"another kind":  {`"skald": "export"`, `"skald": "definition"`, "not a saga's export"},
		"later version": {`"version": 1`, `"version": 2`, "version 2"},
		"changed":       {`"revision": `, `"revision": 1`, "changed by hand"},
		"a field":       {`"takeovers"`, `"takeover"`, "damaged"},
		"another time":  {`"exported": "2`, `"exported": "3`, "changed by hand"},
		"cut short":     {"}\n", "", "damaged"},
		"no saga":       {`"sagas": [`, `"sagas": [], "old": [`, "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			k := strings.LastIndex(whole, c.old)
			if k < 0 {
				k, c.old = strings.LastIndex(whole, `"revision"`), `"revision"`
				c.with = `"revisions"`
			}
			_, err := flow.ReadExport(strings.NewReader(whole[:k] + c.with + whole[k+len(c.old):]))
			require.ErrorContains(t, err, "flow: read an export: ")
			require.ErrorContains(t, err, c.says)
		})
	}
	_, err := flow.ReadExport(strings.NewReader(`{"skald":"export","version":1,"exported":"2026-01-01T00:00:00Z","payloads":true,"sagas":[]}`))
	require.ErrorContains(t, err, "no saga")
	_, err = flow.ReadExport(strings.NewReader("[1]"))
	require.EqualError(t, err, "flow: read an export: it is not a saga's export: it is JSON of another form")
}

func TestExportAndImportNeedABroker(t *testing.T) {
	_, err := flow.Export(t.Context(), nil, "s")
	require.ErrorIs(t, err, flow.ErrZero)
	require.ErrorIs(t, flow.Import(t.Context(), nil, flow.Exported{}), flow.ErrZero)
}

// noRestorer is a broker that cannot restore.
type noRestorer struct{ broker.Broker }

func TestNotEveryBrokerImports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := deadLetter(t, flow.Options{})
		require.ErrorIs(t, flow.Import(t.Context(), noRestorer{newBroker()}, x), errors.ErrUnsupported)
		require.Error(t, flow.Import(t.Context(), newBroker(), flow.Exported{}))
	})
}

func FuzzReadExport(f *testing.F) {
	f.Add([]byte(`{"skald":"export","version":1,"exported":"2026-01-01T00:00:00Z","payloads":true,"sagas":[]}`))
	f.Add([]byte(`{"skald":"export","version":1,"payloads":true,"sagas":[{"id":"s","flow":"f","flowVersion":1,"state":"ready","since":"2026-01-01T00:00:00Z","revision":1,"journal":[],"sum":"x"}]}`))

	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := flow.ReadExport(bytes.NewReader(data))
		if err != nil {
			return
		}
		written := file(t, x)
		again, err := flow.ReadExport(bytes.NewReader(written))
		require.NoError(t, err)
		require.Equal(t, comparable(x), comparable(again))
		require.NoError(t, flow.Import(context.Background(), newBroker(), x))
	})
}
