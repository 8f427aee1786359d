package saga_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
	"github.com/skald-go/skald/internal/simulate/world"
)

func entry(path string, f saga.Fact) broker.Entry {
	f.At = world.Epoch
	return broker.Entry{Path: path, Data: f.Encode(world.Epoch)}
}

func load(def *plan.Def, journal ...broker.Entry) (*saga.Machine, error) {
	w := world.New(world.Loaded{}, nil, def)
	rec := record(&w.Env)
	rec.Journal = journal
	return saga.Load(&w.Env, w.Program("main"), &rec, world.Epoch)
}

var six = []byte("6")

func doneA() broker.Entry { return entry("a", saga.Fact{Kind: saga.Done, Attempts: 1, Out: six}) }

// TestForeignRecords: a record that this definition cannot have written is left to another one, or to a person.
func TestForeignRecords(t *testing.T) {
	f := root().Then(act("a")).WaitFor(paid, time.Hour, takeSignal, act("late")).
		If("if", func(world.Num) bool { return true }, act("yes"), act("no")).
		Each("each", three, act("e"), noJoin).Loop("loop", 2, act("l"), func(world.Num) bool { return false }).
		Race("race", act("x"), act("y")).Then(flow.Child(flow.New[world.Num]("ship").Then(act("s")))).Wait(paid.As("ever"), takeSignal)
	upTo := func(name string) []broker.Entry {
		journal := []broker.Entry{doneA()}
		for _, next := range []struct {
			before string
			facts  []broker.Entry
		}{
			{"if", []broker.Entry{
				entry("", saga.Fact{Kind: saga.Signal, ID: "s1", Text: "paid", Out: six}),
				entry("paid", saga.Fact{Kind: saga.Took, ID: "s1"}),
			}},
			{"each", []broker.Entry{entry("if", saga.Fact{Kind: saga.Chose, Text: "no"}), entry("if/no", saga.Fact{Kind: saga.Done, Out: six})}},
			{"loop", []broker.Entry{entry("each", saga.Fact{Kind: saga.Items, Out: []byte("[]")})}},
			{"race", []broker.Entry{entry("loop#1/l", saga.Fact{Kind: saga.Done, Out: six}), entry("loop", saga.Fact{Kind: saga.Round, Index: 1, Flag: true})}},
			{"ship", []broker.Entry{entry("race/x", saga.Fact{Kind: saga.Done, Out: six}), entry("race", saga.Fact{Kind: saga.Won})}},
		} {
			if name == "wait" {
				break
			}
			journal = append(journal, next.facts...)
			if name == next.before {
				break
			}
		}
		return journal
	}
	success := saga.Outcome{End: saga.Succeeded, Value: six}
	for name, c := range map[string]struct {
		before string
		entry  broker.Entry
		want   string
	}{
		"a path that is nowhere":       {"", entry("z", saga.Fact{Kind: saga.Done, Out: six}), `the record says "z" is done, but this definition has no such path there`},
		"a path that is not there yet": {"", entry("if", saga.Fact{Kind: saga.Chose, Text: "yes"}), `this definition has no such path there`},
		"a node of another kind":       {"", entry("a", saga.Fact{Kind: saga.Chose, Text: "yes"}), `the record says "a" is chose, but it is a step now`},
		"a step without its output":    {"", entry("a", saga.Fact{Kind: saga.Done}), "its output was not recorded"},
		"a step that is done twice":    {"wait", doneA(), "it is not at that point"},
		"an undo of what goes on":      {"wait", entry("a", saga.Fact{Kind: saga.Undone}), "it is not at that point"},
		"a skip of what goes on":       {"wait", entry("a", saga.Fact{Kind: saga.Skipped}), "it is not at that point"},
		"a fallback nobody asked for":  {"", entry("a", saga.Fact{Kind: saga.Proceeded, Out: six}), "it is not at that point"},
		"a timer before it was set":    {"wait", entry("paid", saga.Fact{Kind: saga.Woke}), "it is not at that point"},
		"a signal that never came":     {"wait", entry("paid", saga.Fact{Kind: saga.Took, ID: "s1"}), `flow: broken saga at "paid": signal "s1" never came`},
		"an arm that is gone":          {"if", entry("if", saga.Fact{Kind: saga.Chose, Text: "perhaps"}), `there is no arm "perhaps"`},
		"no arm, where one is needed":  {"if", entry("if", saga.Fact{Kind: saga.Chose}), `there is no arm ""`},
		"items that cannot be read":    {"each", entry("each", saga.Fact{Kind: saga.Items, Index: 1, Out: six}), `flow: broken saga at "each"`},
		"items that are miscounted":    {"each", entry("each", saga.Fact{Kind: saga.Items, Index: 1 << 40, Out: []byte("[1]")}), "1 items were recorded as 1099511627776"},
		"a round before its end":       {"loop", entry("loop", saga.Fact{Kind: saga.Round, Index: 1}), "it is in round 1"},
		"a round of the future":        {"loop", entry("loop", saga.Fact{Kind: saga.Round, Index: 7}), "it is in round 1"},
		"a winner that is not done":    {"race", entry("race", saga.Fact{Kind: saga.Won, Index: 1}), "part 1 did not succeed"},
		"a winner that is not there":   {"race", entry("race", saga.Fact{Kind: saga.Won, Index: 9}), "part 9 did not succeed"},
		"a race that is not lost":      {"race", entry("race", saga.Fact{Kind: saga.Lost}), "it can still be won"},
		"a reply that was not awaited": {"ship", entry("ship", saga.Fact{Kind: saga.Reply, Out: success.Append(nil)}), "it is not at that point"},
		"a fact of a saga at a path":   {"", entry("a", saga.Fact{Kind: saga.Cancelled}), "it is about the whole saga"},
		"a fact without a path":        {"", entry("", saga.Fact{Kind: saga.Done, Out: six}), "this definition has no such path there"},
		"a fact of the future":         {"", broker.Entry{Path: "a", Data: []byte{200, 0, 0}}, "a fact of kind 200, mask 0x0, from a newer version"},
		"a mask of the future":         {"", broker.Entry{Path: "a", Data: []byte{1, 0x80, 0x80, 4, 0}}, "from a newer version"},
		"bytes that end early":         {"", broker.Entry{Path: "a", Data: []byte{1}}, `journal entry of "a": data ends early`},
		"bytes too many":               {"", broker.Entry{Path: "a", Data: []byte{1, 0, 0, 7}}, "1 bytes too many"},
		"no bytes":                     {"", broker.Entry{Path: "a"}, "data ends early"},
	} {
		t.Run(name, func(t *testing.T) {
			var journal []broker.Entry
			if c.before != "" {
				journal = upTo(c.before)
			}
			_, err := load(world.Erased(f), journal...)
			require.NoError(t, err)
			_, err = load(world.Erased(f), append(journal, c.entry)...)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestForeignReplies(t *testing.T) {
	f := world.Erased(root().Then(flow.Child(flow.New[world.Num]("ship").Then(act("s")))))
	success, dead := saga.Outcome{End: saga.Succeeded, Value: six}, saga.Outcome{End: saga.DeadLetter}
	begun, reply := entry("ship", saga.Fact{Kind: saga.Begun}), entry("ship", saga.Fact{Kind: saga.Reply, Out: success.Append(nil)})
	_, err := load(f, begun, reply)
	assert.NoError(t, err)
	_, err = load(f, begun, reply, reply)
	assert.ErrorContains(t, err, "it has ended already")
	_, err = load(f, begun, entry("ship", saga.Fact{Kind: saga.Reply, Out: dead.Append(nil)}))
	assert.ErrorContains(t, err, "it has ended already")
	_, err = load(f, begun, entry("ship", saga.Fact{Kind: saga.Reply, Out: []byte("?")}))
	assert.ErrorContains(t, err, `flow: broken saga at "ship": an outcome of version 63, this is version 1`)
}

func TestForeignWishes(t *testing.T) {
	f := world.Erased(root().Then(act("a")).WaitFor(paid, time.Hour, takeSignal, act("late")))
	cancelled := entry("", saga.Fact{Kind: saga.Cancelled, ID: "c1", Err: []byte("x")})
	_, err := load(f, cancelled)
	assert.NoError(t, err)
	_, err = load(f, cancelled, cancelled)
	assert.ErrorContains(t, err, "the saga goes back already")
	_, err = load(world.Erased(root().Wait(paid, takeSignal)), entry("paid", saga.Fact{Kind: saga.Due, Due: world.Epoch}))
	assert.ErrorContains(t, err, "it waits for ever")
}

func TestBrokenHeaders(t *testing.T) {
	w := world.New(world.Loaded{}, nil, world.Erased(root()))
	for data, want := range map[string]string{
		"":             "version 0",
		"\x07":         "a saga's record of version 7, this is version 2",
		"\x01":         "a saga's record: data ends early",
		"\x01\x00\x05": "data ends early",
	} {
		rec := broker.Record{Start: broker.Start{ID: "m", Record: []byte(data)}}
		_, err := saga.Load(&w.Env, w.Program("main"), &rec, world.Epoch)
		var broken *saga.BrokenError
		require.ErrorAs(t, err, &broken)
		assert.ErrorContains(t, err, "flow: broken saga: ")
		assert.ErrorContains(t, err, want)
		assert.Error(t, broken.Unwrap())
	}
	_, err := saga.DecodeOutcome([]byte{1, 1})
	assert.EqualError(t, err, "an outcome: data ends early")
	_, err = saga.DecodeNote([]byte{1, 1})
	assert.EqualError(t, err, "a decision by hand: data ends early")
}

// TestUpgrade: a saga goes on where everything that it has recorded exists.
func TestUpgrade(t *testing.T) {
	journal := []broker.Entry{doneA(), entry("if", saga.Fact{Kind: saga.Chose, Text: "yes"})}
	old := root().Then(act("a")).If("if", func(world.Num) bool { return true }, act("yes"), act("no")).Then(act("b"))
	_, err := load(world.Erased(old), journal...)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		flow flow.Flow[world.Num, world.Num]
		fits bool
	}{
		"a step more at the end":      {old.Then(act("c")), true},
		"a Map more":                  {root().Then(act("a")).Map(self).If("if", func(world.Num) bool { return true }, act("yes"), act("no")), true},
		"an arm more":                 {root().Then(act("a")).Switch("if", func(world.Num) string { return "" }, flow.Case("new", act("new")), flow.Case("yes", act("yes"))), true},
		"a step before what was done": {root().Then(act("new")).Then(act("a")), false},
		"a step between what was":     {root().Then(act("a")).Then(act("new")).If("if", func(world.Num) bool { return true }, act("yes"), act("no")), false},
		"a step renamed":              {root().Then(act("a2")), false},
		"a step gone":                 {root().If("if", func(world.Num) bool { return true }, act("yes"), act("no")), false},
		"an arm gone":                 {root().Then(act("a")).Switch("if", func(world.Num) string { return "" }, flow.Case("no", act("no"))), false},
		"another kind":                {root().Then(act("a")).Loop("if", 2, act("yes"), func(world.Num) bool { return true }), false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(world.Erased(c.flow), journal...)
			var foreign *saga.ForeignError
			if c.fits {
				assert.NoError(t, err)
			} else {
				assert.ErrorAs(t, err, &foreign)
			}
		})
	}
}
