package sagatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

// fakeT is a test that fails without failing this one.
type fakeT struct {
	testing.TB
	said strings.Builder
}

type fatal struct{}

func (f *fakeT) Errorf(format string, args ...any) { fmt.Fprintf(&f.said, format+"\n", args...) }
func (f *fakeT) Logf(string, ...any)               {}
func (f *fakeT) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	panic(fatal{})
}

// saidBy gives what a test says that fails.
func saidBy(t *testing.T, test func(testing.TB)) string {
	t.Helper()
	f := &fakeT{TB: t}
	func() {
		defer func() {
			if p := recover(); p != nil && p != (fatal{}) {
				panic(p)
			}
		}()
		test(f)
	}()
	return f.said.String()
}

var errStock = errors.New("stock: no such hold")

// order reserves, rests, and ships what cannot be shipped; then it is undone, by undo.
func order(undo func(context.Context, step.Effect[int, int]) error) flow.Flow[int, int] {
	return flow.New[int]("order").
		Then(bare("reserve").Compensate(undo).RetryUndo(step.Retry{Attempts: 2, Delay: time.Minute})).
		Delay("rest", anHour).
		Then(bare("ship").Refuses(errStock))
}

func broken(context.Context, step.Effect[int, int]) error { return errStock }
func fixed(context.Context, step.Effect[int, int]) error  { return nil }

func refusing(ctx context.Context, next func(context.Context) error) error {
	if info := step.InfoFrom(ctx); info.Path == "ship" {
		return step.Refused(errStock)
	}
	return next(ctx)
}

// exported runs a saga for so long, in a time of its own, and writes what it has come to.
func exported[I, O any](t *testing.T, f flow.Flow[I, O], in I, run time.Duration, opts flow.Options) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "s.json")
	synctest.Test(t, func(t *testing.T) {
		b := inmem.New()
		opts.Logger = silent.Logger
		e := flow.NewEngine(b, opts)
		e.Serve(f)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- e.Run(ctx) }()
		synctest.Wait()
		_, err := f.Start(ctx, e, in, flow.ID("s"))
		require.NoError(t, err)
		time.Sleep(run)
		synctest.Wait()
		x, err := flow.Export(ctx, b, "s")
		require.NoError(t, err)
		w, err := os.Create(file)
		require.NoError(t, err)
		require.NoError(t, x.Write(w, flow.ExportOptions{Payloads: true}))
		require.NoError(t, w.Close())
		cancel()
		require.NoError(t, <-ended)
	})
	return file
}

func TestReplayOfADeadLetterWithTheRepairedUndo(t *testing.T) {
	file := exported(t, order(broken), 7, 3*time.Hour, flow.Options{Interceptors: []flow.Interceptor{refusing}})
	synctest.Test(t, func(t *testing.T) {
		r := Replay(t, file, order(fixed), flow.Options{})
		_, err := r.Ran().Undid("reserve").Result()
		require.ErrorContains(t, err, `saga "s" of "order" is undone`)
		require.Len(t, r.Calls(), 1)
		snap := r.Snapshot()
		assert.Equal(t, flow.StateUndone, snap.State)
		assert.Equal(t, "sagatest.Replay", snap.Decisions[0].By.Who)
	})
	synctest.Test(t, func(t *testing.T) {
		_, err := Replay(t, file, order(broken), flow.Options{}).Result()
		dead, ok := errors.AsType[*flow.Error](err)
		require.True(t, ok)
		assert.Equal(t, flow.StateDeadLetter, dead.State, "not repaired: it needs a person again")
	})
}

// A saga that waits goes on at the time at which it was to go on.
func TestReplayOfAWaitingSagaKeepsItsTime(t *testing.T) {
	file := exported(t, order(fixed), 7, 20*time.Minute, flow.Options{})
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		r := Replay(t, file, order(fixed), flow.Options{})
		assert.Equal(t, 20*time.Minute, time.Since(began), "it is the time of the export")
		assert.Empty(t, r.Calls())
		out, err := r.Result()
		require.NoError(t, err)
		assert.Equal(t, 9, out)
		assert.Equal(t, time.Hour, r.Calls()[0].Began.Sub(began))
		r.Ran("ship").Undid()
	})
}

func TestReplayWaitsForWhatTheTestSends(t *testing.T) {
	f := of(with("a")).Wait(paid, plus).Then(with("b"))
	file := exported(t, f, 1, time.Minute, flow.Options{})
	synctest.Test(t, func(t *testing.T) {
		out, err := Replay(t, file, f, flow.Options{}).After(time.Hour).Signal(paid, 40).Result()
		require.NoError(t, err)
		assert.Equal(t, 43, out)
	})
}

func TestReplayOfAParentWhoseChildIsDead(t *testing.T) {
	parent := func(undo func(context.Context, step.Effect[int, int]) error) flow.Flow[int, int] {
		return flow.New[int]("parent").Then(with("first")).Then(flow.Child(order(undo)))
	}
	file := exported(t, parent(broken), 7, 3*time.Hour, flow.Options{Interceptors: []flow.Interceptor{refusing}})
	synctest.Test(t, func(t *testing.T) {
		r := Replay(t, file, parent(fixed), flow.Options{})
		_, err := r.Undid("order/reserve", "first").Result()
		require.ErrorContains(t, err, `of "parent" is undone`)
	})
	synctest.Test(t, func(t *testing.T) {
		_, err := Replay(t, file, parent(broken), flow.Options{}).Result()
		require.ErrorContains(t, err, `saga "s/order" of "order" is a dead letter`)
	})
}

func TestReplaySaysWhyItCannot(t *testing.T) {
	file := exported(t, order(fixed), 7, time.Minute, flow.Options{})
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	damaged := filepath.Join(t.TempDir(), "damaged.json")
	require.NoError(t, os.WriteFile(damaged, whole[:len(whole)/2], 0o600))
	later := filepath.Join(t.TempDir(), "later.json")
	require.NoError(t, os.WriteFile(later, []byte(strings.Replace(string(whole), `"version": 1`, `"version": 9`, 1)), 0o600))
	renamed := flow.New[int]("order").Then(bare("hold")).Delay("rest", anHour)
	for name, c := range map[string]struct {
		file string
		flow flow.Flow[int, int]
		says []string
	}{
		"missing":      {"missing.json", order(fixed), []string{"missing.json", "no such file"}},
		"damaged":      {damaged, order(fixed), []string{"damaged"}},
		"later":        {later, order(fixed), []string{"version 9"}},
		"another flow": {file, order(fixed).As("invoice"), []string{`a saga of "order"`, `not of "invoice"`}},
		"version":      {file, order(fixed).Version(3), []string{"Version(1)"}},
		"renamed path": {file, renamed, []string{`saga "s"`, `"reserve" is done`, "no such path", "Keep the name", "Version"}},
	} {
		t.Run(name, func(t *testing.T) {
			var said string
			synctest.Test(t, func(t *testing.T) {
				said = saidBy(t, func(tb testing.TB) { Replay(tb, c.file, c.flow, flow.Options{}) })
			})
			for _, words := range c.says {
				assert.Contains(t, said, words)
			}
		})
	}
	assert.Contains(t, saidBy(t, func(tb testing.TB) { Replay(tb, file, order(fixed), flow.Options{}) }), "inside synctest.Test")
	synctest.Test(t, func(t *testing.T) {
		said := saidBy(t, func(tb testing.TB) { Replay(tb, file, order(fixed), flow.Options{}).Ran("ship", "nothing") })
		assert.Contains(t, said, "steps that were done in the replay")
	})
}

func TestReplayOfASagaThatNeverEndsFails(t *testing.T) {
	f := of(with("a")).Wait(paid, plus)
	file := exported(t, f, 1, time.Minute, flow.Options{})
	synctest.Test(t, func(t *testing.T) {
		said := saidBy(t, func(tb testing.TB) { Replay(tb, file, f, flow.Options{}).Result() })
		assert.Contains(t, said, "it has not ended after 1440h0m0s")
	})
}
