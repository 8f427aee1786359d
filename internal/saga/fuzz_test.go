package saga_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
	"github.com/skald-go/skald/internal/simulate/world"
	"github.com/skald-go/skald/step"
)

// zoo has all kinds of nodes, and a pivot near its end.
func zoo() flow.Flow[world.Num, world.Num] {
	is := func(n world.Num) bool { return n%2 == 0 }
	return root().Then(act("a").Retry(step.Retry{Attempts: 3})).
		Map(func(n world.Num) world.Num { return n + 1 }).
		Use(act("u"), func(n world.Num) world.Num { return n + 2 }, func(a, b world.Num) world.Num { return a ^ b }).
		WaitFor(paid, time.Hour, takeSignal, act("late")).
		Delay("nap", func(world.Num) time.Duration { return time.Hour }).
		If("if", is, act("yes"), act("no")).
		Each("each", three, flow.New[world.Num]("one").Then(act("e")).Then(plain("f")), noJoin, flow.Parallel(2)).
		Loop("loop", 3, act("l"), is).
		Race("race", act("x"), flow.New[world.Num]("y").Then(act("y1")).Then(act("y2"))).
		Both("both", act("b"), flow.Child(flow.New[world.Num]("ship").Then(act("s"))), sum).
		Then(plain("pivot").Pivot()).
		Then(plain("tail"))
}

// record is the start of a saga of the zoo.
func record(env *saga.Env) broker.Record {
	h := saga.Header{Started: world.Epoch, Input: []byte("7")}
	return broker.Record{Start: broker.Start{ID: "m", Served: broker.Served{Flow: "main", Version: 1}, Record: h.Append(nil)}, Rev: 1}
}

// packed writes a journal as bytes that a fuzzer can change; unpack reads any bytes as a journal.
func packed(journal []broker.Entry, paths []string) (data []byte) {
	for _, e := range journal {
		data = append(data, byte(slices.Index(paths, e.Path)))
		data = binary.AppendUvarint(data, uint64(len(e.Data)))
		data = append(data, e.Data...)
	}
	return data
}

func unpack(data []byte, paths []string) (journal []broker.Entry) {
	for len(data) > 0 {
		path := paths[int(data[0])%len(paths)]
		n, k := binary.Uvarint(data[1:])
		if k <= 0 {
			break
		}
		data = data[1+k:]
		n = min(n, uint64(len(data)))
		journal = append(journal, broker.Entry{Path: path, Data: data[:n]})
		data = data[n:]
	}
	return journal
}

// zooPaths are the paths of the zoo, the empty one, and one that it does not have.
func zooPaths() []string {
	paths := []string{"", "nowhere"}
	var walk func(n *plan.Node, prefix string)
	walk = func(n *plan.Node, prefix string) {
		path := world.Under(prefix, n.Name)
		if n.Name != "" {
			paths = append(paths, path)
		}
		insides := []string{path}
		switch n.Kind {
		case plan.Each:
			insides = []string{path + "[0]", path + "[1]", path + "[2]"}
		case plan.Loop:
			insides = []string{path + "#1", path + "#2", path + "#3"}
		}
		for _, kid := range n.Kids {
			for _, inside := range insides {
				walk(kid, inside)
			}
		}
	}
	walk(world.Erased(zoo()).Root, "")
	return paths
}

// FuzzLoad reads journals that nobody may have written. Whatever they say, a machine tells what is wrong or goes on with them;
// it never panics.
func FuzzLoad(f *testing.F) {
	paths := zooPaths()
	for seed := range uint64(60) {
		f.Add(packed(zooJournal(f, seed), paths), byte(seed%4))
	}
	prog := saga.Compile(world.Erased(zoo()))
	f.Fuzz(func(t *testing.T, data []byte, takeovers byte) {
		w := world.New(world.Loaded{}, t.Fatalf)
		rec := record(&w.Env)
		rec.Journal, rec.Takeovers = unpack(data, paths), int(takeovers)
		m, err := saga.Load(&w.Env, prog, &rec, world.Epoch)
		if err != nil {
			var foreign *saga.ForeignError
			var broken *saga.BrokenError
			require.True(t, errors.As(err, &foreign) || errors.As(err, &broken), "%T", err)
			require.NotEmpty(t, err.Error())
			return
		}
		m.Nodes()
		goOn(t, m, data)
	})
}

// goOn drives a machine for a while; what its attempts answer, data decides.
func goOn(t *testing.T, m *saga.Machine, data []byte) {
	now := world.Epoch
	for k := range min(len(data), 40) {
		m.Advance(now)
		if tr, ok := m.Transition(now); ok {
			require.LessOrEqual(t, tr.Next, broker.GiveBack)
			m.Committed(tr.Rev + 1)
			if tr.Next == broker.Finish || tr.Next == broker.Bury {
				return
			}
		}
		if a, ok := m.Next(now); ok {
			out, err := reply(data[k])
			m.Report(a, out, err, now)
		}
		if at := m.Wake(); at.After(now) {
			now = at
		}
		m.Stopped()
	}
	if m.Broken() == nil {
		m.GiveBack(now)
	}
}

func reply(k byte) (any, error) {
	switch k % 8 {
	case 0:
		return nil, errStop
	case 1:
		return nil, errBoom
	case 2:
		return nil, step.NotYet(time.Second)
	case 3:
		return nil, step.GiveUp(errBoom)
	case 4:
		return nil, proceed(9)
	}
	return world.Num(k), nil
}

// zooJournal is what a saga of the zoo records among random faults.
func zooJournal(t testing.TB, seed uint64) []broker.Entry {
	w := world.New(world.Seeded(seed, 0), t.Fatalf, world.Erased(zoo()))
	w.Faults, w.Flaky = 12, world.Flaky{Crash: 30, GiveBack: 40, Time: 12, Mail: 20}
	w.Answers = w.Roll
	s := w.Start("main", "m", world.Num(7))
	for w.RunOut(); s.State == broker.Buried && s.Relays < 2; w.RunOut() {
		s.Relays++
		w.Resolve(s, saga.EventRelay, "", saga.Note{Who: "ann"})
	}
	return s.Journal
}

func FuzzDecodeFact(f *testing.F) {
	for seed := range uint64(10) {
		for _, e := range zooJournal(f, seed) {
			f.Add(e.Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fact, err := saga.DecodeFact(broker.Entry{Path: "a", Data: data}, world.Epoch)
		if err != nil {
			return
		}
		again, err := saga.DecodeFact(broker.Entry{Path: "a", Data: fact.Encode(world.Epoch)}, world.Epoch)
		require.NoError(t, err)
		require.Equal(t, fact, again)
		require.NotEqual(t, "?", fact.Kind.String())
	})
}

func FuzzDecodeHeader(f *testing.F) {
	full := saga.Header{Started: world.Epoch, Headers: map[string]string{"trace": "t1"}, Parent: "p", Path: "a", Forward: true, Input: []byte("1")}
	f.Add((&saga.Header{Started: world.Epoch}).Append(nil))
	f.Add(full.Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := saga.DecodeHeader(data)
		if err != nil {
			return
		}
		again, err := saga.DecodeHeader(h.Append(nil))
		require.NoError(t, err)
		require.Equal(t, h, again)
	})
}

func FuzzDecodeOutcome(f *testing.F) {
	full := saga.Outcome{End: saga.Compensated, Err: []byte("e"), Kept: []string{"a", "b"}, By: "c", Hand: true}
	f.Add((&saga.Outcome{End: saga.Succeeded, Value: []byte("1")}).Append(nil))
	f.Add(full.Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := saga.DecodeOutcome(data)
		if err != nil {
			return
		}
		again, err := saga.DecodeOutcome(o.Append(nil))
		require.NoError(t, err)
		require.Equal(t, o, again)
	})
}

func FuzzDecodeNote(f *testing.F) {
	f.Add((&saga.Note{Who: "ann", Why: "because"}).Append(nil))
	f.Add((&saga.Note{Who: "ann", Out: []byte{}, Err: []byte("e")}).Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := saga.DecodeNote(data)
		if err != nil {
			return
		}
		again, err := saga.DecodeNote(n.Append(nil))
		require.NoError(t, err)
		require.Equal(t, n, again)
	})
}
