package saga

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/skald-go/skald/broker"
)

// FactKind says what a fact tells.
type FactKind uint8

// The kinds of facts. Their numbers are durable.
const (
	Done      FactKind = 1  // a step succeeded: Attempts, In, Out
	Refused   FactKind = 2  // a node ended without an effect: Attempts, Err
	Failed    FactKind = 3  // a step ended with an unknown effect: Attempts, In, Err; Flag: it was interrupted
	Tried     FactKind = 4  // a step or undo (Flag) waits for its next attempt: Attempts, Err, Due; Since if not yet; Suspect
	Chose     FactKind = 5  // Text is the label of the arm, empty for none
	Items     FactKind = 6  // Index items, Out
	Round     FactKind = 7  // after round Index: Flag says that the loop ends
	Won       FactKind = 8  // Index is the competitor
	Due       FactKind = 9  // a delay or wait ends at Due
	Woke      FactKind = 10 // a delay or wait ended by time
	Signal    FactKind = 11 // a signal came: Text is its name, ID, Out
	Took      FactKind = 12 // a wait took signal ID
	Undone    FactKind = 13 // an undo succeeded: Attempts; Flag: a person said so
	Stuck     FactKind = 14 // failed for good: Attempts, Err; Flag: the undo
	Proceeded FactKind = 15 // an undo gave another output: Attempts, Out
	Cancelled FactKind = 16 // ID, Text is the reason; Err
	Expired   FactKind = 17 // the deadline passed: Err
	Denied    FactKind = 18 // cancel ID came after the pivot
	Suspect   FactKind = 19 // an attempt may have had an effect: In; Attempts, Err and Since of those before
	Reply     FactKind = 20 // a child ended: Out is its outcome
	Asked     FactKind = 21 // the parent wants this saga undone: ID, Err; Flag: and does not wait for it
	Relayed   FactKind = 22 // a person said go on: ID, Who, Text why
	Settled   FactKind = 23 // a person ended the saga: ID, Who, Text, Out or Err
	Late      FactKind = 24 // the deadline passed after the pivot
	Begun     FactKind = 25 // a child was started; Flag: after the pivot
	Skipped   FactKind = 26 // a person said that the undo at Path is done: ID, Who, Text why
	Slow      FactKind = 27 // the saga takes longer than it should
	Lost      FactKind = 28 // all parts of a race failed and are back
	Passed    FactKind = 29 // a worker gave the saga back without beginning it, after Attempts takeovers
	Taken     FactKind = 30 // a saga that another service started is run in version Index
	Overdue   FactKind = 31 // another service did not answer in time: Err
	Released  FactKind = 32 // nobody waits for the end of a saga that another service started
	Granted   FactKind = 33 // the saga holds all that it claims, and begins: ID
)

var factNames = [...]string{"?", "done", "refused", "failed", "tried", "chose", "items", "round", "won", "due", "woke",
	"signal", "took", "undone", "stuck", "proceeded", "cancelled", "expired", "denied", "suspect", "reply", "asked", "relayed", "settled", "late", "begun", "skipped", "slow", "lost", "passed", "taken", "overdue", "released", "granted"}

// String gives the kind as one word.
func (k FactKind) String() string {
	if int(k) < len(factNames) {
		return factNames[k]
	}
	return factNames[0]
}

// Fact is one thing that a saga has recorded. Which fields are set depends on Kind.
type Fact struct {
	Kind         FactKind
	Flag         bool
	Suspect      bool
	Path         string
	At           time.Time
	Attempts     int
	Index        int
	In, Out, Err []byte // nil: absent
	Due, Since   time.Time
	ID, Text     string
	Who          string

	err error // Err, where it was made
}

func (f *Fact) failure() lastError { return lastError{err: f.err, data: f.Err} }

const (
	hasAttempts = 1 << iota
	hasIndex
	hasIn
	hasOut
	hasErr
	hasDue
	hasSince
	hasID
	hasText
	hasWho
	isFlag
	isSuspect
)

func (f *Fact) mask() (m uint64) {
	set := func(bit uint64, on bool) {
		if on {
			m |= bit
		}
	}
	set(hasAttempts, f.Attempts != 0)
	set(hasIndex, f.Index != 0)
	set(hasIn, f.In != nil)
	set(hasOut, f.Out != nil)
	set(hasErr, f.Err != nil)
	set(hasDue, !f.Due.IsZero())
	set(hasSince, !f.Since.IsZero())
	set(hasID, f.ID != "")
	set(hasText, f.Text != "")
	set(hasWho, f.Who != "")
	set(isFlag, f.Flag)
	set(isSuspect, f.Suspect)
	return m
}

// append encodes f without its path: kind, mask, milliseconds since started, then the fields that the mask names, in its order.
// In, Out and Err are parts of the result afterwards.
func (f *Fact) append(dst []byte, started time.Time) []byte {
	m := f.mask()
	dst = append(dst, byte(f.Kind))
	dst = binary.AppendUvarint(dst, m)
	dst = binary.AppendVarint(dst, f.At.Sub(started).Milliseconds())
	if m&hasAttempts != 0 {
		dst = binary.AppendUvarint(dst, uint64(f.Attempts))
	}
	if m&hasIndex != 0 {
		dst = binary.AppendVarint(dst, int64(f.Index))
	}
	for _, b := range [...]*[]byte{&f.In, &f.Out, &f.Err} {
		if *b != nil {
			dst = putBytes(dst, *b)
			*b = dst[len(dst)-len(*b) : len(dst) : len(dst)]
		}
	}
	for _, t := range [...]time.Time{f.Due, f.Since} {
		if !t.IsZero() {
			dst = binary.AppendVarint(dst, t.UnixNano())
		}
	}
	for _, s := range [...]string{f.ID, f.Text, f.Who} {
		if s != "" {
			dst = putString(dst, s)
		}
	}
	return dst
}

// DecodeFact reads an entry of a saga that was started then.
func DecodeFact(e broker.Entry, started time.Time) (Fact, error) {
	r := reader{data: e.Data}
	f := Fact{Kind: FactKind(r.byte()), Path: e.Path}
	m := r.uvarint()
	f.At = started.Add(r.millis())
	f.Flag, f.Suspect = m&isFlag != 0, m&isSuspect != 0
	if m&hasAttempts != 0 {
		f.Attempts = int(r.uvarint())
	}
	if m&hasIndex != 0 {
		f.Index = int(r.varint())
	}
	r.fields(&f, m)
	if r.err == nil && len(r.data) > 0 {
		r.err = fmt.Errorf("%d bytes too many", len(r.data))
	}
	if r.err == nil && (f.Kind == 0 || int(f.Kind) >= len(factNames) || m >= isSuspect<<1) {
		r.err = fmt.Errorf("a fact of kind %d, mask %#x, from a newer version", f.Kind, m)
	}
	if r.err != nil {
		return Fact{}, fmt.Errorf("journal entry of %q: %w", e.Path, r.err)
	}
	return f, nil
}

func (r *reader) fields(f *Fact, m uint64) {
	if m&hasIn != 0 {
		f.In = r.bytes()
	}
	if m&hasOut != 0 {
		f.Out = r.bytes()
	}
	if m&hasErr != 0 {
		f.Err = r.bytes()
	}
	if m&hasDue != 0 {
		f.Due = time.Unix(0, r.varint())
	}
	if m&hasSince != 0 {
		f.Since = time.Unix(0, r.varint())
	}
	if m&hasID != 0 {
		f.ID = r.string()
	}
	if m&hasText != 0 {
		f.Text = r.string()
	}
	if m&hasWho != 0 {
		f.Who = r.string()
	}
}
