package saga

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/step"
)

// input computes the value that enters i. The error is a *step.PanicError of a pure function, or a *BrokenError.
func (m *Machine) inputOf(i *inst) (v any, err error) {
	defer m.caught(i, &err)
	return m.valueIn(i), nil
}

func (m *Machine) outputOf(i *inst) (v any, err error) {
	defer m.caught(i, &err)
	return m.valueOut(i), nil
}

// caught turns what a pure function of the flow panicked with into an error.
func (m *Machine) caught(i *inst, err *error) {
	switch p := recover().(type) {
	case nil:
	case *BrokenError:
		*err = p
	default:
		*err = step.NewPanic(p, debug.Stack())
	}
}

// encode gives v's bytes, bounded and in memory of their own.
func (m *Machine) encode(i *inst, t *plan.Type, v any) ([]byte, error) {
	data, err := m.env.Payloads.Append(nil, t, v)
	if err != nil {
		return nil, fmt.Errorf("flow: encode %v at %q: %w", t, i.Path(), err)
	}
	return data, m.fits(i, len(data))
}

// scratch encodes an output into memory that is valid until the next call.
func (m *Machine) scratch(i *inst, out any) (data []byte, err error) {
	defer m.caught(i, &err)
	b := m.bufs
	b.scratch, err = m.env.Payloads.Append(b.scratch[:0], i.op.Out, out)
	if err != nil {
		return nil, fmt.Errorf("flow: encode %v, the output of %q: %w", i.op.Out, i.Path(), err)
	}
	return b.scratch, m.fits(i, len(b.scratch))
}

// fits says whether a value of n bytes may be recorded at i. A quarter of the record is kept for undos.
func (m *Machine) fits(i *inst, n int) error {
	switch {
	case n > m.env.MaxPayload:
		return fmt.Errorf("%w: a value at %q has %d bytes, the limit is %d", ErrTooLarge, i.Path(), n, m.env.MaxPayload)
	case m.size+n > m.env.MaxRecord-m.env.MaxRecord/4:
		return fmt.Errorf("%w: with %d bytes at %q the saga's record would exceed what it may have before its undos, %d of %d",
			ErrTooLarge, n, i.Path(), m.env.MaxRecord-m.env.MaxRecord/4, m.env.MaxRecord)
	}
	return nil
}

// decode reads a recorded value, and panics with a *BrokenError if it cannot be read.
func (m *Machine) decode(i *inst, t *plan.Type, data []byte) any {
	v, err := m.env.Payloads.Decode(t, data)
	if err != nil {
		panic(&BrokenError{Path: i.Path(), Err: err})
	}
	return v
}

func (m *Machine) valueIn(i *inst) any {
	if !i.hasIn {
		i.in = m.computeIn(i)
		i.hasIn = true
	}
	return i.in
}

func (m *Machine) computeIn(i *inst) any {
	if i.inData != nil {
		return m.decode(i, i.op.In, i.inData)
	}
	up := i.up
	if up == nil {
		return m.startValue()
	}
	switch up.op.Kind {
	case plan.Seq:
		return m.before(up, i.op.pos)
	case plan.Join:
		in := m.valueIn(up)
		if up.op.Adapt == nil {
			return in
		}
		return up.op.Adapt(in)
	case plan.Each:
		return up.op.Item(m.items(up), int(i.index))
	case plan.Loop:
		if i.index > 1 {
			return m.valueOut(up.kids[i.index-2])
		}
	}
	return m.valueIn(up)
}

// before is the value that reaches the kid of a sequence at pos.
func (m *Machine) before(seq *inst, pos int) any {
	if pos == 0 {
		return m.valueIn(seq)
	}
	return m.valueOut(seq.kids[pos-1])
}

func (m *Machine) startValue() any {
	if !m.hasIn {
		m.input = m.decode(m.root, m.prog.root.In, m.header.Input)
		m.hasIn = true
	}
	return m.input
}

func (m *Machine) items(each *inst) any {
	if !each.hasOut {
		each.out = m.decode(each, each.op.Slice, each.outData)
		each.hasOut = true
	}
	return each.out
}

func (m *Machine) valueOut(i *inst) any {
	if i.op.Kind == plan.Each {
		return m.computeOut(i)
	}
	if !i.hasOut {
		i.out = m.computeOut(i)
		i.hasOut = true
	}
	return i.out
}

func (m *Machine) computeOut(i *inst) any {
	if i.phase != done {
		panic(&BrokenError{Path: i.Path(), Err: errors.New("its output is needed and was never recorded")})
	}
	switch o := i.op; o.Kind {
	case plan.Step:
		if i.outData == nil && o.Step.Pass {
			return m.valueIn(i)
		}
		return m.decode(i, o.Out, i.outData)
	case plan.Child:
		return m.decode(i, o.Out, i.outData)
	case plan.Map:
		return o.Pure(m.valueIn(i))
	case plan.Join:
		return o.Combine(m.valueIn(i), m.valueOut(i.kids[0]))
	case plan.Seq:
		return m.before(i, len(i.kids))
	case plan.Choice:
		if i.pick == plan.None {
			return m.valueIn(i)
		}
		return m.valueOut(i.kids[0])
	case plan.All, plan.Each:
		outs := make([]any, len(i.kids))
		for k, kid := range i.kids {
			outs[k] = m.valueOut(kid)
		}
		return o.Gather(m.valueIn(i), outs)
	case plan.Race:
		return m.valueOut(i.kids[i.pick])
	case plan.Loop:
		return m.valueOut(i.kids[len(i.kids)-1])
	case plan.Delay:
		return m.valueIn(i)
	case plan.Wait:
		if len(i.kids) > 0 {
			return m.valueOut(i.kids[0])
		}
		return o.Combine(m.valueIn(i), m.decode(i, o.Letter, i.outData))
	}
	panic(&BrokenError{Path: i.Path(), Err: fmt.Errorf("a node of kind %d", i.op.Kind)})
}

// recordedIn says whether what enters i is the saga's input or a recorded output itself, so that it need not be recorded again.
func recordedIn(i *inst) bool {
	up := i.up
	if up == nil {
		return true
	}
	switch up.op.Kind {
	case plan.Seq:
		if i.op.pos > 0 {
			return recordedOut(up.kids[i.op.pos-1])
		}
	case plan.Join:
		if up.op.Adapt != nil {
			return false
		}
	case plan.Each:
		return true
	case plan.Loop:
		if i.index > 1 {
			return recordedOut(up.kids[i.index-2])
		}
	}
	return recordedIn(up)
}

func recordedOut(i *inst) bool {
	switch i.op.Kind {
	case plan.Step:
		return !i.op.Step.Pass || i.outData != nil || recordedIn(i)
	case plan.Child:
		return true
	case plan.Seq:
		if len(i.kids) == 0 {
			return recordedIn(i)
		}
		return recordedOut(i.kids[len(i.kids)-1])
	case plan.Choice:
		if i.pick == plan.None {
			return recordedIn(i)
		}
		return recordedOut(i.kids[0])
	case plan.Race:
		return recordedOut(i.kids[i.pick])
	case plan.Loop:
		return recordedOut(i.kids[len(i.kids)-1])
	case plan.Delay:
		return recordedIn(i)
	case plan.Wait:
		return len(i.kids) > 0 && recordedOut(i.kids[0])
	default:
		return false
	}
}

// effectOf is what the undo of i gets: In and Out as they were recorded, whatever became of the live values since.
func (m *Machine) effectOf(i *inst) (e *plan.Effect, err error) {
	e = new(plan.Effect)
	defer m.caught(i, &err)
	e.Known = i.phase == done
	e.Cause = m.causeOf(i)
	e.In = m.recorded(i)
	e.Out = i.op.Out.Zero()
	if !e.Known {
		return e, nil
	}
	switch {
	case i.outData == nil:
		e.Out = e.In
	case i.hasOut && !i.op.Out.Shared && !m.env.DecodeAll:
		e.Out = i.out
	default:
		e.Out = m.decode(i, i.op.Out, i.outData)
	}
	return e, nil
}

// inputAgain is the input for one more attempt: the last one may have written into the live value.
func (m *Machine) inputAgain(i *inst) (v any, err error) {
	defer m.caught(i, &err)
	return m.recorded(i), nil
}

// recorded is what entered i, decoded anew if it holds references.
func (m *Machine) recorded(i *inst) any {
	if i.inData != nil {
		return m.decode(i, i.op.In, i.inData)
	}
	if !i.op.In.Shared && !m.env.DecodeAll && (i.hasIn || recordedIn(i)) {
		return m.valueIn(i)
	}
	return m.freshIn(i)
}

func (m *Machine) freshIn(i *inst) any {
	up := i.up
	if up == nil {
		return m.decode(i, m.prog.root.In, m.header.Input)
	}
	switch up.op.Kind {
	case plan.Seq:
		if i.op.pos > 0 {
			return m.freshOut(up.kids[i.op.pos-1])
		}
	case plan.Join:
		if up.op.Adapt != nil {
			return m.computeIn(i)
		}
	case plan.Each:
		return up.op.Item(m.decode(up, up.op.Slice, up.outData), int(i.index))
	case plan.Loop:
		if i.index > 1 {
			return m.freshOut(up.kids[i.index-2])
		}
	}
	return m.freshIn(up)
}

func (m *Machine) freshOut(i *inst) any {
	switch {
	case !recordedOut(i):
		return m.valueOut(i)
	case i.op.Kind == plan.Step && i.outData == nil, i.op.Kind == plan.Delay:
		return m.freshIn(i)
	case i.leaf():
		return m.decode(i, i.op.Out, i.outData)
	case i.op.Kind == plan.Race:
		return m.freshOut(i.kids[i.pick])
	case len(i.kids) == 0:
		return m.freshIn(i)
	default:
		return m.freshOut(i.kids[len(i.kids)-1])
	}
}
