package sagatest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// examined is a stage of a flow with two steps, a parallel part and a step, on which nothing runs.
func examined(s ...injection) *stage {
	do := func(_ context.Context, n int) (int, error) { return n, nil }
	undo := func(context.Context, step.Effect[int, int]) error { return nil }
	undoable := func(name string) step.Step[int, int] { return step.New(name, do).Compensate(undo).Refuses(errNo) }
	f := flow.New[int]("f").
		Then(undoable("a")).
		Then(undoable("b")).
		Each("each", func(n int) []int { return []int{n} }, flow.New[int]("of").Then(undoable("x")).Then(undoable("y")),
			func(n int, _ []int) int { return n }).
		Then(step.New("read", do).ReadOnly())
	p := playOf(f, nil)
	return &stage{play: p, outline: outlineOf(p.def), id: sagaID, script: s}
}

var (
	errNo = errors.New("no")
	noon  = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
)

// calls makes calls of their names: "a", "undo a", and "a!" for one that fails, "a?" for one that refuses.
func calls(names ...string) (list []Call) {
	for _, name := range names {
		c := Call{Saga: sagaID, Began: noon, Ended: noon}
		name, c.Undo = strings.CutPrefix(name, "undo ")
		switch {
		case strings.HasSuffix(name, "!"):
			c.Err = ErrInjected
		case strings.HasSuffix(name, "?"):
			c.Err = errNo
		}
		c.Path = strings.TrimRight(name, "!?")
		list = append(list, c)
	}
	return list
}

func texts(problems []problem) (list []string) {
	for _, p := range problems {
		list = append(list, p.String())
	}
	return list
}

func TestUndosThatAreDue(t *testing.T) {
	for name, c := range map[string]struct {
		state flow.State
		calls []Call
		says  []string
	}{
		"all is undone":                  {flow.StateUndone, calls("a", "b!", "undo b", "undo a"), nil},
		"a refusal is not undone":        {flow.StateUndone, calls("a", "b?", "undo a"), nil},
		"what is read is not undone":     {flow.StateUndone, calls("a", "read", "undo a"), nil},
		"an undo may fail first":         {flow.StateUndone, calls("a", "b?", "undo a!", "undo a"), nil},
		"a step is forgotten":            {flow.StateUndone, calls("a", "b", "undo b"), []string{"undo: the saga is undone, and a is not"}},
		"an unknown outcome is as well":  {flow.StateUndone, calls("a", "b!", "undo a"), []string{"undo: the saga is undone, and b is not"}},
		"an undo has failed":             {flow.StateUndone, calls("a", "b?", "undo a!"), []string{"undo: the saga is undone, and a is not"}},
		"a refusal is undone":            {flow.StateUndone, calls("a", "b?", "undo b", "undo a"), []string{"undo: b is undone, although it refused"}},
		"a refusal after a failure":      {flow.StateUndone, calls("a", "b!", "b?", "undo b", "undo a"), nil},
		"what never ran is undone":       {flow.StateUndone, calls("a?", "undo b"), []string{"undo: b is undone, although it never ran"}},
		"a saga that is done is undone":  {flow.StateDone, calls("a", "b", "undo a"), []string{"undo: a is undone, although the saga is done"}},
		"a saga that is done keeps what": {flow.StateDone, calls("a", "b"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := &result{final: Final{State: c.state, Calls: c.calls}}
			assert.Equal(t, c.says, texts(examined().examineUndos(r)))
		})
	}
	asked := Call{Saga: sagaID, Path: "b", Ended: noon, Err: step.NotYet(time.Second)}
	r := &result{final: Final{State: flow.StateUndone, Calls: append(append(calls("a"), asked), calls("undo b", "undo a")...)}}
	assert.Empty(t, examined().examineUndos(r), "what is to be asked again may be undone")
}

func TestOrderOfUndos(t *testing.T) {
	for name, c := range map[string]struct {
		calls []Call
		says  []string
	}{
		"the last first":           {calls("a", "b", "undo b", "undo a"), nil},
		"the first first":          {calls("a", "b", "undo a", "undo b"), []string{"order: a was undone before b, which ran after it"}},
		"an undo that is repeated": {calls("a", "b", "undo b", "undo a", "undo b"), nil},
		"before the end of another": {calls("a", "b", "undo b!", "undo a", "undo b"),
			[]string{"order: a was undone before b, which ran after it"}},
		"side by side":         {calls("each[0]/of/x", "each[1]/of/x", "undo each[0]/of/x", "undo each[1]/of/x"), nil},
		"in order in one item": {calls("each[0]/of/x", "each[0]/of/y", "undo each[0]/of/x", "undo each[0]/of/y"), []string{"order: each[0]/of/x was undone before each[0]/of/y, which ran after it"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &result{final: Final{State: flow.StateUndone, Calls: c.calls}}
			assert.Equal(t, c.says, texts(examined().examineOrder(r)))
			r.final.Relayed = true
			assert.Empty(t, examined().examineOrder(r))
		})
	}
}

func TestTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		r    *result
		says string
	}{
		"late":        {&result{final: Final{State: flow.StateDone}, late: calls("undo a")}, "after the end: undo a ran after the saga had ended"},
		"missed":      {&result{final: Final{State: flow.StateDone}, missed: []injection{{node: node{"a", true}, fault: UndoFails}}}, "the fault did not happen: undo-fails-for-good at undo a"},
		"dead letter": {&result{final: Final{State: flow.StateDeadLetter, Err: errNo}}, "outcome: it is a dead letter, and no undo was made to fail for good: no"},
		"unknown":     {&result{final: Final{Err: errNo}}, "outcome: the caller got no"},
	} {
		t.Run(name, func(t *testing.T) {
			found := texts(examined().examineEnd(c.r))
			assert.Len(t, found, 1)
			assert.Contains(t, found[0], c.says)
		})
	}
	assert.Empty(t, examined().examineEnd(&result{final: Final{State: flow.StateUndone, Err: errNo}}))
}

func TestTheCauseReachesTheCaller(t *testing.T) {
	failing := func(f Fault, err error) []Call {
		return []Call{{Saga: sagaID, Path: "a", Fault: f, Err: err, Ended: noon}}
	}
	late := context.DeadlineExceeded
	for name, c := range map[string]struct {
		fault  Fault
		answer error // of the attempt
		got    error // by the caller
		says   string
	}{
		"a refusal":           {Refused, errNo, errNo, ""},
		"a lost refusal":      {Refused, errNo, late, `the caller does not get "no" under errors.Is, but context deadline exceeded`},
		"an error":            {LostReply, ErrInjected, ErrInjected, ""},
		"a lost error":        {LostReply, ErrInjected, late, "the caller does not get the error of the step, but context deadline exceeded"},
		"another error":       {LostReply, errNo, errNo, ""},
		"a panic":             {Panics, errNo, step.NewPanic("oops", nil), ""},
		"a lost panic":        {Panics, errNo, errNo, "the caller does not get a *step.PanicError, but no"},
		"a timeout":           {TimesOut, late, late, ""},
		"the saga's deadline": {TimesOut, late, flow.ErrDeadline, ""},
		"a lost timeout":      {TimesOut, late, errNo, "the caller does not get context.DeadlineExceeded, but no"},
	} {
		t.Run(name, func(t *testing.T) {
			s := examined(injection{node: node{path: "a"}, fault: c.fault})
			found := s.examineCause(&result{final: Final{State: flow.StateUndone, Err: c.got, Calls: failing(c.fault, c.answer)}})
			if c.says == "" {
				assert.Empty(t, found)
				return
			}
			assert.Equal(t, []string{"cause: " + c.says}, texts(found))
		})
	}
}

func TestAnswersOfCancels(t *testing.T) {
	for name, c := range map[string]struct {
		fault  Fault
		state  flow.State
		answer error // of the cancel
		err    error // that the caller gets
		says   string
	}{
		"it goes back":            {Cancelled, flow.StateUndone, nil, flow.ErrCancelled, ""},
		"it is past its pivot":    {Cancelled, flow.StateDone, flow.ErrPastPivot, nil, ""},
		"it has ended":            {Cancelled, flow.StateDone, flow.ErrSettled, nil, ""},
		"it goes forward":         {Cancelled, flow.StateDone, nil, nil, "the saga is done, and the cancel was answered with: <nil>"},
		"it goes back unheard":    {Cancelled, flow.StateUndone, flow.ErrPastPivot, flow.ErrCancelled, "the saga is undone, and the cancel was answered with: " + flow.ErrPastPivot.Error()},
		"another answer":          {Cancelled, flow.StateDone, errNo, nil, "the cancel was answered with: no"},
		"another cause":           {Cancelled, flow.StateUndone, nil, errNo, "the saga was cancelled, and the caller gets no"},
		"late":                    {DeadlinePasses, flow.StateUndone, nil, flow.ErrDeadline, ""},
		"late for another reason": {DeadlinePasses, flow.StateUndone, nil, errNo, "the deadline passed, and the caller gets no"},
		"not late":                {DeadlinePasses, flow.StateDone, nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := examined(injection{node: node{path: "a"}, fault: c.fault})
			r := &result{answer: c.answer, final: Final{State: c.state, Err: c.err, Calls: calls("a")}}
			if found := texts(s.examineCancel(r)); c.says == "" {
				assert.Empty(t, found)
			} else {
				assert.Equal(t, []string{"cause: " + c.says}, found)
			}
			r.final.Calls = calls("a!")
			assert.Empty(t, s.examineCancel(r), "the step failed as well")
		})
	}
}

func TestDifferences(t *testing.T) {
	type inner struct{ N int }
	type outer struct {
		Points map[string]int
		List   []inner
		At     *inner
		Any    any
		hidden string
	}
	base := func() outer {
		return outer{map[string]int{"ada": 30}, []inner{{1}, {2}}, &inner{3}, inner{4}, "x"}
	}
	for name, c := range map[string]struct {
		change func(*outer)
		want   []string
	}{
		"nothing":        {func(*outer) {}, nil},
		"value of a map": {func(o *outer) { o.Points["ada"] = 40 }, []string{"Points[ada]: 40, was 30"}},
		"new key":        {func(o *outer) { o.Points["bob"] = 1 }, []string{"Points[bob]: 1 is new"}},
		"lost key":       {func(o *outer) { delete(o.Points, "ada") }, []string{"Points[ada]: 30 is gone"}},
		"element":        {func(o *outer) { o.List[1].N = 9 }, []string{"List[1].N: 9, was 2"}},
		"length":         {func(o *outer) { o.List = o.List[:1] }, []string{"List: 1 elements, were 2"}},
		"pointer":        {func(o *outer) { o.At.N = 0 }, []string{"At.N: 0, was 3"}},
		"nil pointer":    {func(o *outer) { o.At = nil }, []string{"At: <nil>, was &{N:3}"}},
		"interface":      {func(o *outer) { o.Any = inner{5} }, []string{"Any.N: 5, was 4"}},
		"other type":     {func(o *outer) { o.Any = 7 }, []string{"Any: 7, was {N:4}"}},
		"hidden":         {func(o *outer) { o.hidden = "y" }, []string{"hidden: y, was x"}},
		"two":            {func(o *outer) { o.hidden, o.Points["ada"] = "y", 1 }, []string{"Points[ada]: 1, was 30", "hidden: y, was x"}},
		"nil map":        {func(o *outer) { o.Points = nil }, []string{"Points[ada]: 30 is gone"}},
	} {
		t.Run(name, func(t *testing.T) {
			now := base()
			c.change(&now)
			assert.Equal(t, c.want, differences(base(), now))
		})
	}
	assert.Equal(t, []string{"2, was 1"}, differences(1, 2))
	assert.Equal(t, []string{"2, was nothing"}, differences(nil, 2))
	many := differences(make([]int, 20), []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1})
	assert.Len(t, many, maxDifferences+1)
	assert.Equal(t, "and 12 more", many[maxDifferences])
	assert.Empty(t, differences(map[string][]int{"a": {}}, map[string][]int{"a": nil}))
	assert.Empty(t, differences(map[string]int{}, map[string]int(nil)))
}

func TestDifferencesOfWhatPointsToItself(t *testing.T) {
	type ring struct {
		N    int
		Next *ring
	}
	a, b := &ring{N: 1}, &ring{N: 2}
	a.Next, b.Next = a, b
	assert.Equal(t, []string{"N: 2, was 1"}, differences(a, b))
}

func TestCommandsThatRunACellAgain(t *testing.T) {
	assert.Equal(t, `go test -run '^TestOrder$/^two_words$/^pick\[0\]$/^item$/^lost-reply$'`, replay("TestOrder/two words", "pick[0]/item/lost-reply"))
}
