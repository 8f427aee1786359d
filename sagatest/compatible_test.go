package sagatest

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

type counting = flow.Flow[int, int]

// with is a step that is undone, bare one that is not.
func with(name string) step.Step[int, int] {
	return bare(name).Compensate(func(context.Context, step.Effect[int, int]) error { return nil }).RetryUndo(step.Retry{Attempts: 1})
}

func bare(name string) step.Step[int, int] {
	return step.New(name, func(_ context.Context, n int) (int, error) { return n + 1, nil })
}

func of(parts ...flow.Part[int, int]) counting { return inFlow("f", parts...) }

func inFlow(name string, parts ...flow.Part[int, int]) counting {
	f := flow.New[int](name)
	for _, p := range parts {
		f = f.Then(p)
	}
	return f
}

func first(_, a, _ int) int      { return a }
func firstOf(_ int, a []int) int { return a[0] }
func even(n int) bool            { return n%2 == 0 }
func three(n int) []int          { return []int{n, n + 1, n + 2} }
func anHour(int) time.Duration   { return time.Hour }

var paid, paidLater = flow.NewSignal[int]("paid"), flow.NewSignal[int]("paid-later").As("paid")

// changes are what can become of a definition, and what is said of it: nothing, if every saga can go on.
var changes = []struct {
	name     string
	old, now counting
	says     string
}{
	{"nothing", of(with("a"), with("b")), of(with("a"), with("b")), ""},
	{"a step at the end", of(with("a"), with("b")), of(with("a"), with("b"), with("c")), ""},
	{"a map", of(with("a"), with("b")), of(with("a")).Map(func(n int) int { return n }).Then(with("b")), ""},
	{"a step in the middle", of(with("a"), with("b")), of(with("a"), with("c"), with("b")), "c: it is new, and not at the end"},
	{"a step at the beginning", of(with("a"), with("b")), of(with("c"), with("a"), with("b")), "c: it is new"},
	{"removed", of(with("a"), with("b")), of(with("a")), "b: the step is gone"},
	{"renamed", of(with("reserve"), with("b")), of(with("reserve-stock"), with("b")), `reserve: it is gone; "reserve-stock" may be`},
	{"order", of(with("a"), with("b")), of(with("b"), with("a")), "b: it comes earlier"},
	{"kind", of(with("a"), with("b")), of(with("a")).Delay("b", anHour), "b: it was a step and is a delay"},
	{"into a flow", of(with("a"), with("b")), of(with("a"), inFlow("in", with("b"))), `b: it is gone; "in/b" may be`},
	{"compensation new at the first", of(bare("a"), with("b")), of(with("a"), with("b")), ""},
	{"compensation new behind another", of(with("a"), bare("b"), with("c")), of(with("a"), with("b"), with("c")), "b: its compensation is new"},
	{"an arm", of(with("a")).If("i", even, with("x"), with("y")).Then(with("z")),
		of(with("a")).Switch("i", truth, flow.Case("yes", with("x")), flow.Case("no", with("y")), flow.Case("more", with("w"))).Then(with("z")), ""},
	{"an arm less", of(with("a")).Switch("i", truth, flow.Case("yes", with("x")), flow.Case("no", with("y"))),
		of(with("a")).Switch("i", truth, flow.Case("yes", with("x")), flow.Case("otherwise", with("y"))), `the arm "no" is gone`},
	{"not optional", of(with("a")).When("i", even, with("x")).Then(with("b")), of(with("a")).If("i", even, with("x"), with("y")).Then(with("b")), "i: it always takes an arm now"},
	{"a step at the end of an arm", of().If("i", even, with("x"), with("y")), of().If("i", even, inFlow("x", with("x")), with("y")), `i/x: it is gone`},
	{"an arm longer, and more after it", of().If("i", even, inFlow("p", with("x")), with("y")).Then(with("z")),
		of().If("i", even, inFlow("p", with("x"), with("w")), with("y")).Then(with("z")), "i/p/w: it is new"},
	{"an arm longer at the end", of(with("a")).If("i", even, inFlow("p", with("x")), with("y")),
		of(with("a")).If("i", even, inFlow("p", with("x"), with("w")), with("y")), ""},
	{"a part longer at the end", of().Both("g", inFlow("p", with("x")), with("y"), first), of().Both("g", inFlow("p", with("x"), with("w")), with("y"), first), ""},
	{"a part longer in the middle", of().Both("g", inFlow("p", with("x")), with("y"), first).Then(with("z")),
		of().Both("g", inFlow("p", with("x"), with("w")), with("y"), first).Then(with("z")), "g/p/w: it is new"},
	{"a part more in the middle", of().Both("g", with("x"), with("y"), first).Then(with("z")),
		of().All3("g", with("x"), with("y"), with("w"), func(_, a, _, _ int) int { return a }).Then(with("z")), "g: it has a part more"},
	{"a part more at the end", of().Both("g", with("x"), with("y"), first), of().All3("g", with("x"), with("y"), with("w"), func(_, a, _, _ int) int { return a }), ""},
	{"fewer items at once", of().Each("e", three, with("x"), firstOf), of().Each("e", three, with("x"), firstOf, flow.Parallel(1)), "e: it has fewer items at once"},
	{"more items at once", of().Each("e", three, with("x"), firstOf, flow.Parallel(1)), of().Each("e", three, with("x"), firstOf), ""},
	{"an item longer at the end", of().Each("e", three, inFlow("p", with("x")), firstOf), of().Each("e", three, inFlow("p", with("x"), with("w")), firstOf), ""},
	{"an item longer, one at a time", of().Each("e", three, inFlow("p", with("x")), firstOf, flow.Parallel(1)),
		of().Each("e", three, inFlow("p", with("x"), with("w")), firstOf, flow.Parallel(1)), "e[]/p/w: it is new"},
	{"a round longer", of().Loop("l", 3, inFlow("p", with("x")), threes), of().Loop("l", 3, inFlow("p", with("x"), with("w")), threes), "l#/p/w: it is new"},
	{"a competitor longer", of().Race("r", inFlow("p", with("x")), with("y")), of().Race("r", inFlow("p", with("x"), with("w")), with("y")), "r/p/w: it is new"},
	{"a competitor more", of(with("a")).Race("r", with("x"), with("y")), of(with("a")).Race("r", with("x"), with("y"), with("w")), "r: it had 2 parts and has 3"},
	{"waiting for ever", of(with("a")).WaitFor(paid, time.Hour, plus, with("late")), of(with("a")).Wait(paid, plus), "paid: it waits for ever now"},
	{"no longer for ever", of(with("a")).Wait(paid, plus), of(with("a")).WaitFor(paid, 90*24*time.Hour, plus, with("late")), ""},
	{"another signal", of(with("a")).WaitFor(paid, time.Hour, plus, with("late")).Then(with("b")),
		of(with("a")).WaitFor(paidLater, time.Hour, plus, with("late")).Then(with("b")), `paid: it waited for signal "paid"`},
	{"undone in order", of().Both("g", with("x"), with("y"), first).Then(with("z")), of().Both("g", with("x"), with("y"), first).Then(with("z")).UndoInOrder(), "UndoInOrder is new"},
	{"an output", of(step.Do("a", func(context.Context, int) error { return nil }), with("b")), of(bare("a"), with("b")), "a: it has an output now"},
}

func TestHowToKeepANameDependsOnWhatHasIt(t *testing.T) {
	due, later := flow.NewSignal[int]("due"), flow.NewSignal[int]("paid").As("later")
	for says, now := range map[string][2]flow.Flow[int, int]{
		`.As("a")`: {of(with("a")), of(with("aa"))},
		`keep the name of the signal, flow.NewSignal[…]("paid"), by which`: {of().Wait(paid, plus), of().Wait(due, plus)},
		`.As("paid")`: {of().Wait(paid, plus), of().Wait(later, plus)},
		`keep the name, the first argument of what makes the delay: "rest"`: {of().Delay("rest", anHour), of().Delay("pause", anHour)},
		`keep the name, the first argument of what makes the choice: "big"`: {of().When("big", even, with("x")), of().When("huge", even, with("x"))},
	} {
		found := judge(recordOf(definitionOf(now[0])), recordOf(definitionOf(now[1])))
		assert.Contains(t, found[0].do, says)
	}
}

func plus(a, b int) int  { return a + b }
func threes(n int) bool  { return n%3 == 0 }
func truth(n int) string { return map[bool]string{true: "yes", false: "no"}[even(n)] }

// Sagas of the old definition are run in many ways and exported at every point that they come to. Compatible says yes exactly where the new
// definition can go on with all of them.
func TestCompatibleSaysWhetherAllSagasCanGoOn(t *testing.T) {
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			var shots []flow.Exported
			for seed := range 60 {
				synctest.Test(t, func(t *testing.T) { shots = append(shots, shotsOf(t, c.old, seed)...) })
			}
			var misfits int
			var why error
			for _, x := range shots {
				if err := canGoOn(t.Context(), x, c.now, silent); err != nil {
					misfits, why = misfits+1, err
				}
			}
			found := judge(recordOf(definitionOf(c.old)), recordOf(definitionOf(c.now)))
			assert.Equal(t, misfits > 0, len(found) > 0, "%d of %d cannot go on (%v); Compatible says %v", misfits, len(shots), why, found)
			require.NotEmpty(t, shots)
			if c.says == "" {
				require.Empty(t, found)
				return
			}
			require.NotEmpty(t, found)
			assert.Contains(t, found[0].path+": "+found[0].what, c.says)
		})
	}
}

var silent = flow.Options{Logger: slog.New(slog.DiscardHandler)}

// shooting is a broker that exports saga s after every commit.
type shooting struct {
	*inmem.Broker
	mu    sync.Mutex
	shots []flow.Exported
}

type shootingWorker struct {
	broker.Worker
	b *shooting
}

func (b *shooting) Join(ctx context.Context, m broker.Member) (broker.Worker, error) {
	w, err := b.Broker.Join(ctx, m)
	return shootingWorker{w, b}, err
}

func (b *shooting) Start(ctx context.Context, s broker.Start) (broker.Started, error) {
	if w, ok := s.By.(shootingWorker); ok {
		s.By = w.Worker
	}
	return b.Broker.Start(ctx, s)
}

func (w shootingWorker) Commit(ctx context.Context, t broker.Transition) (broker.Ack, error) {
	ack, err := w.Worker.Commit(ctx, t)
	if x, err := flow.Export(ctx, w.b.Broker, "s"); err == nil {
		w.b.mu.Lock()
		defer w.b.mu.Unlock()
		w.b.shots = append(w.b.shots, x)
	}
	return ack, err
}

var errTrouble = errors.New("trouble")

// troubled makes attempts slow, and some fail.
func troubled(seed int) flow.Interceptor {
	return func(ctx context.Context, next func(context.Context) error) error {
		info := step.InfoFrom(ctx)
		h := fnv.New64a()
		fmt.Fprintf(h, "%d %s %t", seed, info.Path, info.Undo)
		n := h.Sum64() >> 20
		time.Sleep(time.Duration(n%7) * time.Second)
		if kind := n / 7 % 10; seed%4 == 0 || info.Undo && kind > 1 { // no trouble
		} else if kind == 0 || kind == 2 && !info.Undo {
			return errTrouble
		} else if kind == 1 {
			return errors.Join(next(ctx), errTrouble)
		}
		return next(ctx)
	}
}

// shotsOf runs one saga, and gives what it was at each of its revisions.
func shotsOf(t require.TestingT, f counting, seed int) []flow.Exported {
	b := &shooting{Broker: inmem.New()}
	o := silent
	o.Interceptors = []flow.Interceptor{troubled(seed)}
	e := flow.NewEngine(b, o)
	e.Serve(f)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	future, err := f.Start(ctx, e, seed, flow.ID("s"))
	require.NoError(t, err)
	if seed%3 == 0 {
		time.Sleep(20 * time.Second)
		_ = paid.Send(ctx, e, "s", 2)
	}
	if seed%5 == 0 {
		time.Sleep(8 * time.Second)
		_ = future.Cancel(ctx, "no more")
	}
	soon, stop := context.WithTimeout(ctx, 48*time.Hour)
	defer stop()
	_, _ = future.Await(soon)
	cancel()
	require.NoError(t, <-ended)
	return b.shots
}

// What cannot be seen in whether a record loads, and would still go wrong.
func TestCompatibleSeesMoreThanThatARecordLoads(t *testing.T) {
	type v1 struct {
		Book  string
		Price int64
		Tags  []string
	}
	type renamed struct {
		Title string `msgpack:"Title,alias:Book"`
		Price int64
		Tags  []string
		More  bool
	}
	type lost struct {
		Title string
		Price int64
		Tags  []string
	}
	type other struct {
		Book  string
		Price string
		Tags  []int
	}
	type small struct {
		Book  string
		Price int32
		Tags  []string
	}
	child := inFlow("c", with("x"))
	for name, c := range map[string]struct {
		old, now record
		says     string
	}{
		"compensation gone": {recorded(of(with("a"), with("b"))), recorded(of(bare("a"), with("b"))), "a: its compensation is gone"},
		"pivot moved":       {recorded(of(bare("a").Pivot(), bare("b"))), recorded(of(bare("a"), bare("b").Pivot())), "a: the pivot has moved"},
		"version":           {recorded(of(with("a"))), recorded(of(with("a")).Version(2)), "the flow: it was version 1 and is version 2"},
		"name":              {recorded(of(with("a"))), recorded(inFlow("g", with("a"))), `the flow: it was "f" and is "g"`},
		"child's flow": {recorded(of().Then(flow.Child(child))), recorded(of().Then(flow.Child(inFlow("d", with("x"))).As("c"))),
			`c: its saga was one of "c"`},
		"child's version": {recorded(of().Then(flow.Child(child))), recorded(of().Then(flow.Child(child.Version(2)))), "version 2"},
		"child's step":    {recorded(of().Then(flow.Child(child))), recorded(of().Then(flow.Child(inFlow("c", with("y"))))), "c/x: it is gone"},
		"a held child":    {recorded(of().Then(flow.Child(child))), recorded(of().Then(flow.Child(inFlow("c", with("x"), with("y"))))), "c/y: it is new"},
		"field added":     {recorded(flow.New[v1]("f")), recorded(flow.New[renamed]("f")), ""},
		"field lost":      {recorded(flow.New[v1]("f")), recorded(flow.New[lost]("f")), `has no field "Book" any more`},
		"field's kind":    {recorded(flow.New[v1]("f")), recorded(flow.New[other]("f")), "was written as int and is read as string"},
		"field's bits":    {recorded(flow.New[v1]("f")), recorded(flow.New[small]("f")), "had 64 bits and has 32"},
	} {
		t.Run(name, func(t *testing.T) {
			var said []string
			for _, i := range judge(c.old, c.now) {
				said = append(said, i.path+": "+i.what)
			}
			if c.says == "" {
				assert.Empty(t, said)
				return
			}
			require.NotEmpty(t, said)
			assert.Contains(t, said[0], c.says)
		})
	}
}

func recorded[I, O any](f flow.Flow[I, O]) record { return recordOf(definitionOf(f)) }

func TestDistance(t *testing.T) {
	assert.Equal(t, 0, distance("charge", "charge"))
	assert.Equal(t, 3, distance("kitten", "sitting"))
	assert.Equal(t, 6, distance("", "charge"))
}

func TestLineDiff(t *testing.T) {
	assert.Equal(t, "    a\n  - b\n  + x\n    c\n  + d\n", lineDiff("a\nb\nc\n", "a\nx\nc\nd\n"))
	assert.NotContains(t, lineDiff("a\n", "a\n"), strings.TrimSpace("+ "))
}
