package saga

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/skald-go/skald/internal/plan"
)

// End is how far a saga has come.
type End uint8

// The ends. Their numbers are durable.
const (
	Running      End = iota
	Succeeded        // all done
	Compensated      // all undone
	DeadLetter       // needs a person
	Compensating     // on its way back
)

// Outcome is what a saga leaves behind.
type Outcome struct {
	End      End
	Value    []byte // Succeeded: the output
	Err      []byte // otherwise: the error
	Kept     []string
	By       string // ID of the event that ended the saga, if one did
	Hand     bool   // a person ended it: what it did will not be undone any more
	Attempts int    // of the step that failed
	Out      any    // Succeeded, in the process that ran it: the live output
	Failed   error  // otherwise, in the process that ran it: what Err encodes, made of errors that were decoded
}

const (
	outcomeVersion = 1
	byHand         = 0x80 // beside the End
)

// Append encodes o.
func (o *Outcome) Append(dst []byte) []byte {
	end := byte(o.End)
	if o.Hand {
		end |= byHand
	}
	dst = append(dst, outcomeVersion, end)
	dst = putBytes(dst, o.Value)
	dst = putBytes(dst, o.Err)
	dst = binary.AppendUvarint(dst, uint64(len(o.Kept)))
	for _, k := range o.Kept {
		dst = putString(dst, k)
	}
	dst = putString(dst, o.By)
	return binary.AppendUvarint(dst, uint64(o.Attempts))
}

// DecodeOutcome reads what Append wrote. Value and Err are parts of data.
func DecodeOutcome(data []byte) (Outcome, error) {
	r := reader{data: data}
	if v := r.byte(); v != outcomeVersion {
		return Outcome{}, fmt.Errorf("an outcome of version %d, this is version %d", v, outcomeVersion)
	}
	end := r.byte()
	o := Outcome{End: End(end &^ byHand), Hand: end&byHand != 0, Value: r.bytes(), Err: r.bytes()}
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		o.Kept = append(o.Kept, r.string())
	}
	o.By, o.Attempts = r.string(), int(r.uvarint())
	if r.err != nil {
		return Outcome{}, fmt.Errorf("an outcome: %w", r.err)
	}
	return o, nil
}

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

// conclude makes the outcome of a saga whose way has ended. It says false if that changed the way.
func (m *Machine) conclude(now time.Time) bool {
	if m.outcome != nil || m.broken != nil {
		return true
	}
	switch {
	case m.settled != nil:
		m.outcome = m.byHand()
	case m.root.phase == done && m.root.back == ahead:
		return m.succeed(now)
	case m.root.back == undone && len(m.halted) == 0 && m.owed == 0 && m.running == 0 && len(m.limbo) == 0:
		m.outcome = m.failedWith(Compensated)
	}
	return true
}

func (m *Machine) byHand() *Outcome {
	if m.settled.Out != nil {
		return &Outcome{End: Succeeded, Value: m.settled.Out, Hand: true}
	}
	o := m.failedWith(Compensated)
	o.Hand = true
	return o
}

// succeed encodes the output. If there is none, because the last pure function panicked or gave what cannot be
// stored, the saga compensates; after a pivot it is broken.
func (m *Machine) succeed(now time.Time) bool {
	out, err := m.outputOf(m.root)
	var data []byte
	if err == nil {
		data, err = m.outputBytes(out)
	}
	switch {
	case err == nil:
		m.ending = Outcome{End: Succeeded, Value: data, Out: out}
		m.outcome = &m.ending
		return true
	case m.pivoted || isBroken(err):
		m.broken = err
		return true
	}
	m.record(nil, &Fact{Kind: Cancelled, Text: "its output could not be made", err: err}, now)
	return false
}

// outputBytes is the encoded output, which often stands in the journal already.
func (m *Machine) outputBytes(out any) ([]byte, error) {
	last := m.root
	for len(last.kids) > 0 && last.op.Kind == plan.Seq {
		last = last.kids[len(last.kids)-1]
	}
	if last.leaf() && last.outData != nil {
		return last.outData, nil
	}
	return m.encode(m.root, m.outType(), out)
}

func (m *Machine) outType() *plan.Type { return m.prog.root.Out }

func isBroken(err error) bool {
	_, ok := err.(*BrokenError)
	return ok
}

func (m *Machine) failedWith(end End) *Outcome {
	f := m.Failure(end)
	err := m.env.Fail(f)
	return &Outcome{End: end, Err: m.env.Errors.Append(nil, err), Kept: f.Kept, By: m.endedBy, Attempts: f.Attempts, Failed: err}
}

// Failure tells how a saga that does not succeed stands.
func (m *Machine) Failure(end End) Failure {
	f := Failure{Saga: m.id, Flow: m.prog.Def.Name, End: end, Undone: m.undoResults(), Kept: m.kept()}
	fails := m.fails()
	for k, i := range fails {
		switch {
		case k > 0:
			f.Also = append(f.Also, m.errorOf(i))
		default:
			f.Step, f.Cause, f.Attempts = i.Path(), m.errorOf(i), i.failedAttempts()
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

// fails are the failures that count, in order: of the whole saga, or of what is stuck on the way forward.
func (m *Machine) fails() []*inst {
	if t := m.root.trouble; t != nil && len(t.fails) > 0 {
		return t.fails
	}
	return m.halted
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
