package saga

import (
	"github.com/skald-go/skald/internal/plan"
)

// Failure is what there is to say of a saga that did not succeed.
type Failure struct {
	Saga, Flow string
	End        End
	Step       string // path of the first failure
	Attempts   int
	Cause      error
	Also       []error
	Undone     []UndoResult
	Kept       []string
}

// UndoResult is what became of one undo.
type UndoResult struct {
	Path   string
	Err    error
	ByHand bool
}

// Failure tells how a saga that does not succeed stands.
func (m *Machine) Failure(end End) Failure {
	f := Failure{Saga: m.id, Flow: m.prog.Def.Name, End: end, Undone: m.undoResults(), Kept: m.kept()}
	fails, why := m.fails()
	for k, i := range fails {
		switch {
		case k > 0:
			f.Also = append(f.Also, why(i))
		default:
			f.Step, f.Cause, f.Attempts = i.Path(), why(i), i.failedAttempts()
		}
	}
	if m.settled != nil && m.settled.Err != nil {
		f.Also = append(f.Also, m.env.Errors.Decode(m.settled.Err))
	}
	if m.broken != nil {
		if f.Cause != nil {
			f.Also = append([]error{f.Cause}, f.Also...)
		}
		f.Cause = m.broken
	}
	if m.complaint != nil {
		f.Also = append(f.Also, m.complaint)
	}
	if f.Cause == nil && len(f.Also) > 0 {
		f.Cause, f.Also = f.Also[0], f.Also[1:]
	}
	return f
}

// fails are the failures that count, in order, and what tells why: of the whole saga, or of what is stuck while it goes forward. A part
// that lost its race may be stuck on its way back.
func (m *Machine) fails() (fails []*inst, why func(*inst) error) {
	if t := m.root.trouble; t != nil && len(t.fails) > 0 {
		return t.fails, m.errorOf
	}
	return m.halted, func(i *inst) error {
		if i.back != ahead {
			return m.undoErrorOf(i)
		}
		return m.errorOf(i)
	}
}

func (i *inst) failedAttempts() int {
	if i.trouble != nil && i.trouble.attempts > 0 {
		return i.trouble.attempts
	}
	return i.attempts
}

// undoResults lists what was undone, in order, and then what could not be.
func (m *Machine) undoResults() []UndoResult {
	all := append([]UndoResult(nil), m.undos...)
	for _, i := range m.halted {
		if i.back != ahead {
			all = append(all, UndoResult{Path: i.Path(), Err: m.undoErrorOf(i)})
		}
	}
	return all
}

// kept lists the paths whose effects stay.
func (m *Machine) kept() (paths []string) {
	m.root.walk(func(i *inst) {
		if i.kept || m.settled != nil && i.remains() {
			paths = append(paths, i.Path())
		}
		if i.trouble != nil {
			for _, k := range i.trouble.kept {
				paths = append(paths, i.Path()+"/"+k)
			}
		}
	})
	return paths
}

// remains says that i has, or may have, an effect that nobody undid.
func (i *inst) remains() bool {
	switch {
	case !i.leaf() || i.phase != done && i.phase != failed || i.back == undone && !i.owed:
		return false
	default:
		return i.op.Kind == plan.Child || !i.op.Step.ReadOnly
	}
}

// lastError is an error as it was made here, or as it was recorded.
type lastError struct {
	err     error
	data    []byte
	decoded error // of data, when somebody has asked
}

func (m *Machine) decodeError(e *lastError) error {
	if e.data == nil {
		return e.err
	}
	if e.decoded == nil {
		e.decoded = m.env.Errors.Decode(e.data)
	}
	return e.decoded
}

// errorOf is the last error of i on its way forward.
func (m *Machine) errorOf(i *inst) error {
	if i.trouble == nil {
		return nil
	}
	return m.decodeError(&i.trouble.failure)
}

// undoErrorOf is the last error of the undo of i.
func (m *Machine) undoErrorOf(i *inst) error {
	if i.trouble == nil {
		return nil
	}
	return m.decodeError(&i.trouble.undoing)
}

// causeOf is why i goes back.
func (m *Machine) causeOf(i *inst) error {
	if i.own {
		return m.errorOf(i)
	}
	for b := i.boundary(); ; b = b.up.boundary() {
		if t := b.trouble; t != nil && len(t.fails) > 0 {
			return m.errorOf(t.fails[0])
		}
		if b.up == nil {
			return nil
		}
		if b.up.decided { // a race that another part has won
			return ErrLostRace
		}
	}
}
