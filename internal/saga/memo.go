package saga

import (
	"fmt"
	"slices"
	"time"

	"github.com/skald-go/skald/broker"
)

// journaledTries is how often the journal tells that a step waits for its next attempt, or that its undo does. What is later is told by the
// memo, where each such fact takes the place of the one before: a step that is asked each second for a day does not make a long journal.
const journaledTries = 16

// brief says that the next such fact of i belongs in the memo: all else that it would tell stands in the journal.
func (i *inst) brief() bool {
	return i.trouble.tries >= journaledTries && i.unsavedIn() == nil && (!i.suspect || i.noted)
}

// jot puts f into the memo, in the place of what it says of i.
func (m *Machine) jot(i *inst, f *Fact, now time.Time) {
	f.At, f.Path = now, i.Path()
	m.spell(f)
	t := i.ill()
	if t.memo == nil {
		m.memos = append(m.memos, i)
	}
	t.memo = f.append(t.memo[:0:0], m.header.Started)
	m.jotted = true
	m.applyTried(i, f)
}

// strike takes i out of the memo: the journal tells something later of it, or it does not wait any more.
func (m *Machine) strike(i *inst) {
	if i.trouble == nil || i.trouble.memo == nil {
		return
	}
	i.trouble.memo = nil
	m.memos = slices.DeleteFunc(m.memos, func(other *inst) bool { return other == i })
	m.jotted = true
}

// memo gives what is to take the place of the memo; nil if it stays as it was.
func (m *Machine) memo() []byte {
	for _, i := range slices.Clone(m.memos) {
		if !i.goesOn() && !i.goesBack() {
			m.strike(i)
		}
	}
	if !m.jotted {
		return nil
	}
	memo := []byte{}
	for _, i := range m.memos {
		memo = putBytes(putString(memo, i.Path()), i.trouble.memo)
	}
	return memo
}

// MemoEntries gives what stands in a memo: for each step that waits, the last fact that says so.
func MemoEntries(memo []byte) (entries []broker.Entry, err error) {
	for r := (reader{data: memo}); len(r.data) > 0; {
		entries = append(entries, broker.Entry{Path: r.string(), Data: r.bytes()})
		if r.err != nil {
			return nil, fmt.Errorf("the memo: %w", r.err)
		}
	}
	return entries, nil
}

// recall applies a memo, after the journal.
func (m *Machine) recall(memo []byte) error {
	entries, err := MemoEntries(memo)
	if err != nil {
		return &BrokenError{Err: err}
	}
	for _, e := range entries {
		f, err := DecodeFact(e, m.header.Started)
		if err == nil && f.Kind != Tried {
			err = fmt.Errorf("the memo says %v of %q", f.Kind, f.Path)
		}
		if err != nil {
			return &BrokenError{Path: e.Path, Err: err}
		}
		i, err := m.find(&f)
		if err != nil {
			return err
		}
		m.apply(i, &f)
		i.trouble.memo = e.Data
		m.memos = append(m.memos, i)
	}
	return nil
}
