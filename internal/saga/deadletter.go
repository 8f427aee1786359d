package saga

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
)

// Note says who decided something by hand, and why.
type Note struct {
	Who, Why string
	Out, Err []byte // of EventSettle: one of them is not nil
}

const noteVersion = 1

// Append encodes n.
func (n *Note) Append(dst []byte) []byte {
	var mask byte
	for k, b := range [...][]byte{n.Out, n.Err} {
		if b != nil {
			mask |= 1 << k
		}
	}
	dst = append(dst, noteVersion, mask)
	dst = putString(dst, n.Who)
	dst = putString(dst, n.Why)
	for _, b := range [...][]byte{n.Out, n.Err} {
		if b != nil {
			dst = putBytes(dst, b)
		}
	}
	return dst
}

// DecodeNote reads what Append wrote.
func DecodeNote(data []byte) (Note, error) {
	r := reader{data: data}
	if v := r.byte(); v != noteVersion {
		return Note{}, fmt.Errorf("a decision by hand of version %d, this is version %d", v, noteVersion)
	}
	mask := r.byte()
	n := Note{Who: r.string(), Why: r.string()}
	for k, b := range [...]*[]byte{&n.Out, &n.Err} {
		if mask&(1<<k) != 0 {
			*b = r.bytes()
		}
	}
	if r.err != nil {
		return Note{}, fmt.Errorf("a decision by hand: %w", r.err)
	}
	return n, nil
}

// Hand is what a person decided about the saga: it outlives the journal.
type Hand struct {
	Kind     FactKind // Relayed, Skipped, Settled
	Path     string   // of what was skipped
	Who, Why string
	At       time.Time
	event    string // its ID
}

// noteHand remembers a decision by hand. A skip is recorded as two facts of one event.
func (m *Machine) noteHand(f *Fact) {
	if last := len(m.hands) - 1; last >= 0 && m.hands[last].event == f.ID {
		return
	}
	m.hands = append(m.hands, Hand{Kind: f.Kind, Path: f.Path, Who: f.Who, Why: f.Text, At: f.At, event: f.ID})
}

func (h *Hand) append(dst []byte) []byte {
	dst = append(dst, byte(h.Kind))
	dst = putString(dst, h.Path)
	dst = putString(dst, h.Who)
	dst = putString(dst, h.Why)
	return binary.AppendVarint(dst, h.At.UnixNano())
}

func (r *reader) hand() Hand {
	return Hand{Kind: FactKind(r.byte()), Path: r.string(), Who: r.string(), Why: r.string(), At: time.Unix(0, r.varint()).UTC()}
}

var errNothingToSkip = errors.New("flow: a skip names no undo that failed for good")

func (m *Machine) byPerson(ev broker.Event, now time.Time) error {
	n, err := DecodeNote(ev.Data)
	if err != nil {
		m.broken = &BrokenError{Err: err}
		return nil
	}
	f := Fact{ID: ev.ID, Who: n.Who, Text: n.Why}
	switch ev.Kind {
	case EventRelay:
		f.Kind = Relayed
		m.record(nil, &f, now)
	case EventSettle:
		f.Kind, f.Out, f.Err = Settled, n.Out, n.Err
		m.broken = nil
		m.record(nil, &f, now)
	case EventSkip:
		i := m.at(ev.Name)
		if i == nil || !i.halted || i.back == ahead {
			m.complaint = fmt.Errorf("%w: %q", errNothingToSkip, ev.Name)
			return nil
		}
		f.Kind = Skipped
		m.record(i, &f, now)
		m.record(nil, &Fact{Kind: Relayed, ID: ev.ID, Who: n.Who, Text: n.Why}, now)
	}
	return nil
}

// halt leaves i to a person.
func (m *Machine) halt(i *inst, number int, err error, now time.Time) {
	m.record(i, &Fact{Kind: Stuck, Attempts: number, Suspect: i.suspect, In: i.unsavedIn(), err: err}, now)
}

func (m *Machine) applyStuck(i *inst, f *Fact) {
	t := i.ill()
	i.silence()
	t.notYet, i.queued, i.halted = false, false, true
	m.halted = append(m.halted, i)
	if !f.Flag {
		i.attempts, t.failure = f.Attempts, f.failure()
		i.suspects(f)
		return
	}
	t.undos, t.undoing = f.Attempts, f.failure()
	m.paid(i)
	own := i.own
	i.own = false
	switch {
	case m.settings().StopAtFailed: // what would follow waits for it
	case !i.owed:
		i.owed = true
		m.owed++
		m.isBack(i)
	}
	if own {
		m.fail(i)
	}
}

// relay lets everything that failed for good try again.
func (m *Machine) relay() {
	m.broken = nil
	halted := m.halted
	m.halted = nil
	for _, i := range halted {
		if i.op.Kind == plan.Child && i.decided { // its saga has ended: there is nothing to try again
			m.halted = append(m.halted, i)
			continue
		}
		i.halted = false
		t := i.ill()
		t.undos, t.since, t.notYet = 0, time.Time{}, false
		if i.op.Kind != plan.Step {
			m.decideLater(i)
			continue
		}
		if i.owed {
			m.debts = append(m.debts, i)
			continue
		}
		if i.phase == open {
			i.attempts = 0
		}
		m.queue(i)
	}
	for _, i := range m.debts {
		m.redo(i)
	}
}

// redo queues a relayed undo if it is its turn: like all undos, those of a sequence run one after the other, the last step first.
func (m *Machine) redo(i *inst) {
	if !slices.ContainsFunc(m.debts, func(other *inst) bool { return m.undoneBefore(other, i) }) {
		m.queue(i)
	}
}

// paid lets those go on that waited for the relayed undo of i.
func (m *Machine) paid(i *inst) {
	k := slices.Index(m.debts, i)
	if k < 0 {
		return
	}
	m.debts = slices.Delete(m.debts, k, k+1)
	for _, other := range m.debts {
		if m.undoneBefore(i, other) {
			m.redo(other)
		}
	}
}

// undoneBefore says that the undo of a is over before that of b begins, because they stand one after the other.
func (m *Machine) undoneBefore(a, b *inst) bool {
	for x := a; x.up != nil; x = x.up {
		for y := b; y.up != nil; y = y.up {
			if x.up == y.up {
				kids := x.up.kids
				return m.undoWidth(x.up) == 1 && slices.Index(kids, x) > slices.Index(kids, y)
			}
		}
	}
	return false
}

func (m *Machine) unhalt(i *inst) {
	i.halted = false
	for k, h := range m.halted {
		if h == i {
			m.halted = append(m.halted[:k], m.halted[k+1:]...)
			return
		}
	}
}

// owedIn says that the undo of something in i failed for good and was not done since.
func (m *Machine) owedIn(i *inst) (owed bool) {
	if m.owed > 0 || len(m.halted) > 0 {
		i.walk(func(kid *inst) { owed = owed || kid.owed || kid.halted })
	}
	return owed
}

// afterHalt looks at the races that waited for i.
func (m *Machine) afterHalt(i *inst) {
	for up := i.up; up != nil; up = up.up {
		if up.op.Kind == plan.Race && up.back == ahead {
			m.raceBack(up)
			return
		}
	}
}
