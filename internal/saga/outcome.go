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
	Final    bool   // Succeeded, for a parent in another service: it is past its pivot, and cannot be undone
	Attempts int    // of the step that failed
	Hands    []Hand // what persons decided, in order
	Out      any    // Succeeded, in the process that ran it: the live output
	Failed   error  // otherwise, in the process that ran it: what Err encodes, made of errors that were decoded
}

const (
	outcomeVersion = 1
	byHand         = 0x80 // beside the End
	isFinal        = 0x40
)

// Append encodes o.
func (o *Outcome) Append(dst []byte) []byte {
	end := byte(o.End)
	if o.Hand {
		end |= byHand
	}
	if o.Final {
		end |= isFinal
	}
	dst = append(dst, outcomeVersion, end)
	dst = putBytes(dst, o.Value)
	dst = putBytes(dst, o.Err)
	dst = binary.AppendUvarint(dst, uint64(len(o.Kept)))
	for _, k := range o.Kept {
		dst = putString(dst, k)
	}
	dst = putString(dst, o.By)
	dst = binary.AppendUvarint(dst, uint64(o.Attempts))
	dst = binary.AppendUvarint(dst, uint64(len(o.Hands)))
	for k := range o.Hands {
		dst = o.Hands[k].append(dst)
	}
	return dst
}

// DecodeOutcome reads what Append wrote. Value and Err are parts of data.
func DecodeOutcome(data []byte) (Outcome, error) {
	r := reader{data: data}
	if v := r.byte(); v != outcomeVersion {
		return Outcome{}, fmt.Errorf("an outcome of version %d, this is version %d", v, outcomeVersion)
	}
	end := r.byte()
	o := Outcome{End: End(end &^ (byHand | isFinal)), Hand: end&byHand != 0, Final: end&isFinal != 0, Value: r.bytes(), Err: r.bytes()}
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		o.Kept = append(o.Kept, r.string())
	}
	o.By, o.Attempts = r.string(), int(r.uvarint())
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		o.Hands = append(o.Hands, r.hand())
	}
	if r.err != nil {
		return Outcome{}, fmt.Errorf("an outcome: %w", r.err)
	}
	return o, nil
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
	case m.root.back == undone && len(m.halted) == 0 && m.owed == 0:
		m.outcome = m.failedWith(Compensated)
	}
	return true
}

func (m *Machine) byHand() *Outcome {
	if m.settled.Out != nil {
		return &Outcome{End: Succeeded, Value: m.settled.Out, Hand: true, Hands: m.hands}
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
		m.ending = Outcome{End: Succeeded, Value: data, Out: out, Hands: m.hands, Final: m.pivoted && m.header.Service != ""}
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
	return &Outcome{End: end, Err: m.env.Errors.Append(nil, err), Kept: f.Kept, By: m.endedBy, Attempts: f.Attempts, Hands: m.hands, Failed: err}
}
