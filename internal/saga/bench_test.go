package saga_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
	"github.com/skald-go/skald/internal/simulate/world"
)

// varints encodes nums in no time, so that a benchmark measures the machine.
type varints struct{}

func (varints) Append(dst []byte, _ *plan.Type, v any) ([]byte, error) {
	return binary.AppendUvarint(dst, uint64(v.(world.Num))), nil
}

func (varints) Decode(_ *plan.Type, data []byte) (any, error) {
	v, _ := binary.Uvarint(data)
	return world.Num(v), nil
}

type fixed struct{}

var errFixed = errors.New("fixed")

func (fixed) Append(dst []byte, _ error) []byte { return append(dst, "fixed"...) }
func (fixed) Decode([]byte) error               { return errFixed }

func threeSteps() flow.Flow[world.Num, world.Num] {
	return root().Then(act("a")).Then(act("b")).Then(act("c"))
}

// bench runs sagas through a machine alone: every transition is committed at once, every attempt answers at once.
type bench struct {
	env  saga.Env
	prog *saga.Program
	head saga.Header
	fail string // path of the step that refuses
}

func newBench(f flow.Flow[world.Num, world.Num], fail string) *bench {
	b := &bench{prog: saga.Compile(world.Erased(f)), fail: fail}
	b.env = world.New(world.Loaded{}, nil).Env
	b.env.Payloads, b.env.Errors = varints{}, fixed{}
	b.env.Fail = func(saga.Failure) error { return errFixed }
	b.head = saga.Header{Started: world.Epoch, Input: binary.AppendUvarint(nil, 300)}
	return b
}

// run gives how the saga ended, and the number of its transitions.
func (b *bench) run() (end saga.End, commits int) {
	m := saga.New(&b.env, b.prog, "m", b.head, world.Num(300))
	for {
		m.Advance(world.Epoch)
		if t, ok := m.Transition(world.Epoch); ok {
			commits++
			m.Committed(t.Rev + 1)
			if t.Next == broker.Finish {
				end = m.Outcome().End
				m.Release()
				return end, commits
			}
		}
		if a, ok := m.Next(world.Epoch); ok {
			b.answer(m, a)
		}
	}
}

var errRefusal error = &plan.Mark{Class: plan.Refused, Err: errFixed}

func (b *bench) answer(m *saga.Machine, a saga.Attempt) {
	switch {
	case a.Undo:
		m.Report(a, nil, nil, world.Epoch)
	case a.Path == b.fail:
		m.Report(a, nil, errRefusal, world.Epoch)
	default:
		m.Report(a, a.In, nil, world.Epoch)
	}
}

func BenchmarkSuccess(b *testing.B)  { measure(b, newBench(threeSteps(), ""), saga.Succeeded) }
func BenchmarkRollback(b *testing.B) { measure(b, newBench(threeSteps(), "c"), saga.Compensated) }

func measure(b *testing.B, w *bench, want saga.End) {
	b.ReportAllocs()
	for b.Loop() {
		if end, _ := w.run(); end != want {
			b.Fatal(end)
		}
	}
}

// TestAllocations: the goal of the library is 25 per saga, with broker and engine.
func TestAllocations(t *testing.T) {
	for name, c := range map[string]struct {
		fail string
		most float64
	}{"success": {"", 3}, "rollback": {"c", 12}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(threeSteps(), c.fail)
			if got := testing.AllocsPerRun(1000, func() { b.run() }); got > c.most {
				t.Errorf("%v allocations for a saga, at most %v", got, c.most)
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	w := world.New(world.Loaded{}, b.Fatalf, world.Erased(zoo()))
	w.Answers = w.Roll
	w.Start("main", "m", world.Num(7))
	w.RunOut()
	rec := w.Saga("m").Record
	b.ReportAllocs()
	for b.Loop() {
		m, err := saga.Load(&w.Env, w.Program("main"), &rec, world.Epoch)
		if err != nil {
			b.Fatal(err)
		}
		m.Release()
	}
	b.ReportMetric(float64(len(rec.Journal)), "entries")
}
