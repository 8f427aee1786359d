package sagatest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/sagatest"
	"github.com/skald-go/skald/step"
)

var (
	aCat    = wish{"ada", "cat", 40}
	shopped = flow.Options{Errors: errShop}
)

// bubbled runs tests of the purchase in bubbles.
func bubbled(t *testing.T, name string, test func(t *testing.T, buy *sagatest.Case[wish, string])) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, sagatest.Given(t, newTown().Buy(), shopped)) })
	})
}

func TestExpectations(t *testing.T) {
	bubbled(t, "done", func(t *testing.T, buy *sagatest.Case[wish, string]) {
		buy.Start(aCat).Ran("reserve", "charge", "deliver", "announce").Undid().Gives("hold of a cat")
	})
	bubbled(t, "refused", func(t *testing.T, buy *sagatest.Case[wish, string]) {
		buy.Refuse("charge", errPoor).Start(aCat).Ran("reserve").Undid("reserve").RefusedWith(errPoor)
	})
	bubbled(t, "refused by its world", func(t *testing.T, buy *sagatest.Case[wish, string]) {
		buy.Start(wish{"ada", "cat", 4000}).Ran("reserve").Undid("reserve").RefusedWith(errPoor)
	})
	bubbled(t, "failed", func(t *testing.T, buy *sagatest.Case[wish, string]) {
		run := buy.Fail("deliver", errDown).Start(aCat).Ran("reserve", "charge").Undid("deliver", "charge", "reserve")
		_, err := run.Result()
		assert.ErrorContains(t, err, errDown.Error())
	})
	bubbled(t, "lost reply", func(t *testing.T, buy *sagatest.Case[wish, string]) {
		run := buy.LoseReply("charge").Start(aCat).Ran("reserve").Undid("charge", "reserve").Undone(sagatest.ErrInjected)
		assert.Len(t, run.Calls(), 5, "there are two attempts")
		assert.Equal(t, []error{nil}, run.Calls()[2].Ran)
	})
	bubbled(t, "crash", func(t *testing.T, buy *sagatest.Case[wish, string]) {
		run := buy.Crash("charge").Start(aCat).Ran("reserve", "charge", "charge", "deliver", "announce").Gives("hold of a cat")
		assert.GreaterOrEqual(t, run.Calls()[2].Began.Sub(run.Calls()[1].Ended), 15*time.Second, "the lease passes")
		assert.Equal(t, run.Calls()[1].Key, run.Calls()[2].Key)
	})
	bubbled(t, "dead letter", func(t *testing.T, buy *sagatest.Case[wish, string]) {
		buy.Refuse("announce", errPoor).FailUndo("charge", errSoldOut).Start(aCat).Undid("deliver", "reserve").DeadLetter(errPoor)
	})
	bubbled(t, "injected", func(t *testing.T, buy *sagatest.Case[wish, string]) {
		buy.Inject("reserve", sagatest.RunsTwice).Inject("announce", sagatest.Cancelled).Start(aCat).Gives("hold of a cat")
	})
}

var paid = flow.NewSignal[int]("paid")

// patient waits for a payment, and reminds of it.
func patient() flow.Flow[int, int] {
	add := func(n int) func(context.Context, int) (int, error) {
		return func(_ context.Context, in int) (int, error) { return in + n, nil }
	}
	back := func(context.Context, step.Effect[int, int]) error { return nil }
	return flow.New[int]("patient").
		Then(step.New("order", add(1)).Compensate(back)).
		WaitFor(paid, time.Hour, func(n, points int) int { return n + points }, step.New("remind", add(100)).ReadOnly()).
		Delay("rest", func(int) time.Duration { return 24 * time.Hour }).
		Then(step.New("ship", add(1000)).Compensate(back))
}

func TestExpectationsOfSagasThatWait(t *testing.T) {
	run := func(name string, test func(t *testing.T, p *sagatest.Case[int, int])) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, sagatest.Given(t, patient(), flow.Options{})) })
		})
	}
	run("signal", func(t *testing.T, p *sagatest.Case[int, int]) {
		p.Start(0).Ran("order").Waits("paid").After(59*time.Minute).Waits("paid").Signal(paid, 10).Waits("rest").
			After(23*time.Hour).Ran("order").After(time.Hour).Ran("order", "ship").Gives(1011)
	})
	run("late", func(t *testing.T, p *sagatest.Case[int, int]) {
		p.Start(0).After(time.Hour).Waits("rest").Ran("order", "paid/remind").Gives(1101)
	})
	run("cancelled", func(t *testing.T, p *sagatest.Case[int, int]) {
		p.Start(0).Waits("paid").Cancel("no more money").Undid("order").Undone(flow.ErrCancelled)
	})
	run("cancelled too late", func(t *testing.T, p *sagatest.Case[int, int]) {
		p.Start(0).Signal(paid, 1).After(24 * time.Hour).Cancel("no more money").Gives(1002)
	})
}

// fake is a test whose failures are collected.
type fake struct {
	testing.TB
	failures []string
}

type fatal string

func (f *fake) Helper() {}
func (f *fake) Error(args ...any) {
	f.failures = append(f.failures, fmt.Sprint(args...))
}

func (f *fake) Errorf(format string, args ...any) {
	f.failures = append(f.failures, fmt.Sprintf(format, args...))
}

func (f *fake) Fatal(args ...any)                 { panic(fatal(fmt.Sprint(args...))) }
func (f *fake) Fatalf(format string, args ...any) { panic(fatal(fmt.Sprintf(format, args...))) }

func TestExpectationsFail(t *testing.T) {
	for name, c := range map[string]struct {
		expect func(r *sagatest.Run[string])
		says   string
	}{
		"ran":     {func(r *sagatest.Run[string]) { r.Ran("reserve", "deliver") }, "steps that were done:\n      expected  got\n      reserve   reserve\n    ✗ deliver   –\n  the saga has ended: flow: saga \"saga\" of \"buy\" is undone: step \"charge\" failed: shop: not enough points\n  executed:\nreserve\n"},
		"undid":   {func(r *sagatest.Run[string]) { r.Undid() }, "✗ –         reserve"},
		"waits":   {func(r *sagatest.Run[string]) { r.Waits("x") }, "the saga waits"},
		"gives":   {func(r *sagatest.Run[string]) { r.Gives("x") }, "the saga is not done: flow: saga"},
		"undone":  {func(r *sagatest.Run[string]) { r.Undone(errSoldOut) }, "undone for another reason"},
		"refused": {func(r *sagatest.Run[string]) { r.RefusedWith(errSoldOut) }, "undone for another reason"},
		"dead":    {func(r *sagatest.Run[string]) { r.DeadLetter(errPoor) }, "the saga is undone, expected: dead letter"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{TB: t}
				r := sagatest.Given(f, newTown().Buy(), shopped).Refuse("charge", errPoor).Start(aCat)
				require.Empty(t, f.failures)
				c.expect(r)
				require.Len(t, f.failures, 1)
				assert.Contains(t, f.failures[0], c.says)
			})
		})
	}
}

func TestRefusedWithTellsARefusalFromAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{TB: t}
		sagatest.Given(f, newTown().Buy(), shopped).Fail("deliver", errPoor).Start(aCat).RefusedWith(errPoor)
		require.Len(t, f.failures, 1)
		assert.Contains(t, f.failures[0], "step deliver did not refuse")
	})
}

func TestGivesTellsADifference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{TB: t}
		sagatest.Given(f, newTown().Buy(), shopped).Start(aCat).Gives("x")
		assert.Equal(t, []string{"sagatest: the saga gives something else: hold of a cat, expected x"}, f.failures)
	})
}

func TestMistakesOfExpectations(t *testing.T) {
	given := func(t *testing.T) *sagatest.Case[wish, string] {
		return sagatest.Given(&fake{TB: t}, newTown().Buy(), shopped)
	}
	for says, mistake := range map[string]func(t *testing.T){
		`sagatest: no step has the path "pay"; these are the steps: reserve, charge, deliver, announce`:       func(t *testing.T) { given(t).LoseReply("pay") },
		`sagatest: there is no fault "losst"; see sagatest.Fault for those that there are`:                    func(t *testing.T) { given(t).Inject("charge", "losst") },
		`sagatest: the fault "no-signal" is one of the matrix only`:                                           func(t *testing.T) { given(t).Inject("charge", sagatest.NoSignal) },
		`sagatest: announce has no compensation to which "undo-fails-for-good" could happen`:                  func(t *testing.T) { given(t).FailUndo("announce", errDown) },
		`sagatest: Fail("charge", nil) needs an error; Inject("charge", "fails-before") makes one`:            func(t *testing.T) { given(t).Fail("charge", nil) },
		`sagatest: Refuse("charge", nil) needs an error; Inject("charge", "refused") makes one`:               func(t *testing.T) { given(t).Refuse("charge", nil) },
		`sagatest: FailUndo("charge", nil) needs an error; Inject("charge", "undo-fails-for-good") makes one`: func(t *testing.T) { given(t).FailUndo("charge", nil) },
		"sagatest: there are many of each[]/of/x: say which, such as each[0]/of/x": func(t *testing.T) {
			items := flow.New[int]("of").Then(step.New("x", echo))
			saga := flow.New[int]("f").Each("each", func(n int) []int { return []int{n} }, items, func(n int, _ []int) int { return n })
			sagatest.Given(&fake{TB: t}, saga, flow.Options{}).LoseReply("each[]/of/x")
		},
		`sagatest: paid is a wait, and faults happen to steps; these are the steps: order, paid/remind, ship`: func(t *testing.T) {
			sagatest.Given(&fake{TB: t}, patient(), flow.Options{}).LoseReply("paid")
		},
		"sagatest: charge has a fault already":                            func(t *testing.T) { given(t).LoseReply("charge").Crash("charge") },
		`sagatest: the fault "deadline-passes" is one of the matrix only`: func(t *testing.T) { given(t).Inject("charge", sagatest.DeadlinePasses) },
	} {
		synctest.Test(t, func(t *testing.T) { assert.PanicsWithValue(t, fatal(says), func() { mistake(t) }) })
	}
	assert.PanicsWithValue(t, fatal("sagatest: Given works in virtual time: call it inside synctest.Test(t, func(t *testing.T) { … })"), func() { given(t) })
}

func TestAFaultThatDoesNotHappenFailsTheTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{TB: t}
		t.Cleanup(func() { assert.Equal(t, []string{"sagatest: lost-reply did not happen to announce"}, f.failures) }) // runs last
		sagatest.Given(f, newTown().Buy(), shopped).Refuse("charge", errPoor).LoseReply("announce").Start(aCat).Undone(errPoor)
	})
}

func TestASagaThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flow.New[int]("endless").Wait(paid, func(n, _ int) int { return n })
		fails := &fake{TB: t}
		run := sagatest.Given(fails, f, flow.Options{}).Start(0)
		assert.PanicsWithValue(t, fatal("sagatest: the saga has not ended after 1440h0m0s: it is running; wait paid is open"), func() { run.Gives(1) })
	})
}

func TestARecorderWorksWithAnyEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec sagatest.Recorder
		options := shopped
		options.Interceptors = []flow.Interceptor{rec.Intercept}
		sagatest.Given(t, newTown().Buy(), options).Start(wish{"ada", "cat", 4000})
		assert.Equal(t, []string{"reserve"}, rec.Ran())
		assert.Equal(t, []string{"reserve"}, rec.Undid())
		assert.Equal(t, "reserve\ncharge: shop: not enough points\nundo reserve\n", rec.String())
		calls := rec.Calls()
		require.Len(t, calls, 3)
		assert.Equal(t, []string{"skald/saga/reserve/do", "skald/saga/charge/do", "skald/saga/reserve/undo"}, []string{calls[0].Key, calls[1].Key, calls[2].Key})
		assert.True(t, errors.Is(calls[1].Err, errPoor) && len(calls[1].Ran) == 1 && errors.Is(calls[1].Ran[0], errPoor))
	})
}

func TestARecorderSeesPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flow.New[int]("f").Then(step.New("a", func(context.Context, int) (int, error) { panic("oops") }))
		run := sagatest.Given(t, f, flow.Options{}).Start(1)
		assert.EqualError(t, run.Calls()[0].Err, "panic: oops")
		assert.Equal(t, "a: panic: oops", run.Calls()[0].String())
		_, err := run.Result()
		assert.ErrorContains(t, err, "oops")
	})
}

func TestGivenWithoutStartTestsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{TB: t}
		t.Cleanup(func() {
			assert.Equal(t, []string{`sagatest: Given of "buy" was never started, and has tested nothing: call Start`}, f.failures)
		}) // runs last
		sagatest.Given(f, newTown().Buy(), shopped).Refuse("charge", errPoor)
	})
}

func TestAnErrorThatIsNotRegisteredIsHintedAt(t *testing.T) {
	errNew := errors.New("shop: closed on mondays")
	synctest.Test(t, func(t *testing.T) {
		f := &fake{TB: t}
		sagatest.Given(f, newTown().Buy(), shopped).Fail("reserve", errNew).Start(aCat).Undone(errNew)
		require.Len(t, f.failures, 1)
		assert.Contains(t, f.failures[0], `"shop: closed on mondays" is not registered, so callers get its text only: give Options.Errors an errcodec.Sentinel`)
		f.failures = nil
		sagatest.Given(f, newTown().Buy(), shopped).Fail("reserve", errNew).Start(aCat).Undone(errPoor)
		assert.NotContains(t, f.failures[0], "not registered", "errPoor is")
	})
}

func TestADeadLetterIsFoundByTheErrorOfItsUndo(t *testing.T) {
	bubbled(t, "undo", func(t *testing.T, buy *sagatest.Case[wish, string]) {
		buy.Refuse("announce", errPoor).FailUndo("charge", errSoldOut).Start(aCat).DeadLetter(errSoldOut).DeadLetter(errPoor)
	})
}

func TestSignalsThatNobodyWaitsFor(t *testing.T) {
	for says, send := range map[string]func(r *sagatest.Run[int]){
		`sagatest: Run.Signal: the saga never waits for signal "payed"; it waits for: "paid"`: func(r *sagatest.Run[int]) { r.Signal(flow.NewSignal[int]("payed"), 1) },
		`sagatest: Run.Signal: signal "paid" carries a string, and the saga waits at paid for one that carries a int`: func(r *sagatest.Run[int]) {
			r.Signal(flow.NewSignal[string]("paid"), "a")
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{TB: t}
			send(sagatest.Given(f, patient(), flow.Options{}).Start(0))
			assert.Equal(t, []string{says}, f.failures)
		})
	}
	world := sagatest.World[int, int]{
		New: func() int { return 0 }, Input: func(int) int { return 0 },
		Signals: func(_ int, at sagatest.Waiting) error { return at.Send(flow.NewSignal[int]("payed"), 1) },
	}
	r := sagatest.Examine(t, func(int) flow.Flow[int, int] { return patient() }, world)
	require.NotEmpty(t, r.Failures)
	assert.Contains(t, r.Failures[0].Broken[0], `World.Signals at paid: the saga never waits for signal "payed"; it waits for: "paid"`)
}

func TestSignalsOfChildren(t *testing.T) {
	world := sagatest.World[int, int]{
		New: func() int { return 0 }, Input: func(int) int { return 0 },
		Signals: func(_ int, at sagatest.Waiting) error { return at.Send(paid, 1) },
	}
	saga := flow.New[int]("outer").Then(flow.Child(patient()))
	r := sagatest.Examine(t, func(int) flow.Flow[int, int] { return saga }, world)
	for _, c := range r.Failures {
		assert.NotContains(t, c.Broken[0], "never waits", c.Name)
	}
	synctest.Test(t, func(t *testing.T) {
		f := &fake{TB: t}
		sagatest.Given(f, saga, flow.Options{}).Start(0).Signal(paid, 1)
		assert.Equal(t, []string{`sagatest: Run.Signal: the saga never waits for signal "paid"; it waits for: none`}, f.failures, "its child does")
	})
}

func TestPathsOfChildrenStandBeforeThoseInThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := flow.New[int]("inner").Then(step.New("a", echo).Compensate(nothing))
		saga := flow.New[int]("outer").Then(flow.Child(inner)).Then(step.New("b", echo).ReadOnly())
		sagatest.Given(t, saga, flow.Options{}).Refuse("b", errPoor).Start(1).Ran("inner/a").Undid("inner/a")
	})
}
